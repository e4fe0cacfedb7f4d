/** A recording's actions once more, in a fresh fork of what the recorded desktop came from. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { buildDir } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { decodePng } from './lib/png.mjs';
import { Probe } from './lib/probe.mjs';
import { eventually } from './lib/wait.mjs';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-rerun-'));
after(() => fs.rmSync(dir, { recursive: true, force: true }));

const STRIP = { x: 300, y: 200, width: 120, height: 80 };
const settle = { quiet_ms: 150, max_ms: 4000 };

/* The probe's strip tells the last event, so the screen is made by what was done. The recorded desktop and its reruns
 * are forks of one checkpoint. */
const farm = useFarm({
    prepare: async (it) => {
        await it.probe.command('on_input', { on: 'key', steps: [0, 60].map((delay_ms, i) => ({ x: 100 + 200 * i, y: 80, w: 90, h: 60, color: '#205080', delay_ms })) });
        await it.probe.command('status', { on: true });
        const checkpoint = (await it.client.call('POST', `/v1/sandboxes/${it.id}/checkpoints`, { body: { name: 'armed' } })).json;
        it.recorded = async (play) => {
            const [fork] = (await it.client.call('POST', `/v1/checkpoints/${checkpoint.id}/fork`, { body: {} })).json.items;
            await it.client.waitState(fork.id, 'Running');
            await play((actions, rest = {}) => it.client.act(fork.id, actions, { settle, ...rest }), fork.id);
            const recording = (await it.client.get(fork.id)).recording.id;
            await it.client.delete(fork.id);
            return recording;
        };
        it.same = await it.recorded(async (act, id) => {
            await act([{ type: 'type', text: 'ab' }]);
            const { image } = (await it.client.shot(id, { out_width: 640, out_height: 400, format: 'png' })).result;
            await act([{ type: 'move', x: 320, y: 200 }, { type: 'click', x: 100, y: 150 }], { space: 'frame', image: image.id });
            await act([{ type: 'type', text: 'geheim', secret: true }]);
            await act([{ type: 'scroll', x: 500, y: 300, direction: 'down', amount: 2 }]);
        });
    },
});
const options = { skip: farm.skip };

async function rerun(recording, body) {
    const { id } = (await farm.client.call('POST', `/v1/recordings/${recording}/reruns`, { body })).json;
    return eventually('the rerun ends', async () => {
        const it = (await farm.client.call('GET', `/v1/reruns/${id}`)).json;
        return !['starting', 'running'].includes(it.state) && it;
    }, { ms: 60000 });
}

const picture = async (recording, frame) =>
    decodePng((await farm.client.call('GET', `/v1/recordings/${recording}/frame`, { query: { frame } })).body);

for (const pace of ['settled', 'recorded'])
    test(`at the pace "${pace}" the same actions show the same screens`, options, async () => {
        const it = await rerun(farm.same, { pace, secrets: ['geheim'], patience_ms: 5000 });
        assert.deepEqual([it.state, it.error, it.difference], ['done', undefined, null]);
        assert.deepEqual(it.steps.map(({ step, equal }) => [step, equal]), [0, 1, 2, 3, 4].map((step) => [step, true]));
        const { items } = (await farm.client.call('GET', `/v1/recordings/${it.again}/actions`, { query: { kind: 'action' } })).json;
        assert.deepEqual(items.map((action) => action.type), ['type', 'move', 'click', 'type', 'scroll']);
        assert.deepEqual(items.map((action) => action.native ?? null), (await farm.client.call('GET',
            `/v1/recordings/${farm.same}/actions`, { query: { kind: 'action' } })).json.items.map((action) => action.native ?? null));
        assert.equal(items[0].by.dialect, 'rerun');
        await eventually('its sandbox is gone', async () => (await farm.client.send('GET', `/v1/sandboxes/${it.sandbox}`)).status === 404);
    });

test('where the screens first differ is told, with both frames', options, async () => {
    const recording = await farm.recorded(async (act, id) => {
        await act([{ type: 'move', x: 40, y: 40 }]);
        const probe = await Probe.attach(farm.daemon, id, { isUp: true });
        await probe.fill(STRIP.x, STRIP.y, STRIP.width, STRIP.height, '#c02060');
        probe.close();
        await act([{ type: 'key', keys: 'x' }]);
        await act([{ type: 'key', keys: 'y' }]);
    });
    const it = await rerun(recording, { patience_ms: 300 });
    assert.equal(it.state, 'done', it.error?.message);
    assert.equal(it.difference?.equal, false);
    assert.deepEqual(it.difference, it.steps.at(-1));
    assert.deepEqual(it.difference.region, STRIP);
    assert.equal(it.difference.pixels, STRIP.width * STRIP.height);
    const [a, b] = [await picture(recording, it.difference.frame), await picture(it.again, it.difference.again_frame)];
    assert.deepEqual(a.at(STRIP.x + 5, STRIP.y + 5), [0xc0, 0x20, 0x60]);
    assert.notDeepEqual(b.at(STRIP.x + 5, STRIP.y + 5), [0xc0, 0x20, 0x60]);
    const all = await rerun(recording, { patience_ms: 0, go_on: true, keep: true });
    assert.equal(all.steps.length, 4);
    assert.equal(all.difference.step, it.difference.step);
    assert.equal((await farm.client.get(all.sandbox)).status.state, 'Running');
    await farm.client.delete(all.sandbox);
    assert.equal((await rerun(recording, { mask: [STRIP] })).difference, null);

    const run = (...flags) => new Promise((resolve) => execFile(path.join(buildDir, 'cli/deskfarm'), ['--url', farm.daemon.url, 'rerun', recording, ...flags],
        (error, stdout, stderr) => resolve({ status: error?.code ?? 0, stdout, stderr })));
    const told = await run('--patience-ms', '300', '-o', path.join(dir, 'frame'));
    assert.equal(told.status, 1, told.stderr);
    assert.match(told.stdout, new RegExp(`^differs\tstep ${it.difference.step}\t9600 pixels in 120x80 at 300,200\npage\t/recordings/${recording}\\?with=rc-`));
    assert.deepEqual(decodePng(fs.readFileSync(path.join(dir, 'frame-recorded.png'))).at(305, 205), [0xc0, 0x20, 0x60]);
    assert.ok(fs.existsSync(path.join(dir, 'frame-again.png')));
    const equal = await run('--max-pixels', '9600', '--patience-ms', '300');
    assert.deepEqual([equal.status, equal.stdout], [0, 'equal\t4 screens\n'], equal.stderr);
});

test('what cannot be done again is said', options, async () => {
    const it = await rerun(farm.same, {});
    assert.deepEqual([it.state, it.error.code], ['failed', 'missing_field']);
    assert.match(it.error.message, /secrets/);
    const none = await farm.recorded(async () => {});
    assert.equal((await rerun(none, {})).error.code, 'conflict');
    assert.equal((await farm.client.send('POST', '/v1/recordings/rc-aaaaaaaaaaaaaaaa/reruns', { body: {} })).status, 404);
    assert.equal((await farm.client.send('GET', '/v1/reruns/rr-aaaaaaaaaaaaaaaa')).status, 404);
    assert.equal((await farm.client.send('POST', `/v1/recordings/${farm.same}/reruns`, { body: { pace: 'quick' } })).status, 400);
});
