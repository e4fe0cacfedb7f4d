/**
 * Clicks arrive where they were meant: every coordinate space, several image scales and screen sizes,
 * edges and corners included.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count } from './lib/counts.mjs';
import { useFarm } from './lib/farm.mjs';

const farm = useFarm();
const options = { skip: farm.skip };

/** Evenly spread over 0 … size-1, both ends included. */
function spread(size, n) {
    return Array.from({ length: n }, (_, i) => Math.round(i * (size - 1) / (n - 1)));
}

function grid(width, height, n) {
    return spread(height, n).flatMap((y) => spread(width, n).map((x) => [x, y]));
}

/** Clicks all points in one batch (per hundred); returns where the guest saw the presses. */
async function clickAll(points, request = {}) {
    const mark = farm.probe.mark();
    for (let at = 0; at < points.length; at += 50) {
        const actions = points.slice(at, at + 50).map(([x, y]) => ({ type: 'click', x, y }));
        await farm.client.act(farm.id, actions, request);
    }
    const events = await farm.probe.received(farm.client, mark);
    const presses = events.filter((e) => e.ev === 'button' && e.down && e.button === 1);
    const releases = events.filter((e) => e.ev === 'button' && !e.down && e.button === 1);
    assert.equal(presses.length, points.length, 'every click arrives once');
    assert.deepEqual(releases.map(({ x, y }) => [x, y]), presses.map(({ x, y }) => [x, y]),
        'a click is released where it was pressed');
    return presses;
}

async function assertNative(points) {
    const presses = await clickAll(points);
    for (const [i, [x, y]] of points.entries())
        assert.deepEqual([presses[i].x, presses[i].y], [x, y], `native point ${i}`);
}

/**
 * Clicks image pixels; `toSpace` says what a caller writes for the middle of one. The guest's pixel
 * must lie within half an image pixel of the one that was meant.
 */
async function assertImage(image, request, toSpace) {
    const { region } = image;
    const meant = grid(image.width, image.height, count('gridSide'));
    const presses = await clickAll(meant.map(toSpace), request);
    let worst = 0;
    for (const [i, [ix, iy]] of meant.entries()) {
        const ex = (presses[i].x + 0.5 - region.x) * image.width / region.width - (ix + 0.5);
        const ey = (presses[i].y + 0.5 - region.y) * image.height / region.height - (iy + 0.5);
        worst = Math.max(worst, Math.abs(ex), Math.abs(ey));
    }
    /* A screen pixel that is larger than an image pixel cannot be hit closer than its own middle. */
    const limit = Math.max(0.5, 0.5 * image.width / region.width);
    assert.ok(worst <= limit + 1e-6, `off by ${worst} image pixels`);
    return meant.length;
}

async function takeImage(query) {
    const { result } = await farm.client.shot(farm.id, query);
    result.image.region ??= { x: 0, y: 0, width: farm.probe.width, height: farm.probe.height };
    return result.image;
}

const images = {
    'scale 1': {},
    'scale 0.5': { scale: 0.5 },
    'an odd scale': { out_width: 427, out_height: 267 },
    'a region, smaller': { x: 101, y: 57, width: 640, height: 400, out_width: 320, out_height: 200 },
    'a region, larger': { x: 900, y: 500, width: 100, height: 80, out_width: 300, out_height: 240 },
};
let clicked = 0;

test('native pixels: corners, edges and a grid, 0 px off', options, async () => {
    const { width, height } = farm.probe;
    const points = [...grid(width, height, 2 * count('gridSide') - 1),
        [1, 1], [width - 2, height - 2], [0, 399], [639, 0], [width - 1, 401], [641, height - 1]];
    await assertNative(points);
    clicked += points.length;
});

for (const [name, query] of Object.entries(images)) {
    test(`pixels of a named image: ${name}`, options, async () => {
        const image = await takeImage(query);
        clicked += await assertImage(image, { space: 'frame', image: image.id }, ([x, y]) => [x, y]);
    });
}

for (const [name, query] of Object.entries(images).slice(0, 3)) {
    test(`0–1000 and 0–1, meant in an image: ${name}`, options, async () => {
        const image = await takeImage(query);
        const share = ([x, y]) => [(x + 0.5) / image.width, (y + 0.5) / image.height];
        clicked += await assertImage(image, { space: 'norm1000' }, (p) => share(p).map((v) => v * 1000));
        clicked += await assertImage(image, { space: 'norm1' }, share);
    });
}

test('0–1000 and 0–1: their ends are the first and the last pixel', options, async () => {
    const { width, height } = farm.probe;
    const corners = [[0, 0], [1, 0], [0, 1], [1, 1]];
    const expected = corners.map(([x, y]) => [x * (width - 1), y * (height - 1)]);
    const at = (presses) => presses.map(({ x, y }) => [x, y]);
    assert.deepEqual(at(await clickAll(corners, { space: 'norm1' })), expected);
    assert.deepEqual(at(await clickAll(corners.map(([x, y]) => [x * 1000, y * 1000]), { space: 'norm1000' })),
        expected);
});

test('each button is that button', options, async () => {
    const buttons = { left: 1, middle: 2, right: 3, back: 8, forward: 9 };
    const mark = farm.probe.mark();
    await farm.client.act(farm.id, Object.keys(buttons).map((button) => ({ type: 'click', x: 70, y: 80, button })));
    const events = await farm.probe.received(farm.client, mark);
    assert.deepEqual(events.filter((e) => e.ev === 'button').map((e) => [e.button, e.down, e.x, e.y]),
        Object.values(buttons).flatMap((b) => [[b, true, 70, 80], [b, false, 70, 80]]));
});

test('a click without a point happens where the pointer is', options, async () => {
    await farm.client.act(farm.id, { type: 'move', x: 333, y: 444 });
    const mark = farm.probe.mark();
    await farm.client.act(farm.id, { type: 'click' });
    const events = await farm.probe.received(farm.client, mark);
    assert.deepEqual(events.filter((e) => e.ev === 'button').map((e) => [e.x, e.y]), [[333, 444], [333, 444]]);
});

test('0 is a coordinate', options, async () => {
    await assertNative([[0, 0], [0, 5], [5, 0]]);
});

for (const [x, y, name] of [[-1, 5, 'left of'], [5, -1, 'above'], [100000, 5, 'right of'], [5, 800, 'just below']]) {
    test(`a point ${name} the screen is refused and nothing is clicked`, options, async () => {
        const mark = farm.probe.mark();
        const body = { actions: [{ type: 'click', x, y }], settle: false, screenshot: false };
        const answer = await farm.client.send('POST', `/v1/sandboxes/${farm.id}/desktop/actions`, { body });
        assert.deepEqual([answer.status, answer.json.code], [400, 'outside_screen']);
        assert.deepEqual((await farm.probe.received(farm.client, mark)).filter((e) => e.ev === 'button'), []);
    });
}

for (const [width, height] of [[1920, 1080], [1366, 768], [800, 600], [1281, 801], [1280, 800]].slice(-count('resizes') - 1)) {
    test(`native pixels after a change to ${width}x${height}`, options, async () => {
        const from = farm.probe.mark();
        await farm.client.resize(farm.id, width, height);
        await farm.probe.until((e) => e.ev === 'resized' && e.w === width && e.h === height, { from });
        Object.assign(farm.probe, { width, height });
        await assertNative(grid(width, height, count('gridSide')));
    });
}

test('enough was clicked', options, (t) => {
    t.diagnostic(`${clicked} clicks in all spaces`);
    assert.ok(clicked >= (count('gridSide') === 5 ? 200 : 100));
});
