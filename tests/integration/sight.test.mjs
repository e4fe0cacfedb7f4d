/** Waiting for what the screen shows, finding it, and seeing only what changed: on the probe, to the pixel. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import { test } from 'node:test';
import { useFarm } from './lib/farm.mjs';
import { decodePng } from './lib/png.mjs';

const farm = useFarm();
const options = { skip: farm.skip };
const route = (name) => `/v1/sandboxes/${farm.id}/desktop/${name}`;
const post = async (name, body) => (await farm.client.call('POST', route(name), { body })).json;
const refused = async (name, body) => {
    const { status, json } = await farm.client.send('POST', route(name), { body });
    return `${status} ${json.code}`;
};
const wait = (body) => post('wait', { max_ms: 20000, ...body });

/** A picture of the screen's part as a PNG in base64. */
async function cut(x, y, width, height) {
    const { body } = await farm.client.shot(farm.id, { x, y, width, height, cursor: false });
    return body.toString('base64');
}

const seen = (x, y, color) => wait({ for: 'pixel', x, y, color });

/** The pattern alone, and its frame. The probe's word for a paint may be here before its pixels: the last one is waited for. */
async function fresh() {
    await farm.probe.fill(1279, 799, 1, 1, '#010203');
    await seen(1279, 799, '#010203');
    await farm.probe.clear();
    await seen(1279, 799, '#ff1f43');
    const { result } = await farm.client.shot(farm.id, { settle: true, cursor: false });
    return result.image?.frame ?? result.frame;
}

/** A sign that is nowhere in the pattern: two colours, so that it has details. Returns once it is seen. */
async function paintSign(x, y) {
    await farm.probe.fill(x, y, 40, 24, '#f0f0f0');
    await farm.probe.fill(x + 12, y + 6, 16, 12, '#203040');
    await seen(x + 12, y + 6, '#203040');
}

/** The events of a watch, as they come; on(event) sees each. Ends with the stream. */
function watch(body, on = () => {}) {
    return new Promise((resolve, reject) => {
        const { port } = new URL(farm.daemon.url), events = [];
        const request = http.request({ port, path: route('watch'), method: 'POST', headers: { 'content-type': 'application/json' } }, (response) => {
            let rest = '';
            response.setEncoding('utf8');
            response.on('data', (text) => {
                const pieces = (rest + text).split('\n\n');
                rest = pieces.pop();
                for (const event of pieces.map((piece) => JSON.parse(piece.replace(/^data: /, '')))) {
                    events.push(event);
                    on(event, request);
                }
            });
            response.on('end', () => resolve({ status: response.statusCode, type: response.headers['content-type'], events, rest }));
            response.on('error', reject);
        });
        request.on('error', reject);
        request.end(JSON.stringify(body));
    });
}

test('a pixel: at once when it has the colour, else with the change', options, async () => {
    await fresh();
    const now = await wait({ for: 'pixel', x: 255, y: 0, color: '#ff0000' });
    assert.deepEqual([now.result, now.found.color], ['found', '#ff0000']);
    const later = wait({ for: 'pixel', x: 300, y: 300, color: '#112233', tolerance: 2 });
    await farm.probe.fill(300, 300, 1, 1, '#111f33', 100); /* three off in green */
    await farm.probe.fill(300, 300, 1, 1, '#112231', 100);
    const met = await later;
    assert.deepEqual([met.result, met.found.color], ['found', '#112231']);
    const gone = wait({ for: 'pixel', x: 300, y: 300, color: '#112231', absent: true });
    await farm.probe.fill(300, 300, 1, 1, '#ffffff', 100);
    assert.equal((await gone).result, 'gone');
    assert.equal((await wait({ for: 'pixel', x: 1, y: 1, color: '#ffffff', max_ms: 300 })).result, 'timed_out');
});

test('a picture: where it appears, and when it is gone', options, async () => {
    await fresh();
    await paintSign(100, 100);
    const picture = await cut(100, 100, 40, 24);
    await fresh();
    const later = wait({ for: 'image', picture });
    await paintSign(777, 333);
    const met = await later;
    assert.equal(met.result, 'found');
    assert.deepEqual(met.found.matches.map(({ x, y, width, height, score }) => [x, y, width, height, score]), [[777, 333, 40, 24, 1]]);
    assert.ok(met.found.frame > 0 && met.frame >= met.found.frame);
    const outside = await wait({ for: 'image', picture, region: { x: 0, y: 0, width: 700, height: 800 }, max_ms: 500 });
    assert.equal(outside.result, 'timed_out');
    const gone = wait({ for: 'image', picture, absent: true });
    await farm.probe.fill(777, 333, 40, 24, '#000000', 200);
    assert.equal((await gone).result, 'gone');
});

test('a change in a region, and what changed since a frame', options, async () => {
    const frame = await fresh();
    const elsewhere = wait({ for: 'change', region: { x: 0, y: 0, width: 70, height: 70 } });
    await farm.probe.fill(71, 71, 5, 5, '#aabbcc'); /* the same tile, not the region */
    await farm.probe.fill(10, 20, 3, 4, '#aabbcc', 100);
    const met = await elsewhere;
    assert.deepEqual([met.result, met.found.changed], ['changed', [{ x: 10, y: 20, width: 3, height: 4 }]]);
    const already = await wait({ for: 'change', since: frame, region: { x: 60, y: 60, width: 100, height: 100 } });
    assert.deepEqual(already.found.changed, [{ x: 71, y: 71, width: 5, height: 5 }]);
    const quiet = await wait({ for: 'change', since: frame, region: { x: 500, y: 500, width: 100, height: 100 }, max_ms: 300 });
    assert.equal(quiet.result, 'timed_out');
});

test('a batch waits for a picture in the coordinates of the request', options, async () => {
    await fresh();
    await paintSign(100, 100);
    const picture = await cut(100, 100, 40, 24);
    await fresh();
    await farm.probe.command('on_input', { on: 'key', steps: [
        { x: 640, y: 400, w: 40, h: 24, color: '#f0f0f0', delay_ms: 300 }, { x: 652, y: 406, w: 16, h: 12, color: '#203040', delay_ms: 300 }] });
    const { results } = await post('actions', { space: 'norm1', settle: false, screenshot: false, actions: [
        { type: 'key', keys: 'a' },
        { type: 'wait_for', kind: 'image', picture, region: { x: 0.4, y: 0.4, width: 0.5, height: 0.5 }, max_ms: 20000 },
        { type: 'wait_for', kind: 'pixel', x: 645.5 / 1280, y: 402.5 / 800, color: '#f0f0f0' }] });
    assert.deepEqual(results.map((r) => r.result), [undefined, 'found', 'found']);
    assert.deepEqual([results[1].found.matches[0].x, results[1].found.matches[0].y], [640, 400]);
    const mark = farm.probe.mark();
    assert.equal(await refused('actions', { actions: [{ type: 'key', keys: 'b' }, { type: 'wait_for', kind: 'image', picture: 'AAAA' }] }), '400 bad_value');
    assert.deepEqual((await farm.probe.received(farm.client, mark)).filter((e) => e.ev === 'key'), [], 'nothing was injected');
});

test('what cannot be waited for is refused by name', options, async () => {
    assert.equal(await refused('wait', { for: 'pixel', x: 1, y: 1 }), '400 missing_field');
    assert.equal(await refused('wait', { for: 'pixel', x: 1, y: 1, color: 'red    ' }), '400 bad_value');
    assert.equal(await refused('wait', { for: 'pixel', x: 5000, y: 1, color: '#000000' }), '400 outside_screen');
    assert.equal(await refused('wait', { for: 'image' }), '400 missing_field');
    assert.equal(await refused('wait', { for: 'image', picture: Buffer.from('no PNG').toString('base64') }), '400 bad_value');
    assert.equal(await refused('wait', { for: 'image', picture: await cut(0, 0, 1280, 800) }), '400 bad_value');
    assert.equal(await refused('wait', { for: 'text' }), '400 missing_field');
    assert.equal(await refused('wait', { for: 'change', absent: true }), '400 bad_value');
    assert.equal(await refused('wait', { for: 'tea' }), '400 bad_value');
});

test('a picture is found in any space', options, async () => {
    await fresh();
    await paintSign(320, 200);
    await paintSign(960, 600);
    const { result: seen } = await farm.client.shot(farm.id, { settle: true, scale: 0.5 });
    const picture = await cut(320, 200, 40, 24);
    const native = await post('find', { picture });
    assert.deepEqual(native.matches.map(({ x, y, point, score }) => [x, y, point.x, point.y, score]), [[320, 200, 340, 212, 1], [960, 600, 980, 612, 1]]);
    const [first] = (await post('find', { picture, space: 'norm1000', limit: 1 })).matches;
    assert.deepEqual([first.x, first.y, first.native.x], [250, 250, 320]);
    const framed = await post('find', { picture, space: 'frame', image: seen.image.id, region: { x: 400, y: 250, width: 200, height: 120 } });
    assert.deepEqual(framed.matches.map((m) => [m.x, m.y, m.width]), [[480, 300, 20]]);
    /* The point that is told is clicked and arrives inside. */
    const mark = farm.probe.mark();
    await farm.client.call('POST', route('actions'), { body: { space: 'frame', image: seen.image.id, settle: false, screenshot: false,
        actions: [{ type: 'click', ...framed.matches[0].point }] } });
    const press = (await farm.probe.received(farm.client, mark)).find((e) => e.ev === 'button' && e.down);
    assert.ok(Math.abs(press.x - 980) <= 1 && Math.abs(press.y - 612) <= 1, `${press.x},${press.y}`);
});

test('several conditions are told as they are met, then the stream ends', options, async () => {
    await fresh();
    const { status, type, events } = await watch({ max_ms: 30000, conditions: [
        { name: 'red', for: 'pixel', x: 50, y: 50, color: '#ff0000' },
        { for: 'change', region: { x: 600, y: 0, width: 100, height: 100 } },
        { for: 'pixel', x: 9000 - 1000, y: 0, color: '#000000' }] }, async (event) => {
        if (event.type === 'begin') {
            await farm.probe.fill(610, 10, 4, 4, '#00ff00');
            await farm.probe.fill(50, 50, 1, 1, '#ff0000', 100);
        }
    });
    assert.deepEqual([status, type], [200, 'text/event-stream']);
    assert.deepEqual(events.map((e) => [e.type, e.index, e.code]), [
        ['begin', undefined, undefined], ['failed', 2, 'outside_screen'], ['fired', 1, undefined], ['fired', 0, undefined], ['end', undefined, undefined]]);
    assert.deepEqual([events[3].name, events[3].for, events[3].found.color], ['red', 'pixel', '#ff0000']);
    assert.ok(events[2].frame < events[3].frame);
    assert.equal(events[4].result, 'done');
});

test('a watch that repeats tells each turn, and ends with its time or its caller', options, async () => {
    await fresh();
    let colors = ['#ff0000', '#00ff00', '#ff0000', '#0000ff'];
    const { events } = await watch({ repeat: true, max_ms: 6000, conditions: [{ for: 'pixel', x: 50, y: 50, color: '#ff0000' }] }, async (event) => {
        if (event.type === 'begin')
            for (const color of colors)
                await farm.probe.fill(50, 50, 1, 1, color, 200);
    });
    assert.deepEqual(events.map((e) => e.type), ['begin', 'fired', 'fired', 'end']);
    assert.equal(events[3].result, 'timed_out');
    await assert.rejects(watch({ max_ms: 60000, conditions: [{ for: 'change' }] }, (event, request) => request.destroy()));
    assert.equal((await farm.client.send('POST', route('watch'), { body: { conditions: [] } })).status, 400);
});

test('only what changed: nothing, a crop, or all of it when the frame is gone', options, async () => {
    const frame = await fresh();
    const same = await post('actions', { actions: [{ type: 'wait', duration_ms: 1 }], settle: false, screenshot: { if_changed_since: frame } });
    assert.deepEqual([same.changed, same.image], [false, undefined]);
    await farm.probe.fill(500, 300, 30, 20, '#123456');
    await seen(529, 319, '#123456');
    const { result, body } = await farm.client.shot(farm.id, { if_changed_since: frame, crop: true, settle: true, cursor: false });
    assert.deepEqual(result.image.since, { frame, known: 'pixels', changed: [{ x: 500, y: 300, width: 30, height: 20 }] });
    assert.deepEqual(result.image.region, { x: 492, y: 292, width: 46, height: 36 });
    const picture = decodePng(body);
    assert.deepEqual([picture.width, picture.height, picture.at(8, 8), picture.at(7, 8)], [46, 36, [0x12, 0x34, 0x56], [499 & 255, 300 & 255, 0x11]]);
    /* The same at half size: a crop has the scale of the whole, and its id maps coordinates. */
    const half = (await farm.client.shot(farm.id, { if_changed_since: frame, crop: true, scale: 0.5 })).result.image;
    assert.deepEqual([half.width, half.height, half.scale], [23, 18, 0.5]);
    /* Of another part nothing changed. */
    const part = await farm.client.send('GET', route('screenshot'), { query: { if_changed_since: frame, x: 0, y: 0, width: 100, height: 100 } });
    assert.equal(part.status, 204);
    const gone = (await farm.client.shot(farm.id, { if_changed_since: 5, crop: true })).result.image;
    assert.deepEqual([gone.since.known, gone.width], ['gone', 1280]);
    /* What was painted and taken back is no change. */
    await fresh();
    const back = await farm.client.send('GET', route('screenshot'), { query: { if_changed_since: frame } });
    assert.equal(back.status, 204);
});

const hasTesseract = fs.existsSync('/usr/share/tesseract-ocr');
test('marks say that there is nobody to ask for controls', { skip: farm.skip || (!hasTesseract && 'tesseract-ocr is not installed') }, async () => {
    const region = { x: 0, y: 0, width: 64, height: 64 };
    const { accessibility } = await post('marks', { region });
    assert.equal(accessibility.state, 'missing', JSON.stringify(accessibility));
    assert.match(accessibility.message, /accessibility bus/);
    assert.equal(await refused('marks', { region, sources: ['accessibility'] }), '503 not_ready');
});

test('two frames are compared as they are seen', options, async () => {
    const compare = async (query) => (await farm.client.call('GET', route('compare'), { query })).json;
    const first = await fresh();
    assert.deepEqual([(await compare({ since: first })).difference, (await compare({ since: first })).known], [0, 'pixels']);
    await farm.probe.fill(200, 200, 2, 16, '#000000');
    await seen(201, 215, '#000000');
    const caret = (await farm.client.shot(farm.id)).result.image.frame;
    await farm.probe.fill(0, 0, 1280, 800, '#000000');
    await seen(1279, 799, '#000000');
    const black = (await farm.client.shot(farm.id)).result.image.frame;
    const little = await compare({ since: first, until: caret }), much = await compare({ since: first, until: black });
    assert.deepEqual(little.changed, [{ x: 200, y: 200, width: 2, height: 16 }]);
    assert.equal(little.changed_share, 32 / (1280 * 800));
    assert.ok(little.difference > 0 && little.difference < 0.001, `a caret: ${little.difference}`);
    assert.ok(much.difference > 0.5 && much.changed_share > 0.99, `all of it: ${JSON.stringify(much)}`);
    const gone = await compare({ since: 7 });
    assert.deepEqual([gone.known, gone.changed, gone.difference], ['gone', [], undefined]);
    assert.equal((await farm.client.send('GET', route('compare'), { query: { since: first, until: 7 } })).json.code, 'unknown_frame');
});
