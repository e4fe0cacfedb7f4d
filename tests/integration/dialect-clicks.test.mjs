/**
 * Clicks arrive where models meant them: screen sizes by image sizes by every dialect and coordinate space, corners
 * and edges included, by the guest's own report.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isFull, Random } from './lib/counts.mjs';
import { useFarm } from './lib/farm.mjs';

const farm = useFarm();
const options = { skip: farm.skip };
const random = new Random();
console.log(`# DESKFARM_SEED=${random.seed}`);

const screens = [[1920, 1080], [800, 600], [1281, 801], ...(isFull ? [[1280, 800], [1366, 768]] : [])];
/** Of the pictures: what suits the API (null), the screen's own, half of it, and one of another aspect. */
const images = [() => null, (w, h) => [w, h], (w, h) => [w >> 1, h >> 1], () => [1000, 777]];

/** Corners, and places on each edge and inside. */
function pointsOf(width, height) {
    const x = () => random.int(0, width - 1), y = () => random.int(0, height - 1);
    const inside = Array.from({ length: isFull ? 12 : 1 }, () => [x(), y()]);
    const corners = [[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]];
    const edges = [[x(), 0], [x(), height - 1], [0, y()], [width - 1, y()]];
    return isFull ? [...corners, ...edges, ...inside] : [corners[0], corners[3], random.pick(edges), ...inside];
}

const member = ([x, y]) => ({ type: 'tool_use', id: 'c', name: 'left_click', toolset_name: 'computer', input: { coordinate: [x, y] } });
/** How each dialect says a list of clicks in pixels of a picture. */
const inPixels = {
    anthropic: (points) => points.map(member),
    openai: (points) => ({ actions: points.map(([x, y]) => ({ type: 'click', x, y, button: 'left' })) }),
    ui_tars: (points) => ({ text: `Action: ${points.map(([x, y]) => `click(point='<point>${x} ${y}</point>')`).join('\n\n')}` }),
    osworld: (points) => points.map(([x, y]) => ({ action_type: 'CLICK', parameters: { x, y } })),
};
/** And in shares of the screen: `of` is the number that the right or lower edge has. */
const inShares = {
    gemini: { of: 1000, say: (points) => points.map(([x, y]) => ({ functionCall: { name: 'click', args: { x, y } } })) },
    ui_tars: { of: 1000, query: { space: 'norm1000' }, say: inPixels.ui_tars },
    osworld: { of: 1, say: (points) => JSON.stringify(points.map(([x, y]) => `pyautogui.click(${x.toFixed(6)}, ${y.toFixed(6)})`).join('\n')) },
};

async function pressesOf(dialect, body, query, n) {
    const mark = farm.probe.mark();
    const path = `/v1/sandboxes/${farm.id}/desktop/dialects/${dialect}`;
    await farm.client.call('POST', path, { body, query: { images: 'asked', ...query } });
    const events = await farm.probe.received(farm.client, mark);
    const presses = events.filter((e) => e.ev === 'button' && e.down && e.button === 1);
    assert.equal(presses.length, n, `${dialect}: every click arrives once`);
    return presses;
}

async function checkPixels(dialect, screen, size) {
    const query = size ? { width: size[0], height: size[1] } : {};
    const path = `/v1/sandboxes/${farm.id}/desktop/dialects/${dialect}`;
    const { image } = (await farm.client.call('GET', path, { query })).json;
    const points = pointsOf(image.width, image.height);
    const presses = await pressesOf(dialect, inPixels[dialect](points), query, points.length);
    for (const [i, [ix, iy]] of points.entries()) {
        const off = [[presses[i].x, ix, screen[0], image.width], [presses[i].y, iy, screen[1], image.height]]
            .map(([px, want, native, drawn]) => Math.abs((px + 0.5) * drawn / native - (want + 0.5)) / Math.max(1, drawn / native));
        assert.ok(Math.max(...off) <= 0.5 + 1e-9, `${dialect} ${image.width}x${image.height}: ${ix},${iy} came to ${presses[i].x},${presses[i].y}`);
        if (image.width === screen[0] && image.height === screen[1])
            assert.deepEqual([presses[i].x, presses[i].y], [ix, iy], `${dialect}: native pixels are exact`);
    }
    return points.length;
}

/** The middle of a pixel, and both ends of the scale, which are the first and the last pixel. */
async function checkShares(dialect, [width, height]) {
    const { of, say, query } = inShares[dialect];
    const points = pointsOf(width, height);
    const share = (px, size) => of === 1 ? (px === size - 1 ? 1 : (px + 0.5) / size) : px === size - 1 ? 1000 : (px + 0.5) * 1000 / size;
    const said = points.map(([x, y]) => [share(x, width), share(y, height)]);
    const presses = await pressesOf(dialect, say(said), query, points.length);
    assert.deepEqual(presses.map((e) => [e.x, e.y]), points, `${dialect}, 0 to ${of}`);
    return points.length;
}

for (const screen of screens) {
    test(`clicks of every dialect on ${screen.join('x')}`, options, async () => {
        await farm.client.resize(farm.id, ...screen);
        let n = 0;
        for (const dialect of Object.keys(inPixels))
            for (const size of isFull ? images : [random.pick(images)])
                n += await checkPixels(dialect, screen, size(...screen));
        for (const dialect of Object.keys(inShares))
            n += await checkShares(dialect, screen);
        console.log(`# ${screen.join('x')}: ${n} clicks`);
    });
}
