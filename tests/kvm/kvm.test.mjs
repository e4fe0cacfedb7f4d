/**
 * The farm under KVM, on the probe: boot, click, checkpoint, a fork of a fork, equal screens. Run by
 * `./check --kvm`: here when this machine has KVM, else in a guest that emulates a CPU with AMD-V, where
 * everything takes many times longer. Deadlines are made for that.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { Daemon } from '../integration/lib/daemon.mjs';
import { decodePng } from '../integration/lib/png.mjs';
import { Probe } from '../integration/lib/probe.mjs';
import { eventually } from '../integration/lib/wait.mjs';

const MS = 600000;
const options = { timeout: MS };
const begin = performance.now();
const say = (text) => console.log(`# [${((performance.now() - begin) / 1000).toFixed(1)} s] ${text}`);
let daemon, client, cold, probe, template, parent, child, grandchild, kept;

const post = async (where, body = {}) => (await client.call('POST', where, { body, ms: MS })).json;
const pixels = async (id) => decodePng((await client.shot(id, { cursor: false }, { ms: MS })).body);
const hash = async (id) => crypto.createHash('sha256').update((await pixels(id)).data).digest('hex');
const shows = (id, rgb) => eventually(`${id} shows ${rgb}`, async () =>
    (await pixels(id)).at(50, 50).join() === rgb.join(), { ms: MS });

async function fork(id) {
    const answer = await post(`/v1/sandboxes/${id}/fork`);
    const [item] = answer.items;
    daemon.ids.add(item.id);
    say(`fork of ${id}: ${item.id} ran after ${item.times.running_ms.toFixed(0)} ms, `
        + `paused ${answer.pause_ms.toFixed(0)} ms, ${(answer.dirty_bytes / (1 << 20)).toFixed(1)} MiB its own`);
    return item.id;
}

before(async () => {
    daemon = await Daemon.start({ args: ['--accel', 'kvm', '--pool', '0'] });
    client = daemon.client();
}, options);

after(async () => {
    probe?.close();
    await daemon?.destroy();
}, options);

test('the daemon uses KVM', options, async () => {
    const info = (await client.call('GET', '/v1/info')).json;
    assert.equal(info.accel?.name ?? info.accel, 'kvm');
    const flags = new Set(/^flags\s*:(.*)$/m.exec(fs.readFileSync('/proc/cpuinfo', 'latin1'))[1].trim().split(' '));
    assert.ok(flags.has('vmx') || flags.has('svm'), 'a CPU with virtualization');
});

test('a guest boots', options, async () => {
    const sandbox = await client.create('probe', { boot: 'cold' });
    cold = sandbox.id;
    await client.waitState(cold, 'Running', MS);
    probe = await Probe.attach(daemon, cold, { ms: MS });
    say(`${cold} is up`);
    assert.deepEqual((await pixels(cold)).at(300, 200), [44, 200, 16]);
});

test('a click arrives where it was aimed, once', options, async () => {
    const from = probe.mark();
    await client.act(cold, { type: 'click', x: 321, y: 234 });
    const down = await probe.until((e) => e.ev === 'button' && e.down, { from, ms: MS });
    await probe.until((e) => e.ev === 'button' && !e.down, { from, ms: MS });
    assert.deepEqual([down.button, down.x, down.y], [1, 321, 234]);
    assert.equal(probe.since(from, 'button').length, 2);
    probe.close();
    await client.delete(cold);
});

test('a template is baked, a sandbox restored from it', options, async () => {
    template = await post('/v1/templates', { image: { uri: 'probe' }, network: 'none' });
    say(`${template.id} is baked`);
    parent = (await client.create('probe', { boot: 'template' })).id;
    const sandbox = await client.waitState(parent, 'Running', MS);
    assert.equal(sandbox.checkpoint, template.id);
    say(`${parent} ran after ${sandbox.times.running_ms.toFixed(0)} ms`);
    probe = await Probe.attach(daemon, parent, { isUp: true, ms: MS });
});

test('a checkpoint, and a fork of a fork: the same screen', options, async () => {
    await probe.fill(0, 0, 200, 200, '#123456');
    await shows(parent, [0x12, 0x34, 0x56]);
    kept = await post(`/v1/sandboxes/${parent}/checkpoints`, { name: 'kept' });
    say(`${kept.id}: paused ${kept.pause_ms.toFixed(0)} ms`);
    child = await fork(parent);
    grandchild = await fork(child);
    const screens = [];
    for (const id of [parent, child, grandchild])
        screens.push(await hash(id));
    say(`screens: ${screens.map((it) => it.slice(0, 16)).join(' ')}`);
    assert.equal(new Set(screens).size, 1);
});

test('they diverge, and going back gives the checkpoint\'s screen', options, async () => {
    const before = await hash(grandchild);
    await probe.fill(0, 0, 200, 200, '#654321');
    await shows(parent, [0x65, 0x43, 0x21]);
    probe.close();
    assert.equal(await hash(grandchild), before);
    const other = await Probe.attach(daemon, grandchild, { isUp: true, ms: MS });
    await other.fill(0, 0, 200, 200, '#abcdef');
    await shows(grandchild, [0xab, 0xcd, 0xef]);
    const from = other.mark();
    await client.act(grandchild, { type: 'click', x: 77, y: 88 });
    const down = await other.until((e) => e.ev === 'button' && e.down, { from, ms: MS });
    assert.deepEqual([down.x, down.y], [77, 88]);
    other.close();
    await post(`/v1/sandboxes/${parent}/restore`, { checkpoint: kept.id });
    assert.equal(await hash(parent), before);
    assert.equal(await hash(child), before);
});
