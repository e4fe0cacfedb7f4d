/**
 * The agent in the guest, as the farm sees it: there soon after power-on, again after the daemon was
 * killed and after the agent itself was, and told by the API.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useFarm } from './lib/farm.mjs';
import { eventually } from './lib/wait.mjs';

const farm = useFarm({ daemon: { keepGuests: true } });
const options = { skip: farm.skip, timeout: 60000 };

const waitReady = (ms = 30000) => eventually('the agent is ready', async () =>
    (await farm.client.get(farm.id)).agent === 'ready', { ms, every: 20 });

async function metric(name) {
    const { body } = await farm.client.call('GET', '/metrics');
    return Number(new RegExp(`^deskfarm_${name} (\\d+)`, 'm').exec(body)[1]);
}

test('the agent answers, and the sandbox and its display say so', options, async () => {
    await waitReady();
    assert.equal((await farm.client.display(farm.id)).agent, 'ready');
    assert.equal(await metric('agents'), 1);
    assert.equal(await metric('agent_sessions_total'), 1);
});

test('a daemon that was killed finds the agent again', options, async () => {
    farm.probe.close();
    await farm.daemon.kill();
    await farm.daemon.start();
    farm.client = farm.daemon.client();
    await farm.client.waitState(farm.id, 'Running');
    await waitReady(2000);
});
