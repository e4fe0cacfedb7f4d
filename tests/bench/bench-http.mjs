/**
 * What a client of the HTTP API waits for: the daemon of this build, one guest, one kept-alive connection
 * from the same machine.
 *
 *   node tests/bench/bench-http.mjs [probe | desktop] [ROUNDS]        DESKFARM_BUILD names the build
 *
 * "probe" is the test guest with windows and text drawn on its screen, "desktop" the debian-xfce image as
 * it is after the start.
 *
 * The clock starts before the request is handed to Node's http client and stops when the last byte of
 * the answer is here; so it holds Node's part too, which the first row (/healthz) shows. For a changed
 * screen the probe has painted a rectangle before, and the daemon has published that frame: the answer
 * must carry that frame and must not come from the cache, else the row says WRONG. On the desktop the
 * pointer is moved instead, which makes another picture too. Times inside the daemon are the answer's
 * own.
 */
import { setTimeout } from 'node:timers/promises';
import { lacksImage } from '../integration/lib/daemon.mjs';
import { Probe } from '../integration/lib/probe.mjs';
import { measure, printHead, printMachine, runWithDaemon, Samples } from './report.mjs';

const QUIET_MS = 300;
const PACE_MS = 100;
const scenario = process.argv[2] ?? 'probe';
const rounds = Number(process.argv[3] ?? 100);
const sizes = [[1280, 800], [1920, 1080]];
const formats = [['png', 'PNG'], ['jpeg', 'JPEG 85'], ['webp', 'WebP 85']];
/* The rectangle that changes. */
const patch = { x: 420, y: 330, w: 320, h: 200 };

/* --- The guest's screen -------------------------------------------------------------------------- */

let state = 0x2545f491;
function random() {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
}
const color = (value) => `#${(value & 0xffffff).toString(16).padStart(6, '0')}`;

/** Strokes, as many as a page of text has. */
function* textFills(x, y, columns, lines) {
    for (let line = 0; line < lines; line++)
        for (let column = 0; column < columns; column++) {
            const r = random();
            if (r % 6 === 0)
                continue;
            const w = 2 + (r >>> 8) % 5, h = 2 + (r >>> 12) % 9;
            yield [x + column * 8 + (r >>> 16) % 3, y + line * 17 + ((10 - h) >> 1), w, h, r & 1 << 20 ? 0x202020 : 0x707070];
        }
}

/** The drawn desktop of bench-paired: windows with text on the guest's pattern. */
function* desktopFills(width, height) {
    const part = (n, share) => Math.trunc(n * share);
    yield [0, 0, width, 26, 0x2b2b2b];
    yield [120, 60, part(width, 0.6), part(height, 0.7), 0xfafafa];
    yield [120, 60, part(width, 0.6), 30, 0x3584e4];
    yield* textFills(130, 100, part(width, 6 / 80) - 4, part(height, 7 / 170) - 4);
    yield [width >> 1, part(height, 1 / 3), part(width, 0.4), height >> 1, 0xffffff];
    yield [width >> 1, part(height, 1 / 3), part(width, 0.4), 30, 0xd6d6d6];
    yield* textFills((width >> 1) + 10, part(height, 1 / 3) + 40, part(width, 4 / 80) - 4, part(height, 1 / 34) - 4);
}

async function paintDesktop(probe, width, height) {
    const fills = [...desktopFills(width, height)];
    while (fills.length > 0) {
        const from = probe.mark();
        const answers = await Promise.all(fills.splice(0, 100).map(([x, y, w, h, rgb]) =>
            probe.command('fill', { x, y, w, h, color: color(rgb) })));
        const last = answers[answers.length - 1].id;
        await probe.until((event) => event.ev === 'painted' && event.id === last, { from, what: 'the desktop' });
    }
}

class Bench {
    constructor(client, id, probe) {
        Object.assign(this, { client, id, probe, frame: 0 });
    }

    get path() {
        return `/v1/sandboxes/${this.id}/desktop`;
    }

    /** Paints, and waits until the daemon has published a frame with it: a long poll for one pixel. */
    async change() {
        const pixel = { x: 0, y: 0, width: 1, height: 1 };
        const before = (await this.client.shot(this.id, pixel)).result.image.frame;
        await this.probe.fill(patch.x, patch.y, patch.w, patch.h, color(random()));
        const { result } = await this.client.shot(this.id, { ...pixel, if_changed_since: before, wait_ms: 10000 });
        this.frame = result.image.frame;
    }

    async shoot(samples, query, isWanted, encode) {
        const answer = await this.client.send('GET', `${this.path}/screenshot`, { query });
        const result = JSON.parse(answer.headers['x-deskfarm-result'] ?? 'null');
        samples.add(answer.ms, answer.body.length, answer.status === 200 && isWanted(result.image));
        encode?.add(result.image.encode_us / 1000);
    }

    async benchChanged() {
        for (const [format, name] of formats) {
            const samples = new Samples(`changed, ${name}`);
            const encode = new Samples('… of that, assembling and encoding (in the daemon)');
            for (let i = 0; i < rounds; i++) {
                await this.change();
                await this.shoot(samples, { format }, (image) => !image.cached && image.frame >= this.frame, encode);
            }
            samples.print();
            encode.print();
        }
    }

    async benchUnchanged() {
        const rows = {
            health: new Samples('(GET /healthz, for comparison)'),
            since: new Samples('unchanged: if_changed_since names the frame'),
            etag: new Samples('unchanged: If-None-Match, 304'),
            bytes: new Samples('unchanged: the same PNG again, from the cache'),
        };
        await this.change();
        const first = await this.client.shot(this.id);
        const headers = { 'if-none-match': first.headers.etag };
        for (let i = 0; i < rounds; i++) {
            const health = await this.client.send('GET', '/healthz');
            rows.health.add(health.ms, health.body.length, health.status === 200);
            const since = await this.client.send('GET', `${this.path}/screenshot`,
                { query: { if_changed_since: first.result.image.frame } });
            rows.since.add(since.ms, since.body.length, since.status < 400 && since.body.length < 2000);
            const etag = await this.client.send('GET', `${this.path}/screenshot`, { headers });
            rows.etag.add(etag.ms, etag.body.length, etag.status === 304);
            await this.shoot(rows.bytes, {}, (image) => image.cached);
        }
        Object.values(rows).forEach((samples) => samples.print());
    }

    /** The daemon keeps events 30 ms away from a button's release; no agent is that quick. */
    async benchInput() {
        const what = { move: 'move', click: 'click, pressed for 30 ms' };
        for (const type of Object.keys(what)) {
            const trip = new Samples(`${what[type]}: round trip`);
            const queued = new Samples('… of that, queued → QEMU has answered the first event (in the daemon)');
            const kind = type === 'move' ? 'motion' : 'button';
            for (let i = 0; i < rounds; i++) {
                await setTimeout(PACE_MS);
                const x = 100 + i % 200, from = this.probe.mark();
                const answer = await this.client.act(this.id, { type, x, y: 100 });
                const [first] = answer.results[0].injected_us;
                trip.add(answer.ms);
                queued.add((first - answer.results[0].queued_us) / 1000);
                await this.probe.until((event) => event.ev === kind && event.x === x && !event.down, { from });
            }
            trip.print();
            queued.print();
        }
    }

    /** The screen must stay quiet after the later of the last change and the release of the button. */
    async benchBatch(n) {
        const total = new Samples('click → settled PNG (base64 in JSON): round trip');
        const guest = new Samples('… of that, press → the guest\'s last change, or the release');
        const added = new Samples(`… beyond that and quiet_ms ${QUIET_MS}`);
        for (let i = 0; i < n; i++) {
            const step = { ...patch, color: color(random()), delay_ms: 0 };
            await this.probe.command('on_input', { on: 'button', steps: [step] });
            const from = this.probe.mark();
            const answer = await this.client.act(this.id, { type: 'click', x: 300 + i % 50, y: 300 },
                { settle: { quiet_ms: QUIET_MS }, screenshot: { format: 'png' } });
            const [press, release] = answer.results[0].injected_us;
            const last = Math.max(answer.settle.last_ms, (release - press) / 1000);
            total.add(answer.ms, answer.image.data.length, answer.settle.result === 'settled');
            guest.add(last);
            added.add(answer.ms - last - QUIET_MS);
            await this.probe.until((event) => event.ev === 'painted', { from });
        }
        [total, guest, added].forEach((samples) => samples.print());
    }

    /** A real desktop: the pointer moves before each shot; a shot before it has is taken again. */
    async benchDesktop() {
        for (const [format, name] of formats) {
            const samples = new Samples(`pointer moved, ${name}`);
            const encode = new Samples('… of that, assembling and encoding (in the daemon)');
            for (let i = 0; samples.ms.length < rounds; i++) {
                await this.client.act(this.id, { type: 'move', x: 200 + 7 * i % 800, y: 200 + 3 * i % 400 });
                const answer = await this.client.shot(this.id, { format });
                if (answer.result.image.cached)
                    continue;
                samples.add(answer.ms, answer.body.length);
                encode.add(answer.result.image.encode_us / 1000);
            }
            samples.print();
            encode.print();
        }
    }
}

async function runProbe(daemon, client) {
    const probe = await Probe.create(daemon, client);
    const bench = new Bench(client, probe.id, probe);
    await measure(daemon, probe.id, async () => {
        for (const [i, [width, height]] of sizes.entries()) {
            if (i > 0) {
                const from = probe.mark();
                await client.resize(probe.id, width, height);
                await probe.until((event) => event.ev === 'resized' && event.w === width, { from });
            }
            await paintDesktop(probe, width, height);
            printHead(`screenshot over HTTP, ${width}x${height}`);
            if (i === 0)
                await bench.benchUnchanged();
            await bench.benchChanged();
            if (i > 0)
                continue;
            printHead('input over HTTP, settle and screenshot off');
            await bench.benchInput();
            printHead('batch over HTTP');
            await bench.benchBatch(rounds);
        }
    });
    probe.close();
}

async function runDesktop(daemon, client) {
    const { id } = await client.create('debian-xfce');
    await client.waitState(id, 'Running');
    await client.call('POST', `/v1/sandboxes/${id}/desktop/wait`, { body: { for: 'up', max_ms: 300000 }, ms: 310000 });
    await measure(daemon, id, async () => {
        printHead('screenshot over HTTP, debian-xfce, 1280x800');
        await new Bench(client, id).benchDesktop();
    });
}

async function run(daemon) {
    const client = daemon.client();
    await printMachine(client);
    await (scenario === 'desktop' ? runDesktop : runProbe)(daemon, client);
}

await runWithDaemon(lacksImage(scenario === 'desktop' ? 'debian-xfce' : 'probe'), run);
