/** Exports of a recording, judged by other people's programs and by the shapes of their formats. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { buildDir } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { decodePng } from './lib/png.mjs';
import { Terminal } from './lib/terminal.mjs';
import { eventually } from './lib/wait.mjs';
import { frame, WebSocketClient } from './lib/websocket.mjs';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-export-'));
after(() => fs.rmSync(dir, { recursive: true, force: true }));

const farm = useFarm({
    prepare: async (it) => {
        const act = (actions) => it.client.act(it.id, actions, { settle: { quiet_ms: 100, max_ms: 1500 } });
        await it.probe.command('on_input', { on: 'key', steps: [0, 80, 160].map((delay_ms, i) => ({ x: 100 * i, y: 100, w: 80, h: 80, color: '#208020', delay_ms })) });
        await act({ type: 'type', text: 'Hi <you> & me' });
        await it.probe.command('animate', { on: true, x: 700, y: 100, w: 320, h: 240, fps: 15 });
        await act([{ type: 'click', x: 300, y: 200, count: 2 }, { type: 'key', keys: 'ctrl+c' },
            { type: 'scroll', x: 400, y: 300, direction: 'down', amount: 2 }, { type: 'drag', path: [[10, 20], [110, 220]] },
            { type: 'type', text: 'geheim', secret: true }, { type: 'move', x: 5, y: 6 }]);
        await it.probe.command('animate', { on: false });
        it.recording = (await it.client.get(it.id)).recording.id;
    },
});
const options = { skip: farm.skip };

/** Runs `deskfarm export`; returns the file's path. */
function exported(format, ...flags) {
    const file = path.join(dir, `${format}${flags.length}`);
    const out = execFileSync(path.join(buildDir, 'cli/deskfarm'), ['--url', farm.daemon.url, 'export', farm.recording, '--format', format, '-o', file, ...flags], { encoding: 'utf8' });
    assert.match(out, /\d+ bytes/);
    return file;
}

function untar(file) {
    const to = fs.mkdtempSync(path.join(dir, 'tar-'));
    execFileSync('tar', ['-xf', file, '-C', to]);
    return to;
}

const lines = (file) => fs.readFileSync(file, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
const probeFilm = (file, entries, stream = true) => JSON.parse(execFileSync('ffprobe',
    ['-v', 'error', '-of', 'json', ...(stream ? ['-select_streams', 'v:0'] : []), '-show_entries', entries, file], { encoding: 'utf8', maxBuffer: 1 << 26 }));

const frames = async () => {
    const { segments } = (await farm.client.call('GET', `/v1/recordings/${farm.recording}/index`)).json;
    return segments.flatMap((it) => it.frames);
};

/** The film has a sample per recorded frame up to when it was made, at its time, and decodes without an error. */
async function checkFilm(file) {
    const { packets } = probeFilm(file, 'packet=pts_time');
    const recorded = await frames();
    assert.ok(packets.length > 5 && packets.length <= recorded.length, `${packets.length} samples, ${recorded.length} frames`);
    packets.forEach(({ pts_time: time }, i) => {
        const want = (recorded[i][0] - recorded[0][0]) / 1e6;
        assert.ok(Math.abs(Number(time) - want) < 0.02 + (want > 0 ? 0.01 : 0), `sample ${i} is at ${time} s, its frame was at ${want} s`);
    });
    const [stream] = probeFilm(file, 'stream=codec_name,width,height,nb_frames').streams;
    assert.deepEqual([stream.codec_name, stream.width, stream.height, Number(stream.nb_frames)], ['h264', 1280, 800, packets.length]);
    const errors = execFileSync('ffmpeg', ['-v', 'error', '-xerror', '-i', file, '-fps_mode', 'passthrough', '-f', 'null', '-'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    assert.equal(errors, '');
    return packets.length;
}

test('the film: every recorded frame at its time, and it decodes', options, async (t) => {
    t.diagnostic(`${await checkFilm(exported('mp4'))} frames`);
});

/** Pixels of the film at a time. */
function pictureAt(film, seconds) {
    const file = path.join(dir, 'picture.png');
    execFileSync('ffmpeg', ['-v', 'error', '-y', '-i', film, '-vf', `select=lte(t\\,${seconds})`, '-fps_mode', 'passthrough', '-update', '1', file]);
    return decodePng(fs.readFileSync(file));
}

test('with the overlay: where was clicked and what was typed is drawn in, on a still screen too, and goes again', options, async () => {
    const film = exported('mp4', '--overlay'), plain = exported('mp4');
    const { items } = JSON.parse(fs.readFileSync(exported('json'), 'utf8'));
    const times = probeFilm(film, 'packet=pts_time').packets.map((it) => Number(it.pts_time));
    for (const [captured] of await frames()) {
        const want = (captured - (await frames())[0][0]) / 1e6;
        if (want < times.at(-1))
            assert.ok(times.some((time) => Math.abs(time - want) < 0.03), `a sample at ${want} s`);
    }
    const differs = (seconds, x0, y0, w, h) => {
        const a = pictureAt(film, seconds), b = pictureAt(plain, seconds);
        let n = 0;
        for (let y = y0; y < y0 + h; y++)
            for (let x = x0; x < x0 + w; x++)
                n += Math.max(...a.at(x, y).map((v, i) => Math.abs(v - b.at(x, y)[i]))) > 60;
        return n;
    };
    const typed = items.find((it) => it.action?.text?.startsWith('Hi')), click = items.find((it) => it.action?.type === 'click');
    const end = (it) => it.at_s + (it.injected_us[1] - it.injected_us[0]) / 1e6;
    assert.ok(differs(typed.at_s + 0.1, 300, 740, 680, 56) > 300, 'the text');
    assert.ok(differs(click.at_s + 0.2, 260, 160, 80, 80) > 50, 'the click');
    assert.ok(times.some((time) => time > end(typed) + 1.1), 'a sample after it');
    execFileSync('ffmpeg', ['-v', 'error', '-xerror', '-i', film, '-f', 'null', '-']);
});

test('subtitles and JSON tell the actions at their times', options, async () => {
    const vtt = fs.readFileSync(exported('vtt'), 'utf8');
    assert.match(vtt, /^WEBVTT\n\n1\n\d\d:\d\d:\d\d\.\d{3} --> /);
    assert.ok(vtt.includes('type "Hi &lt;you&gt; &amp; me"') && vtt.includes('type (secret)') && !vtt.includes('geheim'));
    execFileSync('ffprobe', ['-v', 'error', '-f', 'webvtt', path.join(dir, 'vtt0')]);
    const json = JSON.parse(fs.readFileSync(exported('json'), 'utf8'));
    const click = json.items.find((it) => it.action?.type === 'click');
    assert.ok(click.at_s > 0 && click.at_s < json.length_s);
    assert.deepEqual([json.width, json.height], [1280, 800]);
});

test('AgentNet: video, events, metadata', options, async () => {
    const at = untar(exported('agentnet'));
    await checkFilm(path.join(at, 'video.mp4'));
    const metadata = JSON.parse(fs.readFileSync(path.join(at, 'metadata.json')));
    assert.deepEqual([metadata.screen_width, metadata.screen_height, metadata.scroll_direction], [1280, 800, 'traditional']);
    const events = lines(path.join(at, 'events.jsonl'));
    events.forEach((event, i) => {
        assert.equal(event.event_idx, i);
        assert.ok(event.time_stamp >= metadata.video_start_timestamp - 30 && event.time_stamp <= metadata.video_end_timestamp + 1);
        assert.ok(['move', 'click', 'scroll', 'press', 'release'].includes(event.action));
    });
    const clicks = events.filter((e) => e.action === 'click' && e.x === 300);
    assert.deepEqual(clicks.map((e) => [e.button, e.pressed]), [['left', true], ['left', false], ['left', true], ['left', false]]);
    assert.deepEqual(events.filter((e) => e.action === 'scroll').map(({ x, y, dx, dy }) => ({ x, y, dx, dy })), [{ x: 400, y: 300, dx: 0, dy: -2 }]);
    const typed = events.filter((e) => e.action === 'press').map((e) => e.name);
    assert.deepEqual(typed.slice(0, 3), ['H', 'i', 'space']);
    assert.ok(typed.join(' ').includes('ctrl c') && !typed.join('').includes('geheim'));
});

test('OSWorld: a step per action, each with its picture', options, async () => {
    const at = untar(exported('osworld'));
    await checkFilm(path.join(at, 'recording.mp4'));
    const steps = lines(path.join(at, 'traj.jsonl'));
    assert.equal(steps.length, 7);
    steps.forEach((step, i) => {
        assert.deepEqual(Object.keys(step), ['step_num', 'action_timestamp', 'action', 'response', 'reward', 'done', 'info', 'screenshot_file']);
        assert.equal(step.step_num, i + 1);
        assert.match(step.action_timestamp, /^\d{8}@\d{12}$/);
        const picture = decodePng(fs.readFileSync(path.join(at, step.screenshot_file)));
        assert.deepEqual([picture.width, picture.height], [1280, 800]);
    });
    assert.equal(steps[1].action, "pyautogui.click(300, 200, clicks=2, button='left')");
    assert.equal(steps[2].action, 'pyautogui.hotkey("ctrl", "c")');
});

test('ATIF: steps with tool calls and what was seen', options, () => {
    const at = untar(exported('atif'));
    const it = JSON.parse(fs.readFileSync(path.join(at, 'trajectory.json')));
    assert.equal(it.schema_version, 'ATIF-v1.6');
    assert.ok(it.session_id && it.agent.name && it.agent.version);
    it.steps.forEach((step, i) => {
        assert.equal(step.step_id, i + 1);
        assert.ok(['system', 'user', 'agent'].includes(step.source) && typeof step.message === 'string' && Date.parse(step.timestamp));
        for (const call of step.tool_calls ?? []) {
            assert.ok(call.tool_call_id && call.function_name && typeof call.arguments === 'object');
            for (const result of step.observation.results) {
                assert.equal(result.source_call_id, call.tool_call_id);
                const image = result.content.find((part) => part.type === 'image');
                assert.equal(image.source.media_type, 'image/png');
                decodePng(fs.readFileSync(path.join(at, image.source.path)));
            }
        }
    });
    assert.equal(it.steps.filter((step) => step.source === 'agent').length, 7);
    assert.equal(it.final_metrics.total_steps, it.steps.length);
});

test('the page holds the film and the actions', options, async () => {
    const page = fs.readFileSync(exported('html'), 'utf8');
    const film = path.join(dir, 'page.mp4');
    fs.writeFileSync(film, Buffer.from(/data:video\/mp4;base64,([^"]+)"/.exec(page)[1], 'base64'));
    execFileSync('ffmpeg', ['-v', 'error', '-xerror', '-i', film, '-f', 'null', '-']);
    const notes = JSON.parse(/id=notes>(.*?)<\/script>/s.exec(page)[1]);
    assert.ok(notes.some((it) => it.what === 'type "Hi <you> & me"'));
});

/** A record of the live view's client (docs/stream.md). */
function record(type, flags, ...numbers) {
    const payload = Buffer.concat(numbers.map(([size, value]) => {
        const bytes = Buffer.alloc(size);
        if (size === 8)
            bytes.writeBigUInt64LE(BigInt(value));
        else
            bytes.writeUIntLE(value & (2 ** (8 * size) - 1), 0, size);
        return bytes;
    }));
    const head = Buffer.from([type, flags, 0, 0, 0, 0, 0, 0]);
    head.writeUInt32LE(payload.length, 4);
    return frame(2, Buffer.concat([head, payload]));
}

const eventsIn = async () => (await farm.client.call('GET', `/v1/recordings/${farm.recording}/actions`, { query: { kind: 'event' } })).json.items;

test('what a person did is in the recording and in AgentNet\'s events', options, async () => {
    const viewer = await WebSocketClient.open(farm.daemon.port, `/v1/sandboxes/${farm.id}/desktop/stream?role=control`,
        { headers: { 'Sec-WebSocket-Protocol': 'deskfarm.stream.1' } });
    const send = (...record_) => viewer.socket.write(record(...record_));
    send(64, 0, [2, 1], [2, 0], [2, 0], [2, 0]); /* HELLO */
    send(73, 2); /* take over */
    await eventually('the person controls', async () => (await eventsIn()).some((it) => it.event === 'control_taken'));
    const mark = farm.probe.events.length;
    send(66, 1, [8, 1], [2, 30]); /* KEY a */
    send(66, 0, [8, 2], [2, 30]);
    send(67, 0, [8, 3], [2, 70], [2, 88]);
    send(68, 1, [8, 4], [2, 77], [2, 88], [1, 2]); /* BUTTON right */
    send(68, 0, [8, 5], [2, 77], [2, 88], [1, 2]);
    send(69, 0, [8, 6], [2, 77], [2, 88], [2, 0], [2, 240]); /* WHEEL two notches down */
    const text = Buffer.from('von Hand ü');
    const head = Buffer.from([77, 0, 0, 0, 8 + text.length, 0, 0, 0]);
    viewer.socket.write(frame(2, Buffer.concat([head, Buffer.from([7, 0, 0, 0, 0, 0, 0, 0]), text]))); /* TEXT */
    await eventually('the guest has the wheel', async () => farm.probe.events.slice(mark).some((it) => it.ev === 'wheel'), { ms: 30000 });
    viewer.socket.destroy();
    const back = await eventually('control is given back', async () => (await eventsIn()).find((it) => it.event === 'control_given_back'));
    assert.ok(back.at_us > 0);
    assert.deepEqual((await eventsIn()).filter((it) => it.event === 'typed').map((it) => it.text), ['von Hand ü']);
    assert.equal((await farm.client.call('GET', '/v1/recording-search', { query: { q: 'von hand' } })).json.items.length, 1);
    const events = lines(path.join(untar(exported('agentnet', '--overlay')), 'events.jsonl'));
    /* A button and the wheel come with a move to their place. */
    const hand = events.slice(events.findIndex((it) => it.action === 'press' && it.name === 'a')).filter((it) => it.action !== 'move' || it.x !== 77);
    assert.deepEqual(hand.slice(0, 6).map(({ time_stamp: time, event_idx: index, ...rest }) => rest), [
        { action: 'press', name: 'a' }, { action: 'release', name: 'a' }, { action: 'move', x: 70, y: 88 },
        { action: 'click', x: 77, y: 88, button: 'right', pressed: true }, { action: 'click', x: 77, y: 88, button: 'right', pressed: false },
        { action: 'scroll', x: 77, y: 88, dx: 0, dy: -2 },
    ]);
    events.forEach((it, i) => assert.ok(i === 0 || it.time_stamp >= events[i - 1].time_stamp || it.action === 'release'));
});

test('commands and terminals are in the recording', options, async () => {
    await eventually('the agent is ready', async () => (await farm.client.get(farm.id)).agent === 'ready', { ms: 60000 });
    execFileSync(path.join(buildDir, 'cli/deskfarm'), ['--url', farm.daemon.url, 'exec', farm.id, '--', 'sh', '-c', 'exit 0']);
    const terminal = await Terminal.create(farm.client, farm.id, { command: 'true; exit 7' });
    await terminal.attach();
    const found = await eventually('the ends are told', async () => {
        const all = await eventsIn();
        return all.some((it) => it.event === 'terminal_ended') && all.some((it) => it.event === 'exec_ended') && all;
    });
    assert.deepEqual(found.find((it) => it.event === 'exec').argv, ['sh', '-c', 'exit 0']);
    assert.equal(found.find((it) => it.event === 'exec_ended').exit, 0);
    assert.equal(found.find((it) => it.event === 'terminal').command, 'true; exit 7');
    assert.equal(found.find((it) => it.event === 'terminal_ended').exit, 7);
    assert.equal(found[0].event, 'created');
});

test('what cannot be exported is refused', options, async () => {
    const send = (body) => farm.client.send('POST', `/v1/recordings/${farm.recording}/exports`, { body });
    assert.equal((await send({ format: 'gif' })).status, 400);
    assert.equal((await farm.client.send('POST', '/v1/recordings/rc-aaaaaaaaaaaaaaaa/exports', { body: { format: 'mp4' } })).status, 404);
    assert.equal((await farm.client.send('GET', '/v1/exports/ex-aaaaaaaaaaaaaaaa')).status, 404);
});
