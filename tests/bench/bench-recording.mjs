// What recordings cost: node bench-recording.mjs [SECONDS] (120; DESKFARM_BUILD names the build). Bytes per hour and CPU of the
// daemon and of QEMU for a desktop that stands still (recorded and not, in turns), typical work of an agent, heavy scrolling
// and a film over the whole screen; the same pictures on Xvfb, recorded by ffmpeg's x11grab at 10 and 30 frames a second; and
// how long a seek takes in an hour of recording, in the page and by the API.
//
// CPU is the scheduler's own count of all threads, from the first to the last moment of a row. Bytes are the files of the
// recording. The hour is made of a recording that was written here, again and again with later times and larger ids.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Daemon, buildDir, lacksImage } from '../integration/lib/daemon.mjs';
import { Probe } from '../integration/lib/probe.mjs';
import { createDesktop } from '../integration/lib/templates.mjs';
import { eventually } from '../integration/lib/wait.mjs';
import { lacksBrowser, openBrowser } from '../browser/lib.mjs';
import { machine, quantile, sleep } from './stream-rig.mjs';

const seconds = Number(process.argv[2] ?? 120);
const SEEKS = 200, HOUR_US = 3600e6;
const cli = path.join(buildDir, 'cli/deskfarm');

function cpuNs(pid) {
    let sum = 0;
    try {
        for (const task of fs.readdirSync(`/proc/${pid}/task`))
            sum += Number(fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ')[0]);
    } catch { /* a thread ended */ }
    return sum;
}

const qemuOf = (daemon, id) => daemon.guestProcesses().find((pid) => {
    const name = fs.readFileSync(`/proc/${pid}/comm`, 'latin1');
    return name.startsWith('qemu') && fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(id);
});

const bytesIn = (dir) => (fs.existsSync(dir) ? fs.readdirSync(dir).reduce((sum, name) => sum + fs.statSync(path.join(dir, name)).size, 0) : 0);
const mbPerHour = (bytes, s) => (bytes / 1e6 / s * 3600).toFixed(2);

class Bench {
    constructor(daemon) {
        this.daemon = daemon;
        this.client = daemon.client();
    }

    dirOf(recording) {
        return path.join(this.daemon.stateDir, 'recordings', recording);
    }

    /** Runs work for some seconds; prints a row. */
    async row(name, id, work) {
        const recording = (await this.client.get(id)).recording?.id, qemu = qemuOf(this.daemon, id);
        const look = () => ({ at: performance.now(), bytes: recording ? bytesIn(this.dirOf(recording)) : 0, daemon: cpuNs(this.daemon.pid), qemu: cpuNs(qemu) });
        const before = look();
        const until = before.at + seconds * 1000;
        while (performance.now() < until)
            await work(until);
        await sleep(1000);
        const after = look(), s = (after.at - before.at) / 1000;
        const percent = (key) => ((after[key] - before[key]) / 1e7 / s).toFixed(2);
        console.log(`| ${name} | ${recording ? mbPerHour(after.bytes - before.bytes, s) : '–'} | ${percent('daemon')} | ${percent('qemu')} |`);
        return recording;
    }
}

/** The desktop's terminal, opened as a person does. */
async function openTerminal(client, id) {
    await client.act(id, [{ type: 'click', x: 568, y: 777 },
        { type: 'wait_for', kind: 'change', region: { x: 0, y: 90, width: 300, height: 60 }, max_ms: 60000 }, { type: 'wait_for', quiet_ms: 1500 }]);
}

/** A step of an agent each four seconds: commands, menus, clicks, a settled picture each. */
function typicalWork(client, id) {
    const commands = ['ls -l /usr/bin | head -40\n', 'uname -a; uptime\n', 'cat /etc/passwd\n', 'clear\n', 'df -h\n', 'for i in 1 2 3; do date; sleep 1; done\n'];
    let n = 0;
    return async () => {
        const begin = performance.now(), k = n++;
        if (k % 4 === 3)
            await client.act(id, [{ type: 'click', x: 40, y: 12 }, { type: 'wait_for', quiet_ms: 300 }, { type: 'key', keys: 'Escape' }]);
        else
            await client.act(id, [{ type: 'type', text: commands[k % commands.length] }]);
        await sleep(Math.max(0, 4000 - (performance.now() - begin)));
    };
}

/** Notches without a pause over a long text. */
const scrolling = (client, id) => async () => {
    await client.act(id, [{ type: 'scroll', x: 400, y: 300, direction: 'down', amount: 5 }], { settle: false, screenshot: false });
    await sleep(200);
};

/** Plays the film of a recording on an X server of its own; ffmpeg records that. */
async function grabbed(name, film, rate, dir) {
    const display = `:${90 + (process.pid % 100)}`, out = path.join(dir, `grab-${rate}.mkv`);
    const x = spawn('Xvfb', [display, '-screen', '0', '1280x800x24', '-nolisten', 'tcp'], { stdio: 'ignore' });
    const env = { ...process.env, DISPLAY: display };
    await eventually('the X server', async () => fs.existsSync(`/tmp/.X11-unix/X${display.slice(1)}`));
    const play = spawn('ffplay', ['-v', 'quiet', '-an', '-autoexit', '-fs', '-x', '1280', '-y', '800', film], { env, stdio: 'ignore' });
    await sleep(2000);
    const grab = spawn('ffmpeg', ['-v', 'error', '-y', '-f', 'x11grab', '-framerate', String(rate), '-video_size', '1280x800', '-i', display, '-c:v', 'libx264',
        '-preset', 'veryfast', '-threads', '1', out], { env, stdio: ['pipe', 'ignore', 'inherit'] });
    const ended = new Promise((resolve) => grab.on('exit', resolve));
    await sleep(1000);
    const begin = performance.now(), cpu = cpuNs(grab.pid), bytes = fs.existsSync(out) ? fs.statSync(out).size : 0;
    await sleep(Math.max(5000, Math.min(seconds, 60) * 1000));
    const s = (performance.now() - begin) / 1000, percent = (cpuNs(grab.pid) - cpu) / 1e7 / s;
    grab.stdin.write('q');
    await ended;
    console.log(`| ${name}, x11grab ${rate}/s | ${mbPerHour(fs.statSync(out).size - bytes, s)} | ${percent.toFixed(2)} | |`);
    play.kill();
    x.kill();
    await new Promise((resolve) => x.on('exit', resolve));
}

// --- An hour

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++)
        c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
    return c >>> 0;
});

function crc32c(bytes) {
    let c = 0xffffffff;
    for (const byte of bytes)
        c = crcTable[(c ^ byte) & 0xff] ^ (c >>> 8);
    return (c ^ 0xffffffff) >>> 0;
}

/** A segment with all times and ids so much later; docs/stream.md, "In a recording". */
function shifted(segment, us, ids) {
    const out = Buffer.from(segment);
    for (let at = 16; at + 20 <= out.length;) {
        const type = out[at + 8], size = out.readUInt32LE(at + 12), payload = at + 16;
        if (payload + size + 4 > out.length)
            return out.subarray(0, at);
        const later = (where, by) => out.writeBigUInt64LE(out.readBigUInt64LE(where) + BigInt(by), where);
        later(at, us);
        const pairs = type === 3 ? 1 : type === 132 ? size / 16 : 0; /* FRAME and PASSED: id, captured */
        for (let k = 0; k < pairs; k++) {
            later(payload + 16 * k, ids);
            later(payload + 16 * k + 8, us);
        }
        out.writeUInt32LE(crc32c(out.subarray(at, payload + size)), payload + size);
        at = payload + size + 4;
    }
    return out;
}

async function makeHour(bench, recording) {
    const dir = bench.dirOf(recording);
    const index = (await bench.client.call('GET', `/v1/recordings/${recording}/index`)).json;
    const names = fs.readdirSync(dir).filter((name) => name.endsWith('.dfr')).sort();
    const parts = names.map((name) => fs.readFileSync(path.join(dir, name)));
    const span = index.last_us - index.first_us + 1e6, ids = 1e7;
    let number = parseInt(names.at(-1));
    for (let k = 1; k * span < HOUR_US; k++)
        for (const part of parts)
            fs.writeFileSync(path.join(dir, `${String(++number).padStart(6, '0')}.dfr`), shifted(part, Math.round(k * span), k * ids), { mode: 0o600 });
    return bytesIn(dir);
}

const print = (name, ms) => console.log(`| ${name} | ${ms.length} | ${[0.5, 0.95, 0.99].map((q) => quantile(ms, q).toFixed(1)).join(' | ')} |`);

async function seeks(bench, recording) {
    const { first_us: first, last_us: last } = (await bench.client.call('GET', `/v1/recordings/${recording}/index`)).json;
    console.log(`\nSeeks to random moments of ${((last - first) / 60e6).toFixed(1)} minutes, ${(bytesIn(bench.dirOf(recording)) / 1e6).toFixed(0)} MB, ms\n`);
    console.log('| | seeks | p50 | p95 | p99 |\n|---|---:|---:|---:|---:|');
    const times = Array.from({ length: SEEKS }, () => first + Math.random() * (last - first));
    const api = [];
    for (const time of times) {
        const begin = performance.now();
        await bench.client.call('GET', `/v1/recordings/${recording}/frame`, { query: { time_us: Math.round(time) } });
        api.push(performance.now() - begin);
    }
    print('API: to the PNG of the frame', api);
    if (lacksBrowser())
        return;
    const browser = await openBrowser();
    const page = await browser.context.newPage();
    await page.goto(`${bench.daemon.url}/recordings/${recording}`);
    await eventually('the page', () => page.evaluate(async () => window.deskfarm && (await window.deskfarm.isReady) && window.deskfarm.main.replayer.shown >= 0), { ms: 60000 });
    const shown = [];
    for (const time of times)
        shown.push(await page.evaluate(async (to) => {
            const begin = performance.now();
            await window.deskfarm.seek(to);
            return performance.now() - begin;
        }, time));
    print('page: to the painted canvas', shown);
    await browser.close();
}

// --- The run

if (lacksImage('debian-xfce') || lacksImage('probe')) {
    console.log('needs the images debian-xfce and probe');
    process.exit(77);
}
const daemon = await Daemon.start({ args: ['--pool', '0'] }); /* a spare's process has another name */
const bench = new Bench(daemon);
const { client } = bench;
try {
    console.log(`${machine()}; accelerator ${(await client.call('GET', '/v1/info')).json.accel}; ${seconds} s per row; debian-xfce 1280x800, the film on the probe guest\n`);
    console.log('| | MB/h | daemon, % of a core | QEMU, % of a core |\n|---|---:|---:|---:|');
    const boxes = [];
    for (const recording of [false, true]) {
        const box = await createDesktop(client, { recording });
        await client.call('POST', `/v1/sandboxes/${box.id}/desktop/wait`, { body: { for: 'up', max_ms: 280000 } });
        boxes.push(box.id);
    }
    const [plain, recorded] = boxes;
    await sleep(Math.min(40, seconds) * 1000); /* the unrecorded one is let go of */
    for (let k = 0; k < 2; k++) {
        await bench.row('idle, not recorded', plain, (until) => sleep(until - performance.now()));
        await bench.row('idle, recorded', recorded, (until) => sleep(until - performance.now()));
    }
    await client.delete(plain);
    await openTerminal(client, recorded);
    const recording = await bench.row('typical work', recorded, typicalWork(client, recorded));
    const film = path.join(daemon.dir, 'typical.mp4');
    execFileSync(cli, ['--url', daemon.url, 'export', recording, '--format', 'mp4', '-o', film]);
    await client.act(recorded, [{ type: 'type', text: 'clear; seq 1 300000 > /tmp/n; less /tmp/n\n' }, { type: 'wait_for', quiet_ms: 1000 }]);
    await bench.row('heavy scrolling', recorded, scrolling(client, recorded));
    const probe = await Probe.create(daemon, client);
    await probe.command('animate', { on: true, x: 0, y: 0, w: 1280, h: 800, fps: 25 });
    const video = await bench.row('film over the whole screen', probe.id, (until) => sleep(until - performance.now()));
    await probe.command('animate', { on: false });
    const videoFilm = path.join(daemon.dir, 'video.mp4');
    execFileSync(cli, ['--url', daemon.url, 'export', video, '--format', 'mp4', '-o', videoFilm]);
    if (fs.existsSync('/usr/bin/Xvfb') && fs.existsSync('/usr/bin/ffplay'))
        for (const [name, of] of [['typical work', film], ['film over the whole screen', videoFilm]])
            for (const rate of [10, 30])
                await grabbed(name, of, rate, daemon.dir);
    else
        console.log('\n(x11grab: needs Xvfb and ffplay)');
    await client.delete(recorded);
    await eventually('the recording has ended', async () => (await client.call('GET', `/v1/recordings/${recording}`)).json.state === 'ended');
    await makeHour(bench, recording);
    await seeks(bench, recording);
    probe.close();
} finally {
    await daemon.destroy();
}
