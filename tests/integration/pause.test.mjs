/**
 * Pause, resume and labels, as OpenSandbox clients use them: a paused desktop can be looked at and
 * not acted on, stays paused over a restart of the daemon, ends with its lease, and goes on.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from './lib/client.mjs';
import { useFarm } from './lib/farm.mjs';
import { Probe } from './lib/probe.mjs';
import { eventually } from './lib/wait.mjs';

const farm = useFarm({ daemon: { keepGuests: true }, sandbox: { metadata: { team: 'a', run: '1' } } });
const options = { skip: farm.skip, timeout: 60000 };
const route = (rest) => `/v1/sandboxes/${farm.id}${rest}`;
const post = (rest) => farm.client.call('POST', route(rest));
const refuses = (code, call) => assert.rejects(call, (error) => error instanceof ApiError && error.code === code);
const tap = { type: 'key', keys: 'a' };

async function pause() {
    const answer = await post('/pause');
    assert.equal(answer.status, 202);
    assert.match(answer.json.status.state, /^Paus(ing|ed)$/);
    await farm.client.waitState(farm.id, 'Paused', 5000);
}

async function resume() {
    const answer = await post('/resume');
    assert.equal(answer.status, 202);
    assert.match(answer.json.status.state, /^(Resuming|Running)$/);
    await farm.client.waitState(farm.id, 'Running', 5000);
}

test('a paused desktop can be looked at, and not acted on', options, async () => {
    const before = await farm.client.shot(farm.id, { cursor: 'false' });
    await pause();
    const during = await farm.client.shot(farm.id, { cursor: 'false' });
    assert.ok(during.body.equals(before.body), 'the same picture');
    await refuses('conflict', farm.client.act(farm.id, tap));
    await refuses('conflict', farm.client.resize(farm.id, 800, 600));
    assert.equal((await post('/pause')).status, 202, 'pausing twice is no error');
});

test('it stays paused when the daemon is killed, and goes on when it is resumed', options, async () => {
    farm.probe.close();
    await farm.daemon.kill();
    await farm.daemon.start();
    farm.client = farm.daemon.client();
    await farm.client.waitState(farm.id, 'Paused', 10000);
    await farm.client.shot(farm.id);
    await resume();
    assert.equal((await post('/resume')).status, 202, 'resuming twice is no error');
    farm.probe = await Probe.attach(farm.daemon, farm.id, { isUp: true });
    await eventually('the agent is ready', async () => (await farm.client.get(farm.id)).agent === 'ready');
    await farm.client.act(farm.id, tap);
});

test('a batch under way is aborted, and what it held is released', options, async () => {
    const batch = farm.client.send('POST', route('/desktop/actions'),
        { body: { actions: [{ type: 'key_down', keys: 'shift' }, { type: 'wait', duration_ms: 20000 }] } });
    await eventually('shift is down', async () => farm.probe.events.some((event) =>
        event.ev === 'key' && event.down && /^Shift/.test(event.keysym)));
    await pause();
    const answer = await batch;
    assert.equal(answer.json.code, 'conflict');
    await resume();
    await eventually('shift is up', async () => farm.probe.events.some((event) =>
        event.ev === 'key' && !event.down && /^Shift/.test(event.keysym)));
});

test('ten times in a row', options, async () => {
    for (let i = 0; i < 10; i++) {
        await pause();
        await resume();
    }
    await farm.client.act(farm.id, tap);
});

test('labels take a merge patch', options, async () => {
    const patch = (body, headers) => farm.client.call('PATCH', route('/metadata'), { body, headers });
    const { json } = await patch({ team: 'b', run: null, new: 'x' });
    assert.deepEqual(json.metadata, { team: 'b', new: 'x' });
    assert.deepEqual((await farm.client.get(farm.id)).metadata, { team: 'b', new: 'x' });
    await refuses('bad_type', patch({ team: 7 }));
    await refuses('bad_value', patch(Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`l${i}`, 'x']))));
    const list = async (metadata) => (await farm.client.call('GET', '/v1/sandboxes', { query: { metadata } })).json.items;
    assert.equal((await list('team=b&new=x')).length, 1);
    assert.equal((await list('team=a')).length, 0);
    const paused = (await farm.client.call('GET', '/v1/sandboxes', { query: { state: 'Paused' } })).json;
    assert.equal(paused.items.length, 0);
});

test('the lease of a paused sandbox ends it', { ...options, timeout: 90000 }, async () => {
    const expiresAt = new Date(Date.now() + 3000).toISOString();
    await pause();
    await farm.client.call('POST', route('/renew-expiration'), { body: { expiresAt } });
    await eventually('it is gone', async () =>
        (await farm.client.send('GET', route(''))).status === 404, { ms: 15000 });
});
