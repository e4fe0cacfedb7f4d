/**
 * Forks of a real desktop (debian-xfce): its clock before the network opens, its connections, its name, its
 * randomness, its disk, and a chain of disk layers that is merged in the background. One template for all of it.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { count, isFull } from './lib/counts.mjs';
import { Daemon, lacksImage } from './lib/daemon.mjs';
import { Outside, Server } from './lib/outside.mjs';
import { decodePng } from './lib/png.mjs';
import { Shell } from './lib/shell.mjs';
import { importTemplate } from './lib/templates.mjs';
import { eventually } from './lib/wait.mjs';

const skip = lacksImage('debian-xfce');
const options = { skip, timeout: isFull ? 1200000 : 300000 };
const CLOCK_MS = 50;
let daemon, client, parent, network;

const post = async (where, body = {}) => (await client.call('POST', where, { body, ms: 200000 })).json;
const open = (id) => Shell.open(path.join(daemon.sandboxDir(id), 'console.sock'), 60000);

async function fork(id, body = {}) {
    const answer = await post(`/v1/sandboxes/${id}/fork`, body);
    answer.items.forEach((item) => daemon.ids.add(item.id));
    return answer;
}

/** Runs a command as root. The console echoes it, and may say things of its own before and after. */
async function ask(shell, command) {
    const { status, output } = await shell.run(`out=$( ${command}
); rc=$?; echo "<""<$out>"">"; (exit $rc)`);
    return { status, output, answer: /<<([\s\S]*?)>>/.exec(output)?.[1].trim().split('\n').at(-1).trim() };
}

/** The last word of the line is the guest's; what the console takes is between the two of ours. */
async function assertClock(id, shell) {
    const offsets = [];
    for (let i = 0; i < 5; i++) {
        const before = Date.now();
        const now = Number((await ask(shell, 'date +%s%3N')).answer);
        offsets.push({ early: before - now, late: now - Date.now() });
    }
    const off = Math.max(...offsets.map(({ early, late }) => Math.max(early, late)));
    assert.ok(off <= CLOCK_MS, `the clock of ${id} is off by at least ${off} ms`);
}

/** In each of them. */
async function inEach(ids, command) {
    const outputs = [];
    for (const id of ids) {
        const shell = await open(id);
        try {
            const { status, output, answer } = await ask(shell, command);
            assert.equal(status, 0, `${id}: ${command}: ${output}`);
            outputs.push(answer);
        } finally {
            shell.close();
        }
    }
    return outputs;
}

before(async () => {
    if (skip)
        return;
    daemon = await Daemon.start({ boot: 'auto' });
    client = daemon.client();
    network = (await client.call('GET', '/v1/info')).json.network ? 'nat' : 'none';
    const kept = isFull ? undefined : await importTemplate(client, 'debian-xfce', network);
    parent = (await client.create('debian-xfce', { network })).id; /* bakes a template where there is none: it is the first */
    if (!kept) {
        const early = await client.get(parent);
        assert.deepEqual([early.status.state, early.status.reason], ['Pending', 'Baking']);
    }
    await client.waitState(parent, 'Running', 600000);
}, { timeout: 620000 });

after(() => daemon?.destroy(), { timeout: 60000 });

test('what a desktop was made from is made on first use, and the next is there at once', options, async () => {
    const [template] = (await client.call('GET', '/v1/templates')).json.items;
    assert.equal((await client.get(parent)).checkpoint, template.id);
    const began = performance.now();
    const { id } = await client.create('debian-xfce', { network, boot: 'template' });
    await client.waitState(id, 'Running');
    const shot = decodePng((await client.shot(id)).body);
    assert.equal(shot.width, 1280);
    assert.ok(performance.now() - began < 30000, 'without booting');
    await client.delete(id);
});

test('each fork knows time, its name, and randomness of its own', options, async () => {
    const { items } = await fork(parent, { count: 3, wait: 'identity' });
    const ids = items.map(({ id }) => id);
    for (const item of items)
        assert.deepEqual(item.identity, { clock: 'done', hostname: 'done', entropy: 'done',
            ...(network === 'nat' && { connections: 'done' }) }, item.id);
    const wakings = async () => (await inEach(ids, `echo $(sed -n 's/^voluntary_ctxt_switches:\\s*//p' /proc/$(pidof qemu-ga)/status) `
        + '$(cut -d. -f1 /proc/uptime)')).map((line) => line.split(' ').map(Number));
    const before = await wakings();
    for (const id of ids) {
        const shell = await open(id);
        await assertClock(id, shell).finally(() => shell.close());
    }
    assert.deepEqual(await inEach(ids, 'hostname'), ids);
    const random = await inEach([parent, ...ids], 'head -c 16 /dev/urandom | od -An -tx1 | tr -d " \\n"; echo');
    assert.equal(new Set(random).size, random.length, random.join(' '));
    for (const [i, [n, at]] of (await wakings()).entries())
        assert.ok(n - before[i][0] <= 4 + (at - before[i][1]), `the agent that is not used looked ${n - before[i][0]} times for a host `
            + `in ${at - before[i][1]} s`);
    await Promise.all(ids.map((id) => client.delete(id)));
});

/**
 * In the guest: a connection to the outside and one with both ends in the guest. When the first ends it says
 * how, whether the second still carries, and how far the clock was ahead of the time since the boot when a new
 * connection to the outside was first made: what it then was, it was before the network opened.
 */
const connections = (address, port) => `
import socket, time
listener = socket.create_server(("127.0.0.1", 0))
near = socket.create_connection(listener.getsockname())
far, _ = listener.accept()
out = socket.create_connection(("${address}", ${port}))
def say(*words): print(*words, flush=True)
def offset(): return max(time.time_ns() - time.monotonic_ns() for _ in range(100)) // 1000000
say("connected")
try:
    while True:
        data = out.recv(100)
        if not data:
            say("eof"); break
        if data != b"answer\\n":
            out.sendall(b"heard " + data)
except OSError as error:
    say("errno", error.errno)
near.sendall(b"x")
say("inside", far.recv(1) == b"x")
while True:
    try:
        again = socket.create_connection(("${address}", ${port}), 0.1)
        break
    except OSError:
        pass
say("open", offset())
again.sendall(b"again")
again.recv(100)
`;

test('a fork\'s connections are reset and its clock is right before its network opens', options, async (t) => {
    if (process.getuid() !== 0)
        return t.skip('needs root, to make a network outside');
    if (network !== 'nat')
        return t.skip('needs pasta and a usable /dev/net/tun');
    const port = 20000 + Math.floor(Math.random() * 20000);
    const beyond = new Outside(78);
    const server = await Server.start(port, { at: beyond, keeps: true });
    const shells = [];
    t.after(() => {
        shells.forEach((it) => it.close());
        server.end();
        beyond.remove();
    });
    const shell = await open(parent);
    shells.push(shell);
    await eventually('an address by DHCP', async () => (await shell.run('ip -4 route show default')).output.includes('10.0.2.2'),
        { ms: 60000, every: 1000 });
    const script = Buffer.from(connections(beyond.address, port)).toString('base64');
    await shell.run(`echo ${script} | base64 -d > /run/tcp.py; (setsid python3 /run/tcp.py > /run/tcp.log 2>&1 < /dev/null &)`);
    const log = async (of) => (await of.run('cat /run/tcp.log')).output;
    await eventually('it is connected', async () => /^connected/m.test(await log(shell)), { ms: 60000 });
    server.say('before');
    await eventually('the parent heard it', async () => server.of('said').some(({ text }) => text === 'heard before'), { ms: 20000 });

    const { items: [child] } = await fork(parent, { wait: 'identity' });
    assert.deepEqual(child.identity, { clock: 'done', hostname: 'done', entropy: 'done', connections: 'done' });
    const own = await open(child.id);
    shells.push(own);
    const told = await eventually('the fork is connected anew', async () => {
        const text = await log(own);
        return /^open /m.test(text) && text;
    }, { ms: 60000 });
    assert.match(told, /^errno 103$/m, `ECONNABORTED, at once: ${told}`);
    assert.match(told, /^inside True$/m, 'what has both ends inside stays');
    const opened = Number(/^open (\d+)/m.exec(told)[1]);
    await assertClock(child.id, own);
    const now = Number((await ask(own, `python3 -c 'import time; print(max(time.time_ns() - time.monotonic_ns() for _ in range(100)) // 1000000)'`)).answer);
    assert.ok(Math.abs(now - opened) <= 5, `the clock was stepped by ${now - opened} ms after the network opened`);

    server.say('after');
    await eventually('the parent hears on', async () => server.of('said').some(({ text }) => text === 'heard after'), { ms: 20000 });
    const first = server.events.filter(({ visitor }) => visitor === 1).map(({ event }) => event);
    assert.deepEqual(first, ['came', 'said', 'said'], 'the parent\'s connection saw nothing of it');
    assert.doesNotMatch(await log(shell), /errno|eof/);
    await shell.run('pkill -f /run/tcp.py');
    await client.delete(child.id);
});

test('children taken in the middle of typing in a terminal go on from there, each its own way', options, async () => {
    const typed = 'the quick brown fox jumps over the lazy dog and says so to everybody who asks';
    const actions = (id, list) => client.act(id, list);
    await actions(parent, [{ type: 'click', x: 568, y: 777 },
        { type: 'wait_for', kind: 'change', region: { x: 0, y: 90, width: 300, height: 60 }, max_ms: 60000 },
        { type: 'wait_for', quiet_ms: 1000, max_ms: 60000 }, { type: 'type', text: 'cat > /tmp/said\n' }]);
    const echo = client.call('POST', `/v1/sandboxes/${parent}/desktop/wait`, { body: { for: 'change', max_ms: 60000 } });
    const typing = actions(parent, [{ type: 'type', text: typed }]);
    await echo;
    const { items } = await fork(parent, { count: 2 });
    await typing;
    /* The line that each was given in the middle of, ended its own way. */
    const endings = { [parent]: ' parent', [items[0].id]: ' one', [items[1].id]: ' two' };
    for (const [id, text] of Object.entries(endings))
        await actions(id, [{ type: 'type', text: `${text}\n` }, { type: 'key', keys: 'ctrl+d' }]);
    const said = {};
    for (const [id, text] of Object.entries(endings))
        said[id] = (await eventually(`${id} has said it`, async () => {
            const [line] = await inEach([id], 'tail -n 1 /tmp/said | sed "s/^/:/"'); /* what may begin with a space */
            return line.endsWith(text) && { before: line.slice(1, -text.length) };
        }, { ms: 60000 })).before;
    assert.equal(said[parent], typed, 'nothing of the parent\'s text is lost');
    for (const { id } of items)
        assert.ok(typed.startsWith(said[id]), `${id} goes on from where the parent was: "${said[id]}"`);
    assert.equal(said[items[0].id], said[items[1].id], 'both at the same moment');
    await actions(parent, [{ type: 'key', keys: 'ctrl+d' }]); /* the terminal closes */
    await Promise.all(items.map(({ id }) => client.delete(id)));
});

test('disks are separate, and their file systems clean', options, async () => {
    await inEach([parent], 'echo shared > /root/mine; sync');
    const [child] = (await fork(parent)).items;
    const [grandchild] = (await fork(child.id)).items;
    const ids = [parent, child.id, grandchild.id];
    for (const id of ids)
        await inEach([id], `cat /root/mine; echo ${id} >> /root/mine; dd if=/dev/urandom of=/root/big bs=1M count=4 2>/dev/null; sync`);
    assert.deepEqual(await inEach(ids, 'echo 3 > /proc/sys/vm/drop_caches; tail -n1 /root/mine'), ids);
    assert.deepEqual(await inEach(ids, 'wc -l < /root/mine'), ['2', '2', '2']);
    /* A file system can be checked when nobody writes it: in a fork, which is of no more use then. */
    const checked = [];
    for (const id of isFull ? ids : [grandchild.id])
        checked.push((await fork(id)).items[0].id);
    assert.deepEqual(await inEach(checked, 'echo u > /proc/sysrq-trigger; until grep -q "^[^ ]* / ext4 ro" /proc/mounts; ' +
        'do sleep 0.1; done; e2fsck -fn /dev/vda > /dev/null 2>&1; echo $?'), checked.map(() => '0'));
    await Promise.all([child.id, grandchild.id, ...checked].map((id) => client.delete(id)));
});

test('many checkpoints: the chain is merged behind them, and each is still what it was', options, async () => {
    const kept = [], n = count('checkpoints');
    for (let i = 0; i < n; i++) {
        await inEach([parent], `echo ${i} > /root/step; sync`);
        kept.push(await post(`/v1/sandboxes/${parent}/checkpoints`, { name: `step ${i}` }));
    }
    const longest = await eventually('the chain is short', async () => {
        const { items } = (await client.call('GET', '/v1/checkpoints')).json;
        const most = Math.max(...items.map((item) => item.disk_layers));
        return most < Math.max(...kept.map((item) => item.disk_layers)) && most;
    }, { ms: 120000 });
    assert.ok(longest <= 8, `${longest} layers`);
    for (const i of [n - 1, 2, n >> 1]) {
        await post(`/v1/sandboxes/${parent}/restore`, { checkpoint: kept[i].id });
        assert.deepEqual(await inEach([parent], 'echo 3 > /proc/sys/vm/drop_caches; cat /root/step'), [`${i}`]);
    }
    for (const { id } of kept)
        await client.call('DELETE', `/v1/checkpoints/${id}`);
    const used = () => fs.readdirSync(path.join(daemon.stateDir, 'layers')).length;
    await eventually('layers that nobody names are gone', async () => used() <= 8, { ms: 30000 });
});
