/** Screenshots are the guest's pixels, in every form in which they can be asked for. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { count } from './lib/counts.mjs';
import { buildDir } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { decodePng, Picture } from './lib/png.mjs';
import { parseColor, pattern } from './lib/probe.mjs';
import { eventually } from './lib/wait.mjs';

const farm = useFarm({ sandbox: { boot: 'cold' } });
const options = { skip: farm.skip };
const decoder = path.join(buildDir, 'tests/integration/decode-image');

async function png(query = {}) {
    const answer = await farm.client.shot(farm.id, { cursor: false, ...query });
    assert.equal(answer.headers['content-type'], 'image/png');
    return decodePng(answer.body);
}

/** A JPEG or WebP to pixels. */
function decode(bytes) {
    const ppm = execFileSync(decoder, { input: bytes, maxBuffer: 1 << 28 });
    const [, width, height] = /^P6\n(\d+) (\d+)\n255\n/.exec(ppm.toString('latin1', 0, 40)).map(Number);
    return new Picture(width, height, 3, ppm.subarray(ppm.length - width * height * 3));
}

function assertSame(picture, expected, more) {
    const { n, first } = picture.differences(expected, more);
    assert.equal(n, 0, `${n} pixels differ: ${first}`);
}

/** The guest says what it painted a moment before its display device shows it. */
function becomes(expected) {
    let last;
    return eventually('the screen shows it', async () => {
        last = await png();
        return last.differences(expected).n === 0;
    }, { every: 100 }).catch(() => assertSame(last, expected));
}

/** The mean of what an image pixel covers, in floating point. */
function areaAverage(color, region, width, height) {
    return (x, y) => {
        const x0 = region.x + x * region.width / width, x1 = region.x + (x + 1) * region.width / width;
        const y0 = region.y + y * region.height / height, y1 = region.y + (y + 1) * region.height / height;
        const sum = [0, 0, 0];
        for (let py = Math.floor(y0); py < y1; py++)
            for (let px = Math.floor(x0); px < x1; px++) {
                const share = (Math.min(px + 1, x1) - Math.max(px, x0)) * (Math.min(py + 1, y1) - Math.max(py, y0));
                color(px, py).forEach((v, i) => (sum[i] += v * share));
            }
        return sum.map((v) => v / ((x1 - x0) * (y1 - y0)));
    };
}

test('the whole screen equals the pattern to the pixel', options, async () => {
    await farm.probe.clear();
    await becomes(pattern);
    const picture = await png();
    assert.deepEqual([picture.width, picture.height], [farm.probe.width, farm.probe.height]);
});

test('what was painted is in the next screenshot', options, async () => {
    await farm.probe.fill(61, 63, 7, 130, '#12fe9a');
    await becomes((x, y) => (x >= 61 && x < 68 && y >= 63 && y < 193 ? parseColor('#12fe9a') : pattern(x, y)));
    await farm.probe.clear();
    await becomes(pattern);
});

for (const region of [
    { x: 0, y: 0, width: 1, height: 1 }, { x: 1279, y: 799, width: 1, height: 1 },
    { x: 63, y: 65, width: 130, height: 3 }, { x: 1, y: 0, width: 1279, height: 800 },
]) {
    test(`region ${Object.values(region)}`, options, async () => {
        const picture = await png(region);
        assert.deepEqual([picture.width, picture.height], [region.width, region.height]);
        assertSame(picture, (x, y) => pattern(x + region.x, y + region.y));
    });
}

for (const [name, query, width, height] of [
    ['scale 0.5', { scale: 0.5 }, 640, 400],
    ['an odd size', { out_width: 427, out_height: 267 }, 427, 267],
    ['a third of the width, the height follows', { out_width: 400 }, 400, 250],
]) {
    test(`${name} is the area average of what each pixel covers`, options, async () => {
        const whole = { x: 0, y: 0, width: farm.probe.width, height: farm.probe.height };
        const picture = await png(query);
        assert.deepEqual([picture.width, picture.height], [width, height]);
        assertSame(picture, areaAverage(pattern, whole, width, height), { tolerance: 1.001 });
    });
}

test('a region and a scale together', options, async () => {
    const region = { x: 200, y: 100, width: 300, height: 200 };
    const picture = await png({ ...region, scale: 0.5 });
    assert.deepEqual([picture.width, picture.height], [150, 100]);
    assertSame(picture, areaAverage(pattern, region, 150, 100), { tolerance: 1.001 });
});

/** Where pixels around a point differ from the pattern, once an arrow is shown there. */
async function arrowAt(px, py) {
    await farm.client.act(farm.id, { type: 'move', x: px, y: py });
    return eventually(`an arrow at ${px},${py}`, async () => {
        const picture = await png({ cursor: true });
        const changed = [];
        for (let y = py - 40; y < py + 40; y++)
            for (let x = px - 40; x < px + 40; x++)
                if (picture.at(x, y).some((v, i) => v !== pattern(x, y)[i]))
                    changed.push([x, y]);
        return changed.length > 20 && { picture, changed };
    }, { ms: 3000 });
}

test('the cursor is drawn when asked for, and only it', options, async () => {
    await farm.probe.command('cursor', { shape: 'arrow' });
    const { picture } = await arrowAt(600, 400);
    assertSame(picture, pattern, { skip: (x, y) => Math.abs(x - 600) < 40 && Math.abs(y - 400) < 40 });
    assertSame(await png({ cursor: false }), pattern);
});

test('an arrow\'s tip is where the pointer is', options, async () => {
    const { changed } = await arrowAt(300, 300);
    const left = Math.min(...changed.map(([x]) => x)), top = Math.min(...changed.map(([, y]) => y));
    assert.ok(Math.abs(left - 300) <= 2 && Math.abs(top - 300) <= 2, `the arrow starts at ${left},${top}`);
});

for (const [format, mime, tolerance] of [['jpeg', 'image/jpeg', 40], ['webp', 'image/webp', 60]]) {
    test(`${format} can be decoded, has the size, and looks like it`, { skip: farm.skip || (fs.existsSync(decoder) ? false : `needs ${decoder}`) }, async () => {
        const answer = await farm.client.shot(farm.id, { format, quality: 95, cursor: false });
        assert.equal(answer.headers['content-type'], mime);
        const picture = decode(answer.body);
        assert.deepEqual([picture.width, picture.height], [farm.probe.width, farm.probe.height]);
        const { n, first } = picture.differences(pattern, { tolerance });
        assert.ok(n < 0.02 * picture.width * picture.height, `${n} pixels are far off: ${first}`);
        const coarse = await farm.client.shot(farm.id, { format, quality: 20, cursor: false });
        assert.ok(coarse.body.length < answer.body.length, 'a lower quality has fewer bytes');
    });
}

test('JSON carries the same image', options, async () => {
    const bytes = await farm.client.shot(farm.id, { cursor: false });
    const { json } = await farm.client.shot(farm.id, { cursor: false }, { headers: { accept: 'application/json' } });
    assert.deepEqual(Buffer.from(json.image.data, 'base64'), bytes.body);
    assert.equal(json.image.id, bytes.result.image.id);
});

test('ETag: the same screen is 304, another one is not', options, async () => {
    const first = await farm.client.shot(farm.id, { cursor: false });
    const headers = { 'if-none-match': first.headers.etag };
    assert.equal((await farm.client.send('GET', `/v1/sandboxes/${farm.id}/desktop/screenshot?cursor=false`, { headers })).status, 304);
    await farm.probe.fill(0, 0, 3, 3, '#ffffff');
    const changed = { for: 'change', since: first.result.image.frame, max_ms: 5000 };
    await farm.client.call('POST', `/v1/sandboxes/${farm.id}/desktop/wait`, { body: changed });
    const second = await farm.client.shot(farm.id, { cursor: false }, { headers });
    assert.equal(second.status, 200);
    assert.notEqual(second.headers.etag, first.headers.etag);
    await farm.probe.clear();
});

test('HEAD has the length and no body', options, async () => {
    const answer = await farm.client.send('HEAD', `/v1/sandboxes/${farm.id}/desktop/screenshot`);
    assert.equal(answer.status, 200);
    assert.ok(Number(answer.headers['content-length']) > 1000);
    assert.equal(answer.body.length, 0);
});

async function currentFrame() {
    const { result } = await farm.client.shot(farm.id, { settle: true, cursor: false });
    return result.image.frame;
}

test('if_changed_since: unchanged has no image', options, async () => {
    const frame = await currentFrame();
    const bytes = await farm.client.shot(farm.id, { if_changed_since: frame });
    assert.equal(bytes.status, 204);
    const jpeg = await farm.client.call('GET', `/v1/sandboxes/${farm.id}/desktop/screenshot`,
        { query: { format: 'jpeg', if_changed_since: frame }, headers: { accept: 'image/jpeg' } });
    assert.equal(jpeg.status, 204, 'whatever the format');
    const { json } = await farm.client.shot(farm.id, { if_changed_since: frame }, { headers: { accept: 'application/json' } });
    assert.equal(json.changed, false);
    assert.equal(json.image, undefined);
});

test('a long poll sleeps while nothing changes and wakes when something does', options, async () => {
    const frame = await currentFrame();
    const still = await farm.client.shot(farm.id, { if_changed_since: frame, wait_ms: 500 });
    assert.equal(still.status, 204);
    assert.ok(still.ms >= 490, `answered after ${still.ms} ms`);
    const poll = farm.client.shot(farm.id, { if_changed_since: frame, wait_ms: 20000, cursor: false });
    const painted = await farm.probe.fill(40, 40, 20, 20, '#abcdef', 300);
    const woken = await poll;
    assert.equal(woken.status, 200);
    assert.ok(performance.now() - painted.hostMs < 1500, 'soon after the change');
    assert.deepEqual(decodePng(woken.body).at(50, 50), parseColor('#abcdef'));
    await farm.probe.clear();
});

test('an unchanged screen is quick', options, async (t) => {
    await currentFrame();
    const times = [];
    for (let i = 0; i < 20; i++)
        times.push((await farm.client.shot(farm.id, { cursor: false })).ms);
    t.diagnostic(`median ${times.sort((a, b) => a - b)[10].toFixed(2)} ms`);
    assert.ok(times[10] < 100);
});

test('frame ids grow with every change and stay without one', options, async () => {
    const frames = [await currentFrame(), await currentFrame()];
    assert.equal(frames[0], frames[1]);
    await farm.probe.fill(0, 0, 3, 3, '#00ff00');
    const wait = { for: 'change', since: frames[1], max_ms: 5000 };
    await farm.client.call('POST', `/v1/sandboxes/${farm.id}/desktop/wait`, { body: wait });
    assert.ok(await currentFrame() > frames[1]);
    await farm.probe.clear();
});

test('screenshots during an animation are whole, and only the animated region differs', options, async () => {
    await farm.probe.command('animate', { x: 500, y: 300, w: 256, h: 200, fps: 20, on: true });
    const inside = (x, y) => x >= 500 && x < 756 && y >= 300 && y < 500;
    const seen = new Set();
    for (let i = 0; i < 5; i++) {
        const answer = await farm.client.shot(farm.id, { cursor: false, wait_ms: 2000, if_changed_since: Math.max(...seen, 0) });
        seen.add(answer.result.image.frame);
        assertSame(decodePng(answer.body), pattern, { skip: inside });
    }
    assert.equal(seen.size, 5);
    await farm.probe.command('animate', { on: false });
    await farm.probe.clear();
});

test('a scrolled region is followed', options, async () => {
    await farm.probe.command('scroll', { x: 100, y: 100, w: 400, h: 300, dy: 37 });
    await becomes((x, y) => (x >= 100 && x < 500 && y >= 100 && y < 400 ? pattern(x, y + 37) : pattern(x, y)));
    await farm.probe.clear();
    await becomes(pattern);
});

for (const [width, height] of [[1024, 768], [1920, 1080], [1281, 801], [640, 480], [2560, 1440], [800, 600], [1280, 800]].slice(-count('resizes'))) {
    test(`another size: ${width}x${height}`, options, async () => {
        const from = farm.probe.mark();
        const before = await farm.client.display(farm.id);
        const after = await farm.client.resize(farm.id, width, height);
        assert.deepEqual([after.width ?? after.screen.width, after.height ?? after.screen.height], [width, height]);
        await farm.probe.until((e) => e.ev === 'resized' && e.w === width && e.h === height, { from });
        const now = await farm.client.display(farm.id);
        assert.deepEqual([now.width, now.height], [width, height]);
        assert.notEqual(now.epoch, before.epoch);
        await becomes(pattern);
        const picture = await png();
        assert.deepEqual([picture.width, picture.height], [width, height]);
    });
}

test('a frame of another size is not clicked on', options, async () => {
    const { result } = await farm.client.shot(farm.id);
    const from = farm.probe.mark();
    await farm.client.resize(farm.id, 1024, 700);
    await farm.probe.until((e) => e.ev === 'resized', { from });
    const body = { actions: [{ type: 'click', x: 1, y: 1 }], space: 'frame', image: result.image.id };
    const answer = await farm.client.send('POST', `/v1/sandboxes/${farm.id}/desktop/actions`, { body });
    assert.deepEqual([answer.status, answer.json.code], [410, 'unknown_frame']);
});

for (const [what, query] of [
    ['a region that sticks out', { x: 1000, y: 0, width: 10000, height: 10 }],
    ['an empty region', { x: 0, y: 0, width: 0, height: 10 }],
    ['a format that is none', { format: 'bmp' }],
    ['a quality of 0', { format: 'jpeg', quality: 0 }],
    ['a scale that is no number', { scale: 'big' }],
    ['a size beyond the limit', { out_width: 9000 }],
]) {
    test(`refused: ${what}`, options, async () => {
        const search = new URLSearchParams(query);
        const answer = await farm.client.send('GET', `/v1/sandboxes/${farm.id}/desktop/screenshot?${search}`);
        assert.equal(answer.status, 400, `${answer.status} ${answer.json?.message}`);
        assert.match(answer.json.code, /^(bad_value|bad_type|outside_screen)$/);
    });
}
