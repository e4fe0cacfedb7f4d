/** A daemon without privileges starts, shows and drives a guest as well, and finds it again. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { useFarm } from './lib/farm.mjs';
import { decodePng } from './lib/png.mjs';
import { pattern, Probe } from './lib/probe.mjs';

const USER = 64011; /* no passwd entry is needed */
const isRoot = process.getuid() === 0;
const farm = useFarm(isRoot ? { daemon: { user: USER, env: { HOME: '/nonexistent', XDG_RUNTIME_DIR: '' } } } : {});
const options = { skip: farm.skip, timeout: 120000 };

async function assertWorks() {
    await farm.probe.clear();
    await farm.client.call('POST', `/v1/sandboxes/${farm.id}/desktop/wait`, { body: { for: 'settled' } });
    const { body } = await farm.client.shot(farm.id, { cursor: false });
    assert.equal(decodePng(body).differences(pattern).n, 0);
    const mark = farm.probe.mark();
    await farm.client.act(farm.id, [{ type: 'click', x: 1000, y: 700 }, { type: 'type', text: 'Hello, World!' }]);
    const events = await farm.probe.received(farm.client, mark);
    assert.deepEqual(events.filter((e) => e.ev === 'button' && e.down).map((e) => [e.x, e.y]), [[1000, 700]]);
    assert.equal(events.filter((e) => e.ev === 'key' && e.down).map((e) => e.text).join(''), 'Hello, World!');
}

test('the daemon is an ordinary user', options, () => {
    const status = fs.readFileSync(`/proc/${farm.daemon.pid}/status`, 'latin1');
    assert.match(status, /CapEff:\s+0+\n/);
    assert.doesNotMatch(status, /Uid:\s+0\s/);
});

test('screenshot, click and text', options, assertWorks);

test('after SIGKILL the next daemon finds the guest', options, async () => {
    await farm.daemon.kill();
    await farm.daemon.start();
    farm.client = farm.daemon.client();
    await farm.client.waitState(farm.id, 'Running', 20000);
    farm.probe.close();
    farm.probe = await Probe.attach(farm.daemon, farm.id, { isUp: true });
    await assertWorks();
});

test('network nat, as an ordinary user, starts or says what is missing', options, async () => {
    const answer = await farm.client.send('POST', '/v1/sandboxes', { body: { image: { uri: 'probe' }, network: 'nat' } });
    if (answer.status !== 202)
        assert.deepEqual([answer.status, answer.json.code], [501, 'unsupported']);
    else {
        farm.daemon.ids.add(answer.json.id);
        await farm.client.waitState(answer.json.id, 'Running');
        await farm.client.delete(answer.json.id);
    }
});
