/** Recordings go by age and by size, the oldest first; never what is being written. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { useFarm } from './lib/farm.mjs';
import { createGuest } from './lib/templates.mjs';
import { eventually } from './lib/wait.mjs';

const farm = useFarm({ daemon: { args: ['--record-days', '2', '--record-max-mib', '64'] }, withProbe: false });
const options = { skip: farm.skip, timeout: 120000 };
const DAY_S = 86400;

const get = (recording) => farm.client.send('GET', `/v1/recordings/${recording}`);
const dirOf = (recording) => path.join(farm.daemon.stateDir, 'recordings', recording);
const segments = (recording) => fs.readdirSync(dirOf(recording)).map((name) => path.join(dirOf(recording), name));

async function begin() {
    const { id } = await createGuest(farm.client, 'probe');
    await farm.client.act(id, { type: 'move', x: 10, y: 10 }, { screenshot: { cursor: false } });
    return { id, recording: (await farm.client.get(id)).recording.id };
}

async function end({ id, recording }) {
    await farm.client.delete(id);
    await eventually('the recording has ended', async () => (await get(recording)).json.state === 'ended');
    return recording;
}

/** As if it had been written that long ago. */
function age(recording, days) {
    const then = Date.now() / 1000 - days * DAY_S;
    segments(recording).forEach((file) => fs.utimesSync(file, then, then));
}

const isGone = (recording) => eventually(`${recording} is gone`, async () => (await get(recording)).status === 404
    && !fs.existsSync(dirOf(recording)));

test('what is older than its days goes, what is younger or being written stays', options, async () => {
    const old = await end(await begin()), young = await end(await begin()), running = await begin();
    age(old, 2.1);
    age(young, 1.9);
    age(running.recording, 3);
    await end(await begin()); /* an end is when the daemon looks */
    await isGone(old);
    assert.equal((await get(young)).status, 200);
    assert.equal((await get(running.recording)).json.state, 'recording');
    await farm.client.act(running.id, { type: 'move', x: 20, y: 20 }, { screenshot: { cursor: false } });
    assert.ok(segments(running.recording).length > 0);
    await end(running);
});

test('when all are too many bytes, the oldest goes', options, async () => {
    const first = await end(await begin()), second = await end(await begin());
    age(first, 1.5);
    age(second, 1);
    for (const recording of [first, second])
        fs.truncateSync(segments(recording).find((file) => file.endsWith('.dfr')), 40 << 20);
    await end(await begin());
    await isGone(first);
    assert.equal((await get(second)).status, 200);
});
