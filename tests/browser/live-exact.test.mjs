/**
 * Random changes in a guest, and what Chromium's canvas shows after each: what the page painted is hashed against a
 * picture that this file draws itself from what it told the guest. 1000 changes with DESKFARM_FULL=1, and then each
 * must be there within 250 ms of the guest's own word. (alone)
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isSanitized } from '../integration/lib/daemon.mjs';
import { useFarm } from '../integration/lib/farm.mjs';
import { parseColor } from '../integration/lib/probe.mjs';
import { eventually } from '../integration/lib/wait.mjs';
import { lacksBrowser, openBrowser } from './lib.mjs';

const isFull = process.env.DESKFARM_FULL === '1';
const CHANGES = isFull ? 1000 : 60;
const LIMIT_MS = 250;
const WIDTH = 1280, HEIGHT = 800;

const farm = useFarm();
const options = { skip: farm.skip || lacksBrowser(), timeout: isFull ? 900000 : 180000 };
let browser;

before(async () => {
    if (!options.skip)
        browser = await openBrowser();
}, { timeout: 60000 });
after(() => browser?.close(), { timeout: 30000 });

/** A repeatable source of randomness (xorshift). */
function makeRandom(seed) {
    let state = seed;
    return (n) => {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        return (state >>> 0) % n;
    };
}

/** What the guest's screen shows, pixel by pixel, as the canvas has it in memory: bytes red, green, blue, 255. */
class Model {
    constructor() {
        this.pixels = new Uint32Array(WIDTH * HEIGHT);
        this.clear();
    }

    clear() {
        for (let y = 0; y < HEIGHT; y++)
            for (let x = 0; x < WIDTH; x++)
                this.pixels[y * WIDTH + x] = Model.pattern(x, y);
    }

    static pattern(x, y) {
        const blue = (x >> 8 & 15) << 4 | (y >> 8 & 15);
        return (0xff000000 | blue << 16 | (y & 255) << 8 | (x & 255)) >>> 0;
    }

    fill({ x, y, w, h, color }) {
        const [r, g, b] = parseColor(color), value = (0xff000000 | b << 16 | g << 8 | r) >>> 0;
        for (let row = y; row < Math.min(y + h, HEIGHT); row++)
            this.pixels.fill(value, row * WIDTH + x, row * WIDTH + Math.min(x + w, WIDTH));
    }

    /** From the pattern: pixel (x, y) shows what the pattern has sum rows further down. */
    scroll({ x, y, w, h }, sum) {
        for (let row = y; row < y + h; row++)
            for (let column = x; column < x + w; column++)
                this.pixels[row * WIDTH + column] = Model.pattern(column, row + sum);
    }
}

/** In the order of the pixels, so that one that moved is seen. The page does the same. */
function hashPixels(pixels) {
    let hash = 0x811c9dc5;
    for (let i = 0; i < pixels.length; i++)
        hash = Math.imul(hash ^ pixels[i], 0x01000193) ^ (hash >>> 15);
    return hash >>> 0;
}

/** Runs in the page: hashes the canvas after each frame. The time is that of the painting, not of the hashing. */
function watchCanvas() {
    const { link } = window.deskfarm, canvas = document.querySelector('#screen'), context = canvas.getContext('2d');
    const seen = { hash: 0, at: 0, waiting: null };
    const look = () => {
        const at = performance.timeOrigin + performance.now();
        const pixels = new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
        let hash = 0x811c9dc5;
        for (let i = 0; i < pixels.length; i++)
            hash = Math.imul(hash ^ pixels[i], 0x01000193) ^ (hash >>> 15);
        Object.assign(seen, { hash: hash >>> 0, at });
        if (seen.waiting?.hash === seen.hash)
            seen.waiting.resolve(at);
    };
    const painted = link.listener.frame;
    link.listener.frame = (frame) => {
        painted(frame);
        look();
    };
    look();
    /* When the canvas showed that; null when it never did. */
    window.waitForHash = (hash, ms) => new Promise((resolve) => {
        if (seen.hash === hash)
            return resolve(seen.at);
        const timer = setTimeout(() => resolve(null), ms);
        seen.waiting = { hash, resolve: (at) => { clearTimeout(timer); resolve(at); } };
    });
}

async function openPage(prepare = async () => {}) {
    const page = await browser.context.newPage();
    page.problems = [];
    page.on('pageerror', (error) => page.problems.push(`${error}`));
    page.on('console', (message) => message.type() === 'error' && page.problems.push(message.text()));
    await prepare(page);
    await page.goto(`${farm.daemon.url}/desktops/${farm.id}`);
    await eventually('a picture', () => page.evaluate((width) => document.querySelector('#screen').width === width, WIDTH));
    await page.evaluate(watchCanvas);
    return page;
}

/** From one pixel to the whole screen, small ones more often. */
function randomRect(random) {
    const w = Math.min(1 + random(1 << 1 + random(11)), WIDTH), h = Math.min(1 + random(1 << 1 + random(10)), HEIGHT);
    return { x: random(WIDTH - w + 1), y: random(HEIGHT - h + 1), w, h };
}

const randomColor = (random) => `#${random(0x1000000).toString(16).padStart(6, '0')}`;

/** One change of the guest and of the model. Returns when the guest said that it was done, in ms of the epoch. */
async function change(random, model) {
    const kind = random(20);
    let said;
    if (kind === 0) {
        said = await farm.probe.clear();
        model.clear();
    } else if (kind === 1) {
        const dy = 1 + random(40), rect = { x: random(300), y: random(200), w: 100 + random(700), h: 100 + random(400) };
        await farm.probe.clear();
        said = await farm.probe.command('scroll', { ...rect, dy });
        model.clear();
        model.scroll(rect, dy);
    } else {
        for (let n = kind < 5 ? 4 : 1; n > 0; n--) {
            const rect = randomRect(random), color = randomColor(random);
            said = await farm.probe.fill(rect.x, rect.y, rect.w, rect.h, color);
            model.fill({ ...rect, color });
        }
    }
    return performance.timeOrigin + said.hostMs;
}

async function checkChanges(t, page, count, seed) {
    const random = makeRandom(seed), model = new Model(), took = [];
    await farm.probe.clear();
    for (let i = 0; i < count; i++) {
        const said = await change(random, model), hash = hashPixels(model.pixels);
        const shown = await page.evaluate(([wanted, ms]) => window.waitForHash(wanted, ms), [hash, 20000]);
        assert.notEqual(shown, null, `change ${i} never showed`);
        took.push(Math.max(0, shown - said));
    }
    took.sort((a, b) => a - b);
    const at = (q) => took[Math.min(count - 1, Math.floor(q * count))].toFixed(0);
    const late = took.filter((ms) => ms > LIMIT_MS).length;
    t.diagnostic(`${count} changes, the guest's word to the canvas: p50 ${at(0.5)} ms, p95 ${at(0.95)}, p99 ${at(0.99)}, most ${at(1)}; ` +
        `${late} after ${LIMIT_MS} ms`);
    if (isFull && !isSanitized())
        assert.equal(late, 0);
    assert.deepEqual(page.problems, []);
}

test('after each of many random changes the canvas is the guest\'s screen', options, async (t) => {
    const page = await openPage();
    await checkChanges(t, page, CHANGES, 20261129);
    await page.close();
});

test('the same in a browser without WebCodecs', options, async (t) => {
    const page = await openPage((it) => it.addInitScript(() => {
        for (const name of ['VideoDecoder', 'VideoFrame', 'EncodedVideoChunk'])
            delete window[name];
    }));
    assert.equal(await page.evaluate(() => 'VideoDecoder' in window || window.deskfarm.link.options.video), false);
    await checkChanges(t, page, Math.ceil(CHANGES / 10), 7);
    await page.close();
});

for (const has of [true, false])
    test(`a film in the guest ${has ? 'comes as video' : 'comes as tiles without WebCodecs'}, and its last picture is exact`, options, async () => {
        await farm.probe.clear();
        const page = await openPage((it) => it.addInitScript((keep) => {
            if (!keep)
                delete window.VideoDecoder;
        }, has));
        await page.evaluate(() => {
            const { screen } = window.deskfarm, paint = screen.paint.bind(screen);
            window.nVideo = 0;
            screen.paint = (view, bytes, r) => {
                window.nVideo += r.type === 10;
                return paint(view, bytes, r);
            };
        });
        const before = await page.evaluate(() => window.deskfarm.link.stats.frames);
        await farm.probe.command('animate', { on: true, x: 128, y: 128, w: 640, h: 384, fps: 25 });
        await eventually('many pictures', () => page.evaluate(([from, wantsVideo]) => {
            const { frames } = window.deskfarm.link.stats;
            return frames - from > 60 && (!wantsVideo || window.nVideo > 5);
        }, [before, false]), { ms: 60000 });
        await farm.probe.command('animate', { on: false });
        await eventually('every pixel is the guest\'s', async () => await page.evaluate(countWrong, farm.id) === 0, { ms: 60000, every: 300 });
        const nVideo = await page.evaluate(() => window.nVideo);
        assert.ok(has || nVideo === 0, 'a browser without WebCodecs is sent no video');
        assert.deepEqual(page.problems, []);
        await page.close();
        await farm.probe.clear();
    });

/** Runs in the page: how many pixels of the canvas differ from the server's own screenshot. */
async function countWrong(id) {
    const answer = await fetch(`/v1/sandboxes/${id}/desktop/screenshot?format=png&cursor=false`);
    const bitmap = await createImageBitmap(await answer.blob());
    const copy = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
    copy.drawImage(bitmap, 0, 0);
    const read = (context) => new Uint32Array(context.getImageData(0, 0, bitmap.width, bitmap.height).data.buffer);
    const a = read(copy), b = read(document.querySelector('#screen').getContext('2d'));
    return a.reduce((n, value, i) => n + (value !== b[i]), 0);
}
