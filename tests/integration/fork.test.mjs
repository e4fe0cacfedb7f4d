/**
 * Templates, checkpoints, forks and going back, on the probe: what a fork is, is asked in the guest.
 * DESKFARM_FULL=1 runs the full counts.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { countFds, isSanitized, ownMemory } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { decodePng } from './lib/png.mjs';
import { Probe } from './lib/probe.mjs';
import { eventually } from './lib/wait.mjs';

const full = process.env.DESKFARM_FULL === '1';
const farm = useFarm({
    /* Room for a parent and its eight children on any host. */
    daemon: { keepGuests: false, boot: 'auto', args: ['--max-cpus', '64'] }, withProbe: false,
    prepare: async () => {
        farm.template = (await farm.client.call('POST', '/v1/templates',
            { body: { image: { uri: 'probe' }, network: 'none' }, ms: 120000 })).json;
    },
});
const options = { skip: farm.skip, timeout: 180000 };

const attach = (id) => Probe.attach(farm.daemon, id, { isUp: true });

const fork = async (id, body = {}) => {
    const { json } = await farm.client.call('POST', `/v1/sandboxes/${id}/fork`, { body });
    for (const item of json.items)
        farm.daemon.ids.add(item.id);
    return json;
};
const checkpoint = async (id, name) =>
    (await farm.client.call('POST', `/v1/sandboxes/${id}/checkpoints`, { body: { name } })).json;
const restore = async (id, name) =>
    (await farm.client.call('POST', `/v1/sandboxes/${id}/restore`, { body: { checkpoint: name } })).json;
const remove = (id) => farm.client.delete(id);
/** What a command in the guest says, by its agent. */
const ask = (id, command) => eventually('the agent answers', async () => {
    const { status, body } = await farm.client.send('POST', `/v1/sandboxes/${id}/proxy/44772/command`, { body: { command } });
    return status === 200 && body.toString();
}, { ms: 30000 });

async function create() {
    const sandbox = await farm.client.create('probe');
    await farm.client.waitState(sandbox.id, 'Running');
    return sandbox.id;
}

const pixels = async (id) => decodePng((await farm.client.shot(id, { cursor: false })).body);
const hash = async (id) => crypto.createHash('sha256').update((await pixels(id)).data).digest('hex');

/** What is on disk, without the sockets and overlays of the sandboxes themselves. */
const stock = () => ['layers', 'ram', 'checkpoints'].flatMap((folder) =>
    fs.readdirSync(path.join(farm.daemon.stateDir, folder)).map((name) => `${folder}/${name}`)).sort();

/** The pool is full: nothing of it is under way. */
const hasSpare = () => eventually('a spare waits', async () =>
    /^deskfarm_spares 1$/m.test((await farm.client.call('GET', '/metrics')).body), { ms: 20000 });

test('a template was baked and is listed', options, async () => {
    assert.equal(farm.template.template, true);
    const { items } = (await farm.client.call('GET', '/v1/templates')).json;
    assert.deepEqual(items.map((item) => item.id), [farm.template.id]);
});

test('baking the same machine again answers with the same template', options, async () => {
    const again = (await farm.client.call('POST', '/v1/templates',
        { body: { image: { uri: 'probe' }, network: 'none' } })).json;
    assert.equal(again.id, farm.template.id);
});

test('a sandbox comes out of the template; boot cold does not', options, async () => {
    const id = await create();
    const sandbox = await farm.client.get(id);
    assert.equal(sandbox.status.reason, 'Restored');
    assert.equal(sandbox.checkpoint, farm.template.id);
    const probe = await attach(id);
    await farm.client.act(id, { type: 'type', text: 'abc' });
    const typed = (await probe.received(farm.client, 0)).filter((e) => e.ev === 'key' && e.down);
    assert.equal(typed.map((e) => e.text).join(''), 'abc');
    probe.close();
    const cold = await farm.client.create('probe', { boot: 'cold' });
    assert.equal((await farm.client.waitState(cold.id, 'Running')).checkpoint, undefined);
    await Promise.all([remove(id), remove(cold.id)]);
});

test('children taken in the middle of typing show the parent\'s screen, then diverge', options, async () => {
    const id = await create();
    const parent = await attach(id);
    await parent.fill(0, 0, 400, 300, '#123456');
    const typing = farm.client.act(id, { type: 'type', text: 'the quick brown fox jumps over the lazy dog' });
    const { items, pause_ms: pause } = await fork(id, { count: full ? 8 : 3 });
    await typing;
    const text = (await parent.received(farm.client, 0)).filter((e) => e.ev === 'key' && e.down);
    assert.equal(text.map((e) => e.text).join(''), 'the quick brown fox jumps over the lazy dog');
    const colours = [];
    for (const [i, item] of items.entries()) {
        assert.equal(item.parent, id);
        assert.deepEqual((await pixels(item.id)).at(100, 100), [0x12, 0x34, 0x56]);
        const child = await attach(item.id);
        assert.deepEqual((await child.held()).keys, [], 'held keys are released');
        await child.fill(0, 0, 400, 300, `#0000${10 + i}`);
        const own = Number.parseInt(`${10 + i}`, 16);
        await eventually(`child ${i} shows its own colour`, async () =>
            (await pixels(item.id)).at(100, 100)[2] === own, { ms: 20000 });
        colours.push((await pixels(item.id)).at(100, 100)[2]);
        child.close();
    }
    assert.deepEqual(colours, items.map((_, i) => Number.parseInt(`${10 + i}`, 16)));
    assert.deepEqual((await pixels(id)).at(100, 100), [0x12, 0x34, 0x56]);
    assert.ok(pause < 5000);
    parent.close();
    await Promise.all([id, ...items.map((item) => item.id)].map(remove));
});

test('a fork of a fork of a fork', options, async () => {
    const ids = [await create()];
    for (let i = 1; i <= 3; i++) {
        const probe = await attach(ids.at(-1));
        await probe.fill(i * 100, 0, 50, 50, `#${i}0${i}0${i}0`);
        probe.close();
        ids.push((await fork(ids.at(-1))).items[0].id);
    }
    const last = await pixels(ids.at(-1));
    for (let i = 1; i <= 3; i++)
        assert.deepEqual(last.at(i * 100 + 20, 20), [i * 16, i * 16, i * 16]);
    const { items } = (await farm.client.call('GET', '/v1/tree')).json;
    for (let i = 1; i <= 3; i++)
        assert.equal(items.find((item) => item.id === ids[i]).sandbox, ids[i - 1]);
    await Promise.all(ids.map(remove));
});

test('going back to a checkpoint shows the same screen each time', options, async () => {
    const id = await create();
    let probe = await attach(id);
    await probe.fill(10, 10, 300, 200, '#abcdef');
    await farm.client.call('POST', `/v1/sandboxes/${id}/desktop/wait`, { body: { for: 'settled' } });
    const before = await hash(id);
    const kept = await checkpoint(id, 'painted');
    assert.equal(kept.name, 'painted');
    for (let i = 0; i < (full ? 50 : 4); i++) {
        await probe.fill(0, 0, 1280, 800, `#${String(100000 + i)}`);
        probe.close();
        assert.equal((await restore(id, kept.id)).status.state, 'Running');
        assert.equal(await hash(id), before, `after ${i + 1} restores`);
        probe = await attach(id);
    }
    probe.close();
    const other = (await farm.client.call('POST', `/v1/checkpoints/${kept.id}/sandboxes`, { body: {} })).json;
    farm.daemon.ids.add(other.id);
    await farm.client.waitState(other.id, 'Running');
    assert.equal(await hash(other.id), before);
    await Promise.all([id, other.id].map(remove));
    await farm.client.call('DELETE', `/v1/checkpoints/${kept.id}`);
    assert.equal((await farm.client.send('GET', `/v1/checkpoints/${kept.id}`)).status, 404);
});

test('a checkpoint outlives the daemon, also of a sandbox that was powered on', options, async () => {
    const cold = (await farm.client.create('probe', { boot: 'cold' })).id;
    await farm.client.waitState(cold, 'Running');
    const probe = await Probe.attach(farm.daemon, cold);
    await probe.fill(0, 0, 100, 100, '#987654');
    probe.close();
    const child = (await fork(cold)).items[0].id;
    const kept = await checkpoint(child, 'of a child');
    await farm.daemon.kill();
    await farm.daemon.start();
    farm.client = farm.daemon.client();
    await farm.client.waitState(cold, 'Running');
    assert.deepEqual((await pixels(cold)).at(50, 50), [0x98, 0x76, 0x54]);
    await farm.client.waitState(child, 'Running');
    await Promise.all([remove(cold), remove(child)]);
    const again = (await farm.client.call('POST', `/v1/checkpoints/${kept.id}/sandboxes`, { body: {} })).json;
    farm.daemon.ids.add(again.id);
    await farm.client.waitState(again.id, 'Running');
    assert.deepEqual((await pixels(again.id)).at(50, 50), [0x98, 0x76, 0x54]);
    await remove(again.id);
    await farm.client.call('DELETE', `/v1/checkpoints/${kept.id}`);
    const fromTemplate = await create();
    await remove(fromTemplate);
});

test('what cannot be done is refused', options, async () => {
    const id = await create();
    const refused = async (status, code, method, where, body) => {
        const answer = await farm.client.send(method, where, { body });
        assert.deepEqual([answer.status, answer.json?.code], [status, code], `${method} ${where}`);
    };
    await refused(404, 'not_found', 'POST', '/v1/sandboxes/sb-none/fork', {});
    await refused(404, 'not_found', 'POST', `/v1/sandboxes/${id}/restore`, { checkpoint: 'cp-none' });
    await refused(400, 'bad_value', 'POST', `/v1/sandboxes/${id}/fork`, { count: 65 });
    await refused(429, 'quota_exceeded', 'POST', `/v1/sandboxes/${id}/fork`, { count: 64 });
    await refused(404, 'unknown_image', 'POST', '/v1/templates', { image: { uri: 'none' } });
    const big = (await farm.client.create('probe', { boot: 'cold', resourceLimits: { cpu: '1' } })).id;
    await farm.client.waitState(big, 'Running');
    await refused(409, 'conflict', 'POST', `/v1/sandboxes/${big}/restore`, { checkpoint: farm.template.id });
    await Promise.all([remove(id), remove(big)]);
});

/** Processes of this daemon and its guests, descriptors, and memory that is the daemon's own, settled. */
const held = async () => ({
    files: stock(), fds: countFds(farm.daemon.pid), processes: farm.daemon.guestProcesses().length,
    dirs: fs.readdirSync(path.join(farm.daemon.stateDir, 'sandboxes')).length,
});

test('rounds of fork and delete leave nothing behind', options, async () => {
    const id = await create();
    const round = async () => {
        const child = (await fork(id)).items[0].id;
        const probe = await attach(child);
        await farm.client.act(child, { type: 'type', text: 'lost' });
        const typed = (await probe.received(farm.client, 0)).filter((e) => e.ev === 'key' && e.down);
        assert.equal(typed.map((e) => e.text).join(''), 'lost', 'no event is lost');
        probe.close();
        assert.match(await ask(child, "dmesg | grep -ciE 'lockup|stall|hung' | sed 's/^/found=/'"), /found=0/);
        await remove(child);
        farm.daemon.ids.delete(child);
    };
    const rest = async (what, isSame = () => true) => {
        await hasSpare();
        return eventually(what, async () => {
            const { items } = (await farm.client.call('GET', '/v1/sandboxes')).json;
            const now = await held();
            return items.length === 1 && isSame(now) && now;
        }, { ms: 20000 }).catch(async (error) => {
            throw new Error(`${error.message}: ${JSON.stringify(await held())}`);
        });
    };
    for (let i = 0; i < 3; i++)
        await round(); /* warm: pools and caches are filled */
    const before = await rest('the first rounds are over');
    const bytes = ownMemory(farm.daemon.pid), shared = sharedBytes();
    for (let i = 0; i < (full ? 100 : 5); i++)
        await round();
    await rest(`nothing but ${JSON.stringify(before)} is left`, (now) => now.files.join() === before.files.join() &&
        now.fds <= before.fds && now.processes <= before.processes && now.dirs <= before.dirs);
    const growth = (ownMemory(farm.daemon.pid) - bytes) / (1 << 20);
    assert.ok(isSanitized() || growth < (full ? 8 : 4), `the daemon grew by ${growth.toFixed(1)} MiB`);
    await eventually('memory files are gone', async () => sharedBytes() <= shared + (8 << 20));
    await remove(id);
    await eventually('nothing but the template is left', async () => stock().join() === before.files.join());
});

/** What the daemon's memory files (RAM of guests, pages, screens) take. */
function sharedBytes() {
    const dir = `/proc/${farm.daemon.pid}/fd`;
    return fs.readdirSync(dir).reduce((sum, fd) => {
        try {
            return fs.readlinkSync(`${dir}/${fd}`).startsWith('/memfd:') ? sum + fs.statSync(`${dir}/${fd}`).blocks * 512 : sum;
        } catch {
            return sum; /* closed meanwhile */
        }
    }, 0);
}

/* The last: with a key there is no way in without one. */
test('what checkpoints take is charged to the key, before anything starts', options, async () => {
    const mib = farm.template.memory_mib + 16; /* the most that one may take */
    const { key } = (await farm.client.call('POST', '/v1/keys',
        { body: { name: 'small', role: 'operator', limits: { disk_mib: mib, sandboxes: 2 } } })).json;
    const client = farm.daemon.client({ key });
    const { id } = await client.create('probe', { boot: 'template' });
    await client.waitState(id, 'Running');
    const take = (name) => client.send('POST', `/v1/sandboxes/${id}/checkpoints`, { body: { name } });
    const first = await take('fits');
    assert.equal(first.status, 201, first.body.toString());
    const names = async () => (await client.call('GET', '/v1/checkpoints')).json.items.map(({ name }) => name);
    const second = await take('does not');
    assert.deepEqual([second.status, second.json.code], [429, 'quota_exceeded']);
    assert.match(second.json.message, new RegExp(`this key's limit of ${mib} MiB of disk would be exceeded: \\d+ in use, ${mib} asked for`));
    assert.deepEqual(await names(), ['fits']);
    const several = await client.send('POST', `/v1/sandboxes/${id}/fork`, { body: { count: 2 } });
    assert.deepEqual([several.status, several.json.code], [429, 'quota_exceeded'], 'not one of the two is made');
    assert.equal((await client.call('GET', '/v1/sandboxes')).json.items.length, 1);
    await client.call('DELETE', `/v1/checkpoints/${first.json.id}`);
    assert.equal((await take('fits again')).status, 201);
    assert.deepEqual(await names(), ['fits again']);
    await client.delete(id);
});
