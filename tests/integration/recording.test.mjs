/** Recordings: what an answer names comes back as it was, whatever happens to the daemon or the disk. */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { test } from 'node:test';
import { ApiError } from './lib/client.mjs';
import { count, Random } from './lib/counts.mjs';
import { useFarm } from './lib/farm.mjs';
import { decodePng } from './lib/png.mjs';
import { Probe } from './lib/probe.mjs';
import { eventually } from './lib/wait.mjs';

const farm = useFarm();
const options = { skip: farm.skip };

/** Equal pixels; equal files are that already. */
const isSame = (a, b) => a.equals(b) || decodePng(a).data.equals(decodePng(b).data);
const recordingOf = async (id) => (await farm.client.get(id)).recording.id;
const index = async (id) => (await farm.client.call('GET', `/v1/recordings/${id}/index`)).json;
const actionsOf = async (id, query = {}) =>
    (await farm.client.call('GET', `/v1/recordings/${id}/actions`, { query })).json.items;

/** A frame of the recording: what is said of it, and its picture. */
async function frameOf(recording, frame) {
    const answer = await farm.client.call('GET', `/v1/recordings/${recording}/frame`, { query: { frame } });
    return { ...JSON.parse(answer.headers['x-deskfarm-result']), png: answer.body };
}

/** Frames that the API has named to a caller, with the pixels it was given. */
class Notebook {
    constructor() {
        this.seen = new Map();
        this.named = new Set();
    }

    note(answer) {
        const image = answer.image;
        if (image?.data)
            this.seen.set(image.frame, Buffer.from(image.data, 'base64'));
        if (answer.frame)
            this.named.add(answer.frame);
    }

    /** Looks at the screen whenever it changes, until told to stop. */
    async watch(client, id) {
        let frame = 0;
        while (!this.isOver) {
            const shot = await client.shot(id, { if_changed_since: frame, wait_ms: 1000, cursor: false });
            if (!shot.result.image)
                continue;
            frame = shot.result.image.frame;
            this.seen.set(frame, shot.body);
        }
    }

    async check(recording) {
        for (const [frame, png] of this.seen) {
            const found = await frameOf(recording, frame);
            assert.equal(found.exact, true, `frame ${frame} is exact`);
            assert.ok(isSame(found.png, png), `frame ${frame} is the picture that was answered`);
        }
        for (const frame of this.named)
            assert.equal((await frameOf(recording, frame)).exact, true, `frame ${frame} is exact`);
    }
}

/** Typing, scrolling, dragging and a film, as much as is asked for, on a screen that answers to input. */
async function work(notebook, rounds, random) {
    const { client, id, probe } = farm;
    const act = async (actions) => notebook.note(await client.act(id, actions, {
        settle: { quiet_ms: 100, max_ms: 1500 }, screenshot: { cursor: false },
    }));
    for (let i = 0; i < rounds; i++) {
        const paint = (delay, w, h) => ({
            x: random.int(0, 900), y: random.int(0, 500), w, h, delay_ms: delay,
            color: `#${random.int(0, 0xffffff).toString(16).padStart(6, '0')}`,
        });
        await probe.command('on_input', { on: 'key', steps: [paint(0, 8, 16), paint(40, 8, 16), paint(90, 300, 200)] });
        await act({ type: 'type', text: `round ${i} of typing` });
        await probe.command('on_input', { on: 'button', steps: [paint(0, 1280, 40), paint(30, 1280, 40)] });
        await act({ type: 'scroll', x: 600, y: 400, direction: 'down', amount: 3 });
        await probe.command('on_input', { on: 'button', steps: [paint(0, 200, 120), paint(60, 200, 120)] });
        await act([{ type: 'drag', path: [[100, 100], [400, 300], [700, 200]] }, { type: 'move', x: 30, y: 30 }]);
        await probe.command('animate', { on: true, x: 200, y: 150, w: 640, h: 360, fps: 25 });
        await act([{ type: 'move', x: 50, y: 60 }, { type: 'click', x: 500, y: 300 }]);
        await probe.command('animate', { on: false });
        await probe.clear();
    }
}

/** Every frame that was shown, in order: [captured, id]. */
async function publishedIn(recording) {
    const { segments } = await index(recording);
    const all = segments.flatMap(({ frames, passed }) => [...frames.map(([time, , id]) => [time, id]), ...passed]);
    return [...new Map(all.map((it) => [it[1], it])).values()].sort((a, b) => a[1] - b[1]);
}

test('every frame that is named comes back exact, every other one too or it names the next', options, async (t) => {
    const random = new Random();
    t.diagnostic(`seed ${random.seed}`);
    const notebook = new Notebook();
    const recording = await recordingOf(farm.id);
    const watching = notebook.watch(farm.client, farm.id);
    await work(notebook, count('recordedRounds'), random);
    notebook.isOver = true;
    await watching;
    await notebook.check(recording);

    const items = await actionsOf(recording, { kind: 'action' });
    const published = await publishedIn(recording);
    for (const action of items) {
        for (const frame of [action.before, action.after])
            assert.equal((await frameOf(recording, frame)).exact, true, `frame ${frame} of an action is exact`);
        const [first] = action.injected_us ?? [action.queued_us];
        const before = published.filter(([captured]) => captured <= first).at(-1);
        assert.equal(action.before, before[1], `the frame before ${JSON.stringify(action.action)}`);
        assert.ok(action.queued_us <= first && (!action.first_damage_us || action.first_damage_us >= first));
    }
    let lossy = 0;
    for (const [, id] of published) {
        const found = await frameOf(recording, id);
        if (found.exact)
            continue;
        lossy++;
        if (found.next_exact !== null)
            assert.ok(found.next_exact > id && (await frameOf(recording, found.next_exact)).exact);
    }
    t.diagnostic(`${published.length} frames, ${lossy} of them lossy or listed; ${notebook.seen.size} were looked at; `
        + `${items.length} actions`);
    assert.ok(published.length > 20 && items.length >= 5 * count('recordedRounds'));
});

test('a secret text never reaches the disk', options, async () => {
    const recording = await recordingOf(farm.id);
    await farm.client.act(farm.id, [{ type: 'type', text: 'hunter2-of-mine', secret: true }]);
    await farm.client.send('POST', `/v1/sandboxes/${farm.id}/desktop/actions`,
        { body: { actions: [{ type: 'type', text: 'hunter2\u0001', secret: true }] } });
    await farm.client.act(farm.id, [{ type: 'type', text: 'in the open' }]);
    const file = await farm.client.call('GET', `/v1/recordings/${recording}/stream`);
    assert.equal(file.body.includes('hunter2'), false);
    assert.equal(file.body.includes('in the open'), true);
    const [secret] = (await actionsOf(recording, { kind: 'action' })).filter(({ action }) => action.redacted);
    assert.equal(secret.action.text, null);
    assert.equal((await farm.client.call('GET', '/v1/recording-search', { query: { q: 'IN THE OPEN' } })).json.items.length, 1);
    assert.deepEqual(await actionsOf(recording, { q: 'hunter2' }), []);
});

test('a mark is found again, with its data', options, async () => {
    const recording = await recordingOf(farm.id);
    const made = (await farm.client.call('POST', `/v1/recordings/${recording}/marks`,
        { body: { label: 'half way', data: { step: 3 } } })).json;
    const [mark] = await actionsOf(recording, { kind: 'mark' });
    assert.deepEqual([mark.label, mark.data, mark.at_us], ['half way', { step: 3 }, made.time_us]);
});

test('the stream comes by range, and as one file', options, async () => {
    const recording = await recordingOf(farm.id);
    const { segments } = await index(recording);
    const whole = await farm.client.call('GET', `/v1/recordings/${recording}/stream`, { query: { segment: 1 } });
    assert.ok(whole.body.length >= segments[0].bytes);
    assert.equal(whole.body.subarray(0, 5).toString(), 'DFREC');
    const [offset] = segments[0].begins[0];
    const part = await farm.client.call('GET', `/v1/recordings/${recording}/stream`,
        { query: { segment: 1 }, headers: { range: `bytes=${offset}-${offset + 99}` } });
    assert.equal(part.status, 206);
    assert.deepEqual(part.body, whole.body.subarray(offset, offset + 100));
    const outside = await farm.client.send('GET', `/v1/recordings/${recording}/stream`,
        { query: { segment: 1 }, headers: { range: 'bytes=999999999999-' } });
    assert.equal(outside.status, 416);
});

test('a sandbox that is not to be recorded leaves none', options, async () => {
    const sandbox = await farm.client.create('probe', { recording: false });
    await farm.client.waitState(sandbox.id, 'Running');
    await farm.client.shot(sandbox.id);
    assert.equal((await farm.client.get(sandbox.id)).recording, null);
    assert.equal((await farm.client.call('GET', '/v1/recordings', { query: { sandbox: sandbox.id } })).json.items.length, 0);
    await farm.client.delete(sandbox.id);
});

/** Acts until the daemon is killed; returns what was answered. */
async function actUntilKilled(client, delayMs) {
    const answered = [];
    const timer = setTimeout(() => farm.daemon.kill(), delayMs);
    for (let i = 0; ; i++) {
        const label = crypto.randomBytes(3).toString('hex');
        try {
            const answer = await client.act(farm.id, [{ type: 'type', text: label }, { type: 'move', x: i % 1000, y: 40 }],
                { settle: { quiet_ms: 20, first_ms: 30, max_ms: 200 }, screenshot: { cursor: false } });
            answered.push({ label, frame: answer.image.frame, png: Buffer.from(answer.image.data, 'base64') });
        } catch (error) {
            if (error instanceof ApiError)
                throw error;
            break;
        }
    }
    clearTimeout(timer);
    await farm.daemon.exited;
    return answered;
}

test('a daemon that is killed at any moment loses nothing that was answered', options, async (t) => {
    const random = new Random();
    const recording = await recordingOf(farm.id);
    let n = 0;
    farm.probe.close();
    for (let i = 0; i < count('recordedKills'); i++) {
        const answered = await actUntilKilled(farm.client, random.int(300, 2500));
        await farm.daemon.start();
        farm.client = farm.daemon.client();
        await farm.client.waitState(farm.id, 'Running');
        for (const { label, frame, png } of answered) {
            const [found] = await actionsOf(recording, { q: label });
            assert.equal(found?.action.text, label, 'an answered action is in the recording');
            const picture = await frameOf(recording, frame);
            assert.ok(picture.exact && isSame(picture.png, png), 'and so is its picture');
        }
        n += answered.length;
    }
    assert.deepEqual((await index(recording)).damage.filter((it) => it.bytes - it.good_bytes > 1 << 20), []);
    t.diagnostic(`${n} answers in ${count('recordedKills')} lives`);
    farm.probe = await Probe.attach(farm.daemon, farm.id, { isUp: true });
});

test('a recording outlives its sandbox, until it is deleted', options, async () => {
    const recording = await recordingOf(farm.id);
    assert.equal((await farm.client.send('DELETE', `/v1/recordings/${recording}`)).status, 409);
    await farm.client.delete(farm.id);
    const state = async () => (await farm.client.call('GET', `/v1/recordings/${recording}`)).json.state;
    await eventually('the recording has ended', async () => await state() === 'ended');
    const [end] = (await actionsOf(recording, { kind: 'event' })).slice(-1);
    assert.equal(end.event, 'deleted');
    await farm.client.call('DELETE', `/v1/recordings/${recording}`);
    assert.equal((await farm.client.send('GET', `/v1/recordings/${recording}`)).status, 404);
    assert.equal((await farm.client.send('GET', `/v1/recordings/${recording}/index`)).status, 404);
});
