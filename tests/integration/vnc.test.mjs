/** Desktop VNC viewers: what they see, what they may do, and what they cannot do to others. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { afterEach, test } from 'node:test';
import { countFds, findProcesses } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { decodePng } from './lib/png.mjs';
import { VncClient } from './lib/vnc.mjs';
import { eventually } from './lib/wait.mjs';
import { WebSocketClient } from './lib/websocket.mjs';

const farm = useFarm();
const options = { skip: farm.skip };
const viewers = new Set();
const path = () => `/v1/sandboxes/${farm.id}/desktop/vnc`;

const XK = { a: 0x61, A: 0x41, at: 0x40, shift: 0xffe1 };
const KEY = { a: 30, two: 3, shift: 42 };

afterEach(async () => {
    if (farm.skip)
        return;
    await Promise.all([...viewers].map((viewer) => viewer.close()));
    viewers.clear();
    await farm.client.send('DELETE', path());
});

function open(body = {}) {
    return farm.client.call('POST', path(), { body }).then((answer) => answer.json);
}

async function connect(port, more = {}) {
    const viewer = await VncClient.connect(port.address, { password: port.password, ...more });
    viewers.add(viewer);
    return viewer;
}

async function still() {
    return decodePng((await farm.client.shot(farm.id, { cursor: false })).body);
}

/** The viewer shows what the guest shows, to the pixel. */
async function shows(viewer, ms = 60000) {
    let last;
    await eventually('the viewer shows the guest\'s pixels', async () => {
        const expected = await still(), seen = await viewer.picture();
        last = seen.width === expected.width && seen.height === expected.height
            ? seen.differences((x, y) => expected.at(x, y)) : { n: -1, first: `${seen.width}x${seen.height}` };
        return last.n === 0;
    }, { every: 50, ms }).catch((error) => assert.fail(`${error.message}: ${last?.n} pixels differ, ${last?.first}`));
}

/** Whether the process descends from our daemon: other tests run beside this one. */
function isOurs(pid) {
    while (pid > 1 && pid !== farm.daemon.pid)
        try {
            pid = Number(/PPid:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'latin1'))[1]);
        } catch {
            return false;
        }
    return pid === farm.daemon.pid;
}

const helpers = () => findProcesses('/usr/bin/deskfarm-vnc').filter(isOurs);

test('nothing runs before a viewer comes', options, async () => {
    assert.deepEqual((await farm.client.call('GET', path())).json, { viewers: [], ports: [] });
    assert.equal(helpers().length, 0);
});

for (const encodings of ['raw', 'zrle raw', 'hextile raw', 'zlib raw', 'copyrect rre raw'])
    test(`a viewer shows the guest's pixels: ${encodings}`, options, async () => {
        const viewer = await connect(await open(), { encodings });
        assert.equal(viewer.name, farm.id);
        await shows(viewer);
        for (let i = 0; i < 5; i++) {
            await farm.probe.fill(13 + 70 * i, 21 + 50 * i, 150, 90, `#${i}0a0${i}f`);
            await shows(viewer);
        }
    });

const until = (predicate, from, what) => farm.probe.until(predicate, { from, what, ms: 60000 });

test('physical keys arrive, whatever symbol the viewer has for them', options, async () => {
    const viewer = await connect(await open());
    await shows(viewer);
    const from = farm.probe.mark();
    viewer.key(XK.at, KEY.a);
    await until((e) => e.ev === 'key' && e.code === KEY.a && e.down, from, 'a pressed');
    await until((e) => e.ev === 'key' && e.code === KEY.a && !e.down, from, 'a released');
});

test('a viewer that names symbols gets the keys that make them', options, async () => {
    const viewer = await connect(await open());
    await shows(viewer);
    const from = farm.probe.mark();
    viewer.key(XK.at);
    await until((e) => e.ev === 'key' && e.code === KEY.shift && !e.down, from, 'shift released');
    await until((e) => e.ev === 'key' && e.code === KEY.two && !e.down, from, 'two released');
    const keys = farm.probe.since(from, 'key').map((e) => [e.code, e.down ? 1 : 0]);
    assert.deepEqual(keys.slice(0, 3), [[KEY.shift, 1], [KEY.two, 1], [KEY.shift, 0]]);
    assert.deepEqual((await farm.probe.held()).keys, []);
});

test('clicks and wheel arrive where they were made', options, async () => {
    const viewer = await connect(await open());
    await shows(viewer);
    const from = farm.probe.mark();
    viewer.tell('pointer 1 321 234');
    viewer.tell('pointer 0 321 234');
    viewer.tell('pointer 8 322 235');
    viewer.tell('pointer 0 322 235');
    viewer.tell('pointer 4 1279 799');
    viewer.tell('pointer 0 1279 799');
    await until((e) => e.ev === 'button' && e.button === 3 && !e.down, from, 'the right button goes up');
    assert.deepEqual(farm.probe.since(from, 'button').map((e) => [e.button, e.down, e.x, e.y]),
        [[1, true, 321, 234], [1, false, 321, 234], [3, true, 1279, 799], [3, false, 1279, 799]]);
    assert.deepEqual(farm.probe.since(from, 'wheel').map((e) => [e.dy, e.x, e.y]), [[-1, 322, 235]]);
});

test('what a viewer holds goes up with it', options, async () => {
    const viewer = await connect(await open());
    await shows(viewer);
    const from = farm.probe.mark();
    viewer.tell(`key 1 ${XK.a.toString(16)} ${KEY.a.toString(16)}`);
    viewer.tell('pointer 1 100 100');
    await until((e) => e.ev === 'button' && e.down, from, 'the button goes down');
    await viewer.close();
    await until((e) => e.ev === 'button' && !e.down, from, 'the button goes up');
    await until((e) => e.ev === 'key' && !e.down, from, 'the key goes up');
});

test('agents wait while a viewer is in control, and go on when it left', options, async () => {
    const viewer = await connect(await open());
    await shows(viewer);
    const from = farm.probe.mark();
    viewer.key(XK.a, KEY.a);
    await until((e) => e.ev === 'key' && !e.down, from, 'the key goes up');
    const refused = await farm.client.send('POST', `/v1/sandboxes/${farm.id}/desktop/actions`,
        { body: { actions: [{ type: 'key', keys: 'b' }] } });
    assert.equal(refused.json.code, 'conflict');
    await viewer.close();
    await eventually('agents may act again', async () => (await farm.client.send('POST',
        `/v1/sandboxes/${farm.id}/desktop/actions`, { body: { actions: [{ type: 'key', keys: 'b' }] } })).status === 200);
});

test('a viewer that only watches injects nothing', options, async () => {
    const viewer = await connect(await open({ role: 'view' }));
    await shows(viewer);
    const from = farm.probe.mark();
    viewer.key(XK.a, KEY.a);
    viewer.key(XK.a);
    viewer.tell('pointer 1 50 50');
    viewer.tell('pointer 0 50 50');
    viewer.tell('cut text');
    await shows(viewer);
    assert.deepEqual((await farm.probe.received(farm.client, from)), []);
});

test('a wrong password is refused, and the port then takes its time', options, async () => {
    const port = await open();
    assert.match(port.password, /^[a-z2-7]{8}$/);
    await assert.rejects(VncClient.connect(port.address, { password: 'wrong' }), /refused/);
    const start = performance.now();
    await shows(await connect(port));
    assert.ok(performance.now() - start > 500, 'nobody is let in for a second');
    const own = await open({ password: 'sésame' });
    assert.equal(own.password, 'sésame');
});

test('a unix socket asks for no password', options, async () => {
    const port = await open({ listen: 'unix' });
    assert.equal(port.password, null);
    assert.equal(fs.statSync(port.address).mode & 0o777, 0o600);
    const viewer = await connect(port);
    await shows(viewer);
    await farm.client.send('DELETE', path());
    await viewer.until((e) => e.ev === 'ended', 'the viewer is dropped');
    assert.equal(fs.existsSync(port.address), false);
});

test('a viewer follows the size of the screen, and may ask for one', options, async () => {
    const viewer = await connect(await open());
    await shows(viewer);
    await farm.client.resize(farm.id, 1024, 700);
    await viewer.until((e) => e.ev === 'size' && e.w === 1024 && e.h === 700, 'the new size');
    await shows(viewer);
    viewer.tell('size 1280 800');
    await viewer.until((e) => e.ev === 'size' && e.w === 1280 && e.h === 800, 'the size it asked for',
        { from: viewer.events.findLastIndex((e) => e.ev === 'size' && e.w === 1024) });
    await shows(viewer);
});

test('a stalled viewer stalls nobody, and is dropped', { ...options, timeout: 240000 }, async (t) => {
    const port = await open();
    const good = await connect(port), bad = await connect(port, { encodings: 'raw' });
    await shows(good);
    await shows(bad);
    bad.tell('stall');
    let worst = 0;
    const begin = performance.now();
    for (let i = 0; performance.now() - begin < 20000; i++) {
        const from = good.mark(), start = performance.now();
        await farm.probe.fill(0, 0, 1280, 800, `#${(i * 7919 % 0xffffff).toString(16).padStart(6, '0')}`);
        await good.until((e) => e.ev === 'updated', 'an update', { from });
        worst = Math.max(worst, performance.now() - start);
        await shows(good);
        if ((await farm.client.call('GET', path())).json.viewers.length === 1)
            break;
    }
    t.diagnostic(`the good viewer waited at most ${Math.round(worst)} ms for an update`);
    assert.ok(worst < 8000, 'a write that waits for the stalled one takes 10 s');
    await eventually('the stalled viewer is dropped', async () =>
        (await farm.client.call('GET', path())).json.viewers.length === 1, { ms: 60000 });
});

test('the helper sees no files, no network and no other process', options, async () => {
    const viewer = await connect(await open());
    await shows(viewer);
    const [pid] = helpers().filter((p) => fs.readFileSync(`/proc/${p}/comm`, 'latin1').startsWith('deskfarm-vnc'));
    const status = fs.readFileSync(`/proc/${pid}/status`, 'latin1');
    assert.match(status, /CapEff:\s+0+\n/);
    assert.match(status, /NoNewPrivs:\s+1\n/);
    if (process.getuid() === 0)
        assert.match(status, /Uid:\s+20[0-9]{5}\s/);
    for (const ns of ['net', 'pid', 'mnt', 'ipc', 'user'])
        assert.notEqual(fs.readlinkSync(`/proc/${pid}/ns/${ns}`), fs.readlinkSync(`/proc/self/ns/${ns}`), ns);
    const root = fs.readdirSync(`/proc/${pid}/root`).sort();
    assert.deepEqual(root.filter((name) => !['dev', 'lib', 'lib64', 'proc', 'usr'].includes(name)), []);
});

test('a helper that is killed is reported, and the next viewer gets another', options, async () => {
    const port = await open(), viewer = await connect(port);
    await shows(viewer);
    for (const pid of helpers())
        try {
            process.kill(pid, 'SIGKILL');
        } catch { /* it went with the one before */ }
    await viewer.until((e) => e.ev === 'ended', 'the viewer is gone');
    await eventually('it is reported', async () => /the VNC helper (is gone|ended)/.test(farm.daemon.log), { ms: 30000 });
    await shows(await connect(port));
});

test('viewers and ports are limited', options, async () => {
    const port = await open();
    const many = [];
    for (let i = 0; i < 16; i++)
        many.push(await connect(port));
    await assert.rejects(connect(port), /refused/);
    await Promise.all(many.map((viewer) => viewer.close()));
    await farm.client.send('DELETE', path());
    for (let i = 0; i < 4; i++)
        await open();
    const answer = await farm.client.send('POST', path(), { body: {} });
    assert.equal(answer.json.code, 'quota_exceeded');
});

test('nothing is left when the viewers are gone', options, async () => {
    await eventually('the helper ends', async () => helpers().length === 0, { ms: 30000 });
    const before = countFds(farm.daemon.pid);
    for (let i = 0; i < 10; i++) {
        const viewer = await connect(await open());
        await viewer.close();
        await farm.client.send('DELETE', path());
    }
    await eventually('the helper ends', async () => helpers().length === 0, { ms: 30000 });
    await eventually('descriptors are given back', async () => countFds(farm.daemon.pid) <= before + 2);
    assert.equal((await farm.client.call('GET', path())).json.viewers.length, 0);
});

/* --- Over a WebSocket ------------------------------------------------------------------------- */

const socketPath = (query = '') => `/v1/sandboxes/${farm.id}/vnc${query}`;

test('RFB comes over a WebSocket', options, async () => {
    const socket = await WebSocketClient.open(farm.daemon.port, socketPath(), { headers: { 'Sec-WebSocket-Protocol': 'binary' } });
    assert.equal(socket.headers['sec-websocket-protocol'], 'binary');
    await eventually('the version', async () => Buffer.concat(socket.messages.map((m) => m.data)).toString() === 'RFB 003.008\n');
    socket.send(2, 'RFB 003.008\n');
    await eventually('the kinds of security', async () => Buffer.concat(socket.messages.map((m) => m.data)).subarray(12).equals(Buffer.from([1, 1])));
    socket.destroy();
});

test('a ticket lets in once, and only to its sandbox', options, async () => {
    const link = await open({ listen: 'websocket', role: 'view' });
    assert.ok(link.address.startsWith(socketPath('?ticket=')));
    (await WebSocketClient.open(farm.daemon.port, link.address)).destroy();
    await assert.rejects(WebSocketClient.open(farm.daemon.port, link.address), /401/);
    await assert.rejects(WebSocketClient.open(farm.daemon.port, socketPath('?ticket=x')), /401/);
    const answer = await farm.client.send('GET', socketPath());
    assert.equal(answer.json.code, 'bad_value');
});
