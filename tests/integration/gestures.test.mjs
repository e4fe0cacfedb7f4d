/** What the pointer does besides a single click: drags, wheels, double clicks, held buttons. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useFarm } from './lib/farm.mjs';

const farm = useFarm();
const options = { skip: farm.skip };

async function eventsOf(actions) {
    const mark = farm.probe.mark();
    await farm.client.act(farm.id, actions);
    return farm.probe.received(farm.client, mark);
}

const wheelOf = async (actions) => (await eventsOf(actions)).filter((e) => e.ev === 'wheel').map((e) => [e.dx, e.dy]);
const times = (n, value) => Array.from({ length: n }, () => value);

test('a drag presses at the start, passes every point, releases at the end', options, async () => {
    const path = [[100, 100], [300, 120], [310, 500], [700, 501], [1279, 799]];
    const events = await eventsOf({ type: 'drag', path, button: 'left' });
    const buttons = events.filter((e) => e.ev === 'button').map((e) => [e.button, e.down, e.x, e.y]);
    assert.deepEqual(buttons, [[1, true, 100, 100], [1, false, 1279, 799]]);
    const press = events.findIndex((e) => e.ev === 'button' && e.down);
    const moves = events.slice(press).filter((e) => e.ev === 'motion');
    const pressed = moves.filter((e) => e.mods & 0x100);
    let at = 0;
    for (const [x, y] of path.slice(1)) {
        at = pressed.findIndex((e, i) => i >= at && e.x === x && e.y === y);
        assert.ok(at >= 0, `the drag passes ${x},${y} with its button down`);
    }
});

test('a drag can be given as objects, with another button and held keys', options, async () => {
    const events = await eventsOf({ type: 'drag', path: [{ x: 10, y: 10 }, { x: 60, y: 70 }], button: 'right', keys: ['shift'] });
    const buttons = events.filter((e) => e.ev === 'button').map((e) => [e.button, e.down, e.x, e.y, e.mods & 1]);
    assert.deepEqual(buttons, [[3, true, 10, 10, 1], [3, false, 60, 70, 1]]);
});

test('a drag out of the screen is refused before it presses', options, async () => {
    const mark = farm.probe.mark();
    const body = { actions: [{ type: 'drag', path: [[5, 5], [9999, 5]] }], settle: false, screenshot: false };
    const answer = await farm.client.send('POST', `/v1/sandboxes/${farm.id}/desktop/actions`, { body });
    assert.deepEqual([answer.status, answer.json.code], [400, 'outside_screen']);
    assert.deepEqual((await farm.probe.received(farm.client, mark)).filter((e) => e.ev === 'button'), []);
});

for (const [direction, notch] of Object.entries({ down: [0, 1], up: [0, -1], right: [1, 0], left: [-1, 0] })) {
    test(`the wheel, ${direction}`, options, async () => {
        const events = await eventsOf({ type: 'scroll', x: 400, y: 300, direction, amount: 3 });
        const wheel = events.filter((e) => e.ev === 'wheel');
        assert.deepEqual(wheel.map((e) => [e.dx, e.dy]), times(3, notch));
        assert.deepEqual([wheel[0].x, wheel[0].y], [400, 300]);
    });
}

test('dx and dy together', options, async () => {
    const wheel = await wheelOf({ type: 'scroll', dx: -2, dy: 3 });
    assert.equal(wheel.reduce((sum, [dx]) => sum + dx, 0), -2);
    assert.equal(wheel.reduce((sum, [, dy]) => sum + dy, 0), 3);
});

test('pixels become notches and the rest is kept', options, async () => {
    const scroll = (dy) => wheelOf({ type: 'scroll', x: 10, y: 10, dy, unit: 'pixel' });
    assert.deepEqual(await scroll(100), [], 'less than a notch');
    assert.deepEqual(await scroll(100), [[0, 1]], '200 pixels are one notch and a rest');
    assert.deepEqual(await scroll(160), times(2, [0, 1]), '360 pixels are three notches');
    assert.deepEqual(await scroll(-240), times(2, [0, -1]));
});

test('double and triple click: one place, within a double-click time', options, async () => {
    for (const n of [2, 3]) {
        const events = await eventsOf({ type: 'click', x: 500, y: 400, count: n });
        const buttons = events.filter((e) => e.ev === 'button');
        assert.deepEqual(buttons.map((e) => [e.down, e.x, e.y]),
            times(n, [[true, 500, 400], [false, 500, 400]]).flat());
        const presses = buttons.filter((e) => e.down).map((e) => e.t_ms);
        for (let i = 1; i < n; i++)
            assert.ok(presses[i] - presses[i - 1] < 400, `${presses[i] - presses[i - 1]} ms between two presses`);
    }
});

test('button_down outlives its batch until button_up', options, async () => {
    await farm.client.act(farm.id, { type: 'button_down', x: 200, y: 200, button: 'middle' });
    const events = await eventsOf({ type: 'move', x: 260, y: 210 });
    assert.ok(events.some((e) => e.ev === 'motion' && e.x === 260 && e.y === 210 && e.mods & 0x200));
    assert.deepEqual((await farm.probe.held()).buttons, [2]);
    await eventsOf({ type: 'button_up', button: 'middle' });
    assert.deepEqual(await farm.probe.held(), { keys: [], buttons: [], x: 260, y: 210 });
});

test('a move over time passes through the middle', options, async () => {
    await farm.client.act(farm.id, { type: 'move', x: 100, y: 100 });
    const events = await eventsOf({ type: 'move', x: 900, y: 100, duration_ms: 300 });
    const moves = events.filter((e) => e.ev === 'motion');
    assert.ok(moves.length >= 5, `${moves.length} motions`);
    assert.deepEqual(moves.map((e) => e.x), moves.map((e) => e.x).sort((a, b) => a - b));
    assert.equal(moves[moves.length - 1].x, 900);
});

test('cursor_position answers where the pointer was left, in the request\'s space', options, async () => {
    const [, native] = (await farm.client.act(farm.id, [{ type: 'move', x: 321, y: 654 }, { type: 'cursor_position' }])).results;
    assert.deepEqual([native.x, native.y], [321, 654]);
    const [share] = (await farm.client.act(farm.id, { type: 'cursor_position' }, { space: 'norm1' })).results;
    assert.ok(Math.abs(share.x - 321.5 / farm.probe.width) < 1e-3, `x is ${share.x}`);
    assert.ok(Math.abs(share.y - 654.5 / farm.probe.height) < 1e-3, `y is ${share.y}`);
});

test('every result has its times in order', options, async () => {
    const { results } = await farm.client.act(farm.id, [{ type: 'click', x: 5, y: 5 }, { type: 'key', keys: 'a' }]);
    assert.equal(results.length, 2);
    let last = 0;
    for (const { queued_us: queued, injected_us: injected } of results) {
        for (const time of [queued, ...injected]) {
            assert.ok(Number.isInteger(time) && time >= last, `${time} comes after ${last}`);
            last = time;
        }
    }
});
