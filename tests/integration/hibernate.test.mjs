/** Going to disk and coming back: by a request, by being left alone, and over a daemon that dies. */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { findProcesses } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { decodePng } from './lib/png.mjs';
import { Probe } from './lib/probe.mjs';
import { haveTemplate } from './lib/templates.mjs';
import { eventually } from './lib/wait.mjs';

const farm = useFarm({
    daemon: { boot: 'auto' }, withProbe: false,
    prepare: async () => {
        farm.template = await haveTemplate(farm.client, 'probe');
    },
});
const options = { skip: farm.skip, timeout: 180000 };
const post = async (where, body) => (await farm.client.call('POST', where, { body })).json;
const pixels = async (id) => decodePng((await farm.client.shot(id, { cursor: false })).body);
const hash = async (id) => crypto.createHash('sha256').update((await pixels(id)).data).digest('hex');

async function create(more = {}) {
    const { id } = await farm.client.create('probe', more);
    await farm.client.waitState(id, 'Running');
    return id;
}

async function paint(id, colour, isUp = true) {
    const probe = await Probe.attach(farm.daemon, id, { isUp });
    await probe.fill(0, 0, 400, 300, colour);
    probe.close();
    await post(`/v1/sandboxes/${id}/desktop/wait`, { for: 'settled' });
}

async function hibernate(id) {
    await post(`/v1/sandboxes/${id}/hibernate`);
    await farm.client.waitState(id, 'Hibernated');
}

const guests = (id) => findProcesses(`guest=${id},`).concat(findProcesses(`guest=${id}\0`));

test('no process and no memory is left; the first screenshot wakes it', options, async () => {
    const id = await create();
    await paint(id, '#13579b');
    const before = await hash(id);
    await hibernate(id);
    await eventually('its QEMU is gone', async () => guests(id).length === 0);
    assert.equal((await farm.client.get(id)).desktop.ready, false);
    const { held } = (await farm.client.call('GET', '/v1/info')).json;
    assert.equal(held.memory_mib, 0);
    assert.equal((await farm.client.get(id)).status.state, 'Hibernated', 'a look does not wake it');
    assert.equal(await hash(id), before);
    const after = await farm.client.get(id);
    assert.deepEqual([after.status.state, after.status.reason], ['Running', 'Woken']);
    assert.equal(after.checkpoint, farm.template.id);
    await farm.client.delete(id);
});

test('an action wakes it and is played', options, async () => {
    const id = await create();
    await hibernate(id);
    await farm.client.act(id, { type: 'type', text: 'abc' });
    const probe = await Probe.attach(farm.daemon, id, { isUp: true });
    await farm.client.act(id, { type: 'type', text: 'def' });
    const typed = (await probe.received(farm.client, 0)).filter((e) => e.ev === 'key' && e.down);
    assert.match(typed.map((e) => e.text).join(''), /def$/);
    probe.close();
    await farm.client.delete(id);
});

test('many cycles, also of one that was powered on and one that is paused', options, async () => {
    const cold = await create({ boot: 'cold' });
    const probe = await Probe.attach(farm.daemon, cold);
    await probe.fill(0, 0, 1280, 800, '#2468ac');
    probe.close();
    await post(`/v1/sandboxes/${cold}/desktop/wait`, { for: 'settled' });
    const before = await hash(cold);
    for (let i = 0; i < 4; i++) {
        if (i === 2) {
            await post(`/v1/sandboxes/${cold}/pause`);
            await farm.client.waitState(cold, 'Paused');
        }
        await hibernate(cold);
        const woken = await post(`/v1/sandboxes/${cold}/wake`);
        assert.equal(woken.status.state, 'Running');
        assert.equal(await hash(cold), before, `cycle ${i}`);
    }
    assert.deepEqual(await farm.client.call('POST', `/v1/sandboxes/${cold}/wake`).then((a) => a.status), 200);
    await farm.client.delete(cold);
});

test('it hibernates or is deleted when nobody uses it', options, async () => {
    const id = await create({ idle: { seconds: 1, action: 'hibernate' } });
    assert.deepEqual((await farm.client.get(id)).idle, { seconds: 1, action: 'hibernate' });
    await farm.client.waitState(id, 'Hibernated', 20000);
    await pixels(id);
    await farm.client.call('PUT', `/v1/sandboxes/${id}/idle`, { body: { idle: null } });
    assert.equal((await farm.client.get(id)).idle, null);
    await farm.client.call('PUT', `/v1/sandboxes/${id}/idle`, { body: { idle: { seconds: 1, action: 'delete' } } });
    await eventually('it is deleted', async () =>
        (await farm.client.send('GET', `/v1/sandboxes/${id}`)).status === 404, { ms: 20000 });
});

test('a wait that lasts is a use', options, async () => {
    const id = await create({ idle: { seconds: 1 } });
    const began = performance.now();
    await post(`/v1/sandboxes/${id}/desktop/wait`, { for: 'change', max_ms: 3000 });
    assert.ok(performance.now() - began > 2000);
    assert.equal((await farm.client.get(id)).status.state, 'Running');
    await farm.client.waitState(id, 'Hibernated', 20000);
    await farm.client.delete(id);
    await eventually('what it slept in is thrown away', async () =>
        fs.readdirSync(path.join(farm.daemon.stateDir, 'checkpoints')).every((name) =>
            name.startsWith(farm.template.id)));
});

test('it sleeps on over a restart of the daemon', options, async () => {
    const id = await create();
    await paint(id, '#fedcba');
    const before = await hash(id);
    await hibernate(id);
    await farm.daemon.kill();
    await farm.daemon.start();
    farm.client = farm.daemon.client();
    assert.equal((await farm.client.get(id)).status.state, 'Hibernated');
    assert.equal(await hash(id), before);
    await farm.client.delete(id);
});

test('going back wakes it, too; a hibernating one can be renewed and relabelled', options, async () => {
    const id = await create();
    await paint(id, '#0f0f0f');
    const kept = await post(`/v1/sandboxes/${id}/checkpoints`, { name: 'kept' });
    await paint(id, '#f0f0f0');
    await hibernate(id);
    await farm.client.call('PATCH', `/v1/sandboxes/${id}/metadata`, { body: { a: 'b' } });
    assert.equal((await farm.client.get(id)).status.state, 'Hibernated');
    await post(`/v1/sandboxes/${id}/restore`, { checkpoint: kept.id });
    assert.deepEqual((await pixels(id)).at(100, 100), [15, 15, 15]);
    await farm.client.delete(id);
});
