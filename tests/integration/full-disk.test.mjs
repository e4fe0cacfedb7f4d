/** A disk that fills up while a checkpoint, a hibernation or a recording is written: nothing is lost. Needs root, for a tmpfs. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Daemon, lacksImage } from './lib/daemon.mjs';
import { decodePng } from './lib/png.mjs';
import { Probe } from './lib/probe.mjs';
import { eventually } from './lib/wait.mjs';

const MIB = 1 << 20;
const LEFT = 80 * MIB; /* more than the daemon asks for before it begins, less than a probe's RAM */
const skip = lacksImage('probe') || (process.getuid() === 0 ? false : 'needs root, to mount a small tmpfs');
const options = { skip, timeout: 120000 };
let dir, daemon, client, id, first;

const post = (where, body = {}) => client.send('POST', where, { body });
const pixel = async (of) => decodePng((await client.shot(of, { cursor: false })).body).at(50, 50).join();
const files = () => ['layers', 'ram', 'checkpoints'].flatMap((name) => fs.readdirSync(path.join(dir, name))).sort().join();

/** Leaves so many bytes. */
function fill(leave = LEFT) {
    const { bavail, bsize } = fs.statfsSync(dir);
    const fd = fs.openSync(path.join(dir, 'ballast'), 'w');
    for (let left = bavail * bsize - leave; left > 0; left -= MIB)
        fs.writeSync(fd, Buffer.alloc(MIB));
    fs.closeSync(fd);
}

before(async () => {
    if (skip)
        return;
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1g', 'tmpfs', dir]);
    daemon = await Daemon.start({ stateDir: dir });
    client = daemon.client();
    id = (await client.create('probe')).id; /* powered on: a checkpoint writes all of its RAM */
    const probe = await Probe.attach(daemon, id);
    await probe.fill(0, 0, 200, 200, '#102030');
    probe.close();
    await eventually('it is painted', async () => await pixel(id) === '16,32,48');
    first = (await post(`/v1/sandboxes/${id}/checkpoints`, { name: 'first' })).json;
}, { timeout: 120000 });

after(async () => {
    if (skip)
        return;
    await daemon?.destroy().finally(() => execFileSync('umount', ['-l', dir]));
    fs.rmdirSync(dir);
});

test('a checkpoint that does not fit leaves the sandbox running and the others whole', options, async () => {
    const before = files();
    fill();
    const answer = await post(`/v1/sandboxes/${id}/checkpoints`, { name: 'too much' });
    assert.deepEqual([answer.status, answer.json.code], [507, 'disk_full'], answer.json.message);
    assert.equal((await client.get(id)).status.state, 'Running');
    assert.equal(await pixel(id), '16,32,48');
    await eventually('nothing of it is left', async () => files() === before);
    const { items } = (await client.call('GET', '/v1/checkpoints')).json;
    assert.deepEqual(items.map((item) => item.name), ['first']);
});

test('so does a hibernation', options, async () => {
    const before = files();
    await post(`/v1/sandboxes/${id}/hibernate`);
    const now = await eventually('it runs again', async () => {
        const sandbox = await client.get(id);
        return sandbox.status.reason === 'HibernateFailed' && sandbox;
    }, { ms: 30000 });
    assert.equal(now.status.state, 'Running');
    assert.match(now.status.message, /No space left|disk/i);
    assert.equal(await pixel(id), '16,32,48');
    await eventually('nothing of it is left', async () => files() === before);
});

test('with room again the old one restores, and a new one is taken', options, async () => {
    fs.rmSync(path.join(dir, 'ballast'));
    const [child] = (await post(`/v1/checkpoints/${first.id}/fork`)).json.items;
    daemon.ids.add(child.id);
    assert.equal(await pixel(child.id), '16,32,48');
    await client.delete(child.id);
    assert.equal((await post(`/v1/sandboxes/${id}/checkpoints`, { name: 'second' })).status, 201);
});

test('a recording ends where it is good, the desktop goes on; with room again there is a new segment', options, async () => {
    const recording = (await client.get(id)).recording.id;
    const about = async () => (await client.call('GET', `/v1/recordings/${recording}`)).json;
    const index = async () => (await client.call('GET', `/v1/recordings/${recording}/index`)).json;
    const isExact = async (frame) => JSON.parse((await client.call('GET', `/v1/recordings/${recording}/frame`,
        { query: { frame } })).headers['x-deskfarm-result']).exact;
    const probe = await Probe.attach(daemon, id, { isUp: true });
    const act = async (color) => {
        await probe.fill(0, 0, 200, 200, color);
        await eventually(`the screen shows ${color}`, async () => await pixel(id) === Buffer.from(color.slice(1), 'hex').join());
        return client.act(id, [{ type: 'move', x: 30, y: 30 }]);
    };
    const before = await act('#405060');
    assert.equal(await isExact(before.frame), true);
    const { segments } = await index();
    fill(8 * MIB);
    const during = await act('#708090');
    assert.ok(during.frame > before.frame, 'the action is answered');
    const stalled = await eventually('it is told', async () => {
        const it = await about();
        return it.state === 'stalled' && it;
    });
    assert.match(stalled.reason, /No space left/);
    assert.equal((await client.get(id)).recording.state, 'stalled');
    assert.equal((await client.send('POST', `/v1/recordings/${recording}/marks`, { body: { label: 'no' } })).status, 409);
    assert.deepEqual((await index()).damage, []);
    assert.equal(await isExact(before.frame), true);
    fs.rmSync(path.join(dir, 'ballast'));
    await eventually('it goes on', async () => (await about()).state === 'recording', { ms: 20000 });
    const later = await act('#a0b0c0');
    assert.equal(await isExact(later.frame), true);
    assert.equal((await about()).reason, '');
    const now = await index();
    assert.equal(now.segments.length, segments.length + 1);
    assert.ok(now.segments.at(-1).frames.some(([, , frame]) => frame === later.frame), 'in a segment of its own');
    assert.deepEqual(now.damage, []);
    const { items } = (await client.call('GET', `/v1/recordings/${recording}/actions`, { query: { kind: 'event' } })).json;
    assert.equal(items.at(-1).event, 'resumed');
    probe.close();
});
