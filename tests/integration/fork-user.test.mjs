/** Templates, forks and checkpoints by a daemon without privileges. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useFarm } from './lib/farm.mjs';
import { decodePng } from './lib/png.mjs';
import { Probe } from './lib/probe.mjs';

const USER = 64012; /* no passwd entry is needed */
const user = process.getuid() === 0 ? { user: USER, env: { HOME: '/nonexistent', XDG_RUNTIME_DIR: '' } } : {};
const farm = useFarm({ daemon: { ...user, boot: 'auto' }, withProbe: false });
const options = { skip: farm.skip, timeout: 180000 };
const post = async (where, body = {}) => (await farm.client.call('POST', where, { body, ms: 120000 })).json;

test('bakes, restores, forks, and goes back', options, async () => {
    const template = await post('/v1/templates', { image: { uri: 'probe' }, network: 'none' });
    const id = (await farm.client.create('probe')).id;
    const sandbox = await farm.client.waitState(id, 'Running');
    assert.equal(sandbox.checkpoint, template.id);
    const probe = await Probe.attach(farm.daemon, id, { isUp: true });
    await probe.fill(0, 0, 200, 200, '#112233');
    const colour = async (of) => decodePng((await farm.client.shot(of, { cursor: false })).body).at(50, 50);
    const child = await farm.client.fork(id);
    const kept = await post(`/v1/sandboxes/${child}/checkpoints`, { name: 'kept' });
    await probe.fill(0, 0, 200, 200, '#445566');
    probe.close();
    assert.deepEqual(await colour(child), [0x11, 0x22, 0x33]);
    await post(`/v1/sandboxes/${id}/restore`, { checkpoint: kept.id });
    assert.deepEqual(await colour(id), [0x11, 0x22, 0x33]);
});
