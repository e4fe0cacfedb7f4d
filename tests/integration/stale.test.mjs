/** Coordinates bound to the frame that was seen: what happens when that place, or another, has changed since. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useFarm } from './lib/farm.mjs';

const farm = useFarm();
const options = { skip: farm.skip };

/** A picture of half size of the pattern; then a rectangle of the screen is painted. */
async function seenBefore(x, y, color) {
    await farm.probe.clear();
    const { result } = await farm.client.shot(farm.id, { scale: 0.5, settle: true });
    await farm.probe.fill(x, y, 60, 60, color);
    await farm.client.shot(farm.id, { settle: true });
    return { space: 'frame', image: result.image.id };
}

const at = (x, y) => ({ type: 'click', x, y });
const send = (actions, request) => farm.client.send('POST', `/v1/sandboxes/${farm.id}/desktop/actions`,
    { body: { actions, settle: false, screenshot: false, ...request } });

test('a place that has changed is refused, and nothing is played', options, async () => {
    const seen = await seenBefore(400, 300, '#abcdef');
    const mark = farm.probe.mark();
    const answer = await send([at(10, 10), at(210, 160)], { ...seen, stale: 'refuse' });
    assert.deepEqual([answer.status, answer.json.code, answer.json.failed_action], [409, 'stale_frame', 1]);
    assert.match(answer.json.message, /has changed since frame/);
    assert.deepEqual((await farm.probe.received(farm.client, mark)).filter((e) => e.ev === 'button'), []);
});

test('another place is not', options, async () => {
    const seen = await seenBefore(400, 300, '#fedcba');
    const answer = await send([at(10, 10), at(500, 100)], { ...seen, stale: 'refuse' });
    assert.equal(answer.status, 200, answer.body.toString());
    assert.deepEqual(answer.json.results.map((r) => r.stale), [undefined, undefined]);
});

test('a warning tells of it and acts', options, async () => {
    const seen = await seenBefore(400, 300, '#010203');
    const mark = farm.probe.mark();
    const answer = await send([at(210, 160), at(500, 100)], { ...seen, stale: 'warn' });
    assert.deepEqual(answer.json.results.map((r) => r.stale), ['changed', undefined]);
    const presses = (await farm.probe.received(farm.client, mark)).filter((e) => e.ev === 'button' && e.down);
    assert.deepEqual(presses.map((e) => [e.x, e.y]), [[421, 321], [1001, 201]]);
});

test('by default it is allowed, and what the batch itself changes is no surprise', options, async () => {
    const seen = await seenBefore(400, 300, '#040506');
    assert.equal((await send([at(210, 160)], seen)).status, 200);
    const fresh = await seenBefore(1000, 700, '#070809');
    await farm.probe.command('on_input', { on: 'button', steps: [{ x: 0, y: 0, w: 100, h: 100, color: '#ffffff', delay_ms: 0 }] });
    const answer = await send([at(10, 10), { type: 'wait', duration_ms: 300 }, at(10, 10)], { ...fresh, stale: 'refuse' });
    assert.equal(answer.status, 200, answer.body.toString());
});
