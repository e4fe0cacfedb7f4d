/**
 * A guest that is nothing but firmware and a UEFI program (images/uefi): no driver, no agent, a standard VGA and
 * USB input. What it shows and receives is exact, in every mode, through checkpoints too.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Daemon, lacksImage } from './lib/daemon.mjs';
import { decodePng } from './lib/png.mjs';
import { parseColor, pattern } from './lib/probe.mjs';
import { UefiGuest, becomes } from './lib/uefi.mjs';
import { eventually } from './lib/wait.mjs';

const options = { skip: lacksImage('uefi'), timeout: 180000 };
const MODES = [[640, 480], [1360, 768], [1152, 870], [1920, 1080], [1280, 800]];
let daemon, client, guest;

before(async () => {
    if (options.skip)
        return;
    daemon = await Daemon.start();
    client = daemon.client();
    guest = await UefiGuest.create(daemon, client);
}, { timeout: 180000 });
after(async () => {
    guest?.close();
    await daemon?.destroy();
}, { timeout: 60000 });

const shot = async (id = guest.id, query = {}) => decodePng((await client.shot(id, query)).body);
const post = async (path, body = {}) => (await client.call('POST', path, { body, ms: 120000 })).json;

/** A rectangle of one colour on the pattern. */
const painted = ({ x, y, w, h, color }) => (px, py) =>
    (px >= x && px < x + w && py >= y && py < y + h ? parseColor(color) : pattern(px, py));

async function paint(rect, it = guest) {
    await it.command('clear');
    await it.fill(rect.x, rect.y, rect.w, rect.h, rect.color);
}

const received = async (actions) => {
    const mark = guest.mark();
    await client.act(guest.id, actions);
    return guest.received(client, mark);
};

async function assertNothingHeld(it = guest) {
    const { usages, buttons } = await it.held();
    assert.deepEqual({ usages, buttons }, { usages: [], buttons: 0 });
}

test('it has no agent, and says so', options, async () => {
    const sandbox = await client.get(guest.id);
    const display = await client.display(guest.id);
    assert.equal(sandbox.status.state, 'Running');
    assert.equal(display.agent, 'absent');
    const { items } = (await client.call('GET', '/v1/images')).json;
    assert.equal(items.find(({ name }) => name === 'uefi').profile, 'generic');
});

for (const [width, height] of MODES) {
    test(`${width}x${height}: pixels, epoch, corners of the pointer`, options, async () => {
        const before = await client.display(guest.id);
        await guest.setMode(width, height);
        await becomes(shot);
        const display = await client.display(guest.id);
        assert.deepEqual([display.width, display.height, display.screen], [width, height, 'on']);
        assert.ok(display.epoch > before.epoch, 'a mode is a new epoch');

        const corners = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1], [width >> 1, height >> 1]];
        const events = await received(corners.map(([x, y]) => ({ type: 'click', x, y })));
        const clicks = events.filter((e) => e.ev === 'button' && e.down);
        assert.deepEqual(clicks.map(({ x, y }) => [x, y]), corners);
        await assertNothingHeld();
    });
}

test('what was painted is seen, to the pixel, and settles', options, async () => {
    const rect = { x: 61, y: 63, w: 130, h: 7, color: '#12fe9a' };
    await paint(rect);
    await becomes(shot, painted(rect));
    const settled = await client.shot(guest.id, { settle: true, quiet_ms: 200 });
    assert.equal(decodePng(settled.body).differences(painted(rect)).n, 0);
});

test('the cursor is known to be in the frame, with and without being asked for', options, async () => {
    await guest.command('clear');
    await client.act(guest.id, { type: 'move', x: 400, y: 300 });
    await guest.command('cursor', { on: true });
    const cross = (x, y) => {
        const dx = Math.abs(x - 400), dy = Math.abs(y - 300);
        return dx <= 7 && dy <= 7 && (dx === 0 || dy === 0) ? (dx + dy ? [255, 255, 255] : [0, 0, 0]) : pattern(x, y);
    };
    await becomes(() => shot(guest.id, { cursor: true }), cross);
    await becomes(() => shot(guest.id, { cursor: false }), cross);
    const { cursor } = await client.display(guest.id);
    assert.deepEqual(cursor, { x: 400, y: 300, visible: false, in_frame: true });
    await guest.command('cursor', { on: false });
    await becomes(shot);
});

/* Names as agents write them, and the usage (HID usage tables, page 7) that must arrive. */
const usages = {
    Return: 40, Escape: 41, BackSpace: 42, Tab: 43, space: 44, Caps_Lock: 57, Print: 70, Scroll_Lock: 71, Pause: 72,
    Insert: 73, Home: 74, Page_Up: 75, Delete: 76, End: 77, Page_Down: 78, Right: 79, Left: 80, Down: 81, Up: 82,
    Num_Lock: 83, KP_Divide: 84, KP_Multiply: 85, KP_Subtract: 86, KP_Add: 87, KP_Enter: 88, KP_Decimal: 99, Menu: 101,
    XF86PowerOff: 102, XF86AudioMute: 127, XF86AudioRaiseVolume: 128, XF86AudioLowerVolume: 129,
    Hiragana_Katakana: 136, Henkan_Mode: 138, Muhenkan: 139,
    Control_L: 224, Shift_L: 225, Alt_L: 226, Super_L: 227, Control_R: 228, Shift_R: 229, altgr: 230, Super_R: 231,
    KP_0: 98, ...Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`KP_${i + 1}`, 89 + i])),
    ...Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`F${i + 1}`, 58 + i])),
    ...Object.fromEntries([...'abcdefghijklmnopqrstuvwxyz'].map((key, i) => [key, 4 + i])),
    ...Object.fromEntries([...'1234567890'].map((key, i) => [key, 30 + i])),
    '-': 45, '=': 46, '[': 47, ']': 48, '\\': 49, ';': 51, '\'': 52, '`': 53, ',': 54, '.': 55, '/': 56,
};
test('every key of the vocabulary that a USB keyboard has arrives, down and up, in order', options, async () => {
    const names = Object.keys(usages);
    const mark = guest.mark();
    for (let i = 0; i < names.length; i += 20)
        await client.act(guest.id, { type: 'key', keys: names.slice(i, i + 20) });
    await guest.until((e) => e.ev === 'key' && e.usage === usages[names.at(-1)] && !e.down, { from: mark, ms: 20000 });
    const events = guest.since(mark, 'key');
    const expected = names.flatMap((name) => [[name, usages[name], true], [name, usages[name], false]]);
    assert.deepEqual(events.map((e, i) => [names[i >> 1], e.usage, e.down]), expected);
    await assertNothingHeld();
});

test('a key that it has not is refused before anything is sent', options, async () => {
    for (const keys of ['XF86AudioPlay', 'XF86Copy', 'KP_Separator', 'KP_Equal', 'XF86Open', 'F13']) {
        const { status, json } = await client.send('POST', `/v1/sandboxes/${guest.id}/desktop/actions`,
            { body: { actions: [{ type: 'key', keys: 'a' }, { type: 'key', keys }], settle: false, screenshot: false } });
        assert.deepEqual([keys, status, json.code], [keys, 422, 'untypable']);
    }
    assert.deepEqual(await received({ type: 'release_all' }), []);
});

test('more events than the device\'s queue holds arrive all, in order', options, async () => {
    const text = 'The quick brown fox jumps over the lazy dog 0123456789';
    const events = (await received({ type: 'type', text })).filter((e) => e.ev === 'key');
    const shifts = events.filter((e) => e.usage === 225).length;
    const pressed = events.filter((e) => e.down && e.usage !== 225).map((e) => e.usage);
    assert.deepEqual(pressed, [...text.toLowerCase()].map((c) => (c === ' ' ? 44 : usages[c])));
    assert.equal(shifts, 2);
    await assertNothingHeld();
});

test('chords, drags and the wheel', options, async () => {
    const chord = (await received({ type: 'key', keys: 'ctrl+alt+Delete' })).map((e) => `${e.usage}${e.down ? '+' : '-'}`);
    assert.deepEqual(chord, ['224+', '226+', '76+', '76-', '226-', '224-']);
    const drag = (await received({ type: 'drag', path: [[100, 100], [300, 220]] })).filter((e) => e.ev === 'button');
    assert.deepEqual(drag.map(({ x, y, down }) => [x, y, down]), [[100, 100, true], [300, 220, false]]);
    const buttons = (await received(['left', 'right', 'middle'].map((button) => ({ type: 'click', x: 9, y: 9, button }))))
        .filter((e) => e.ev === 'button' && e.down).map((e) => e.button);
    assert.deepEqual(buttons, [0, 1, 2]);
    const wheel = (await received([{ type: 'scroll', x: 5, y: 5, direction: 'down', amount: 3 },
        { type: 'scroll', x: 5, y: 5, direction: 'up', amount: 2 }])).filter((e) => e.ev === 'wheel');
    assert.equal(wheel.filter((e) => e.notches < 0).reduce((sum, e) => sum - e.notches, 0), 3);
    assert.equal(wheel.filter((e) => e.notches > 0).reduce((sum, e) => sum + e.notches, 0), 2);
});

test('its size is its own business', options, async () => {
    const { status, json } = await client.send('PUT', `/v1/sandboxes/${guest.id}/desktop/display`, { body: { width: 1024, height: 768 } });
    assert.deepEqual([status, json.code], [501, 'unsupported']);
});

test('the recording follows modes: every picture of either size comes back exact', options, async () => {
    const recording = (await client.get(guest.id)).recording.id;
    const seen = [];
    for (const [w, h] of [[832, 624], [1280, 800]]) {
        await guest.setMode(w, h);
        await becomes(shot);
        const { image } = await client.act(guest.id, { type: 'click', x: w - 1, y: h - 1 }, { screenshot: {} });
        seen.push({ w, h, frame: image.frame });
    }
    for (const { w, h, frame } of seen) {
        const answer = await client.call('GET', `/v1/recordings/${recording}/frame`, { query: { frame } });
        const picture = decodePng(answer.body);
        assert.equal(JSON.parse(answer.headers['x-deskfarm-result']).exact, true);
        assert.deepEqual([picture.width, picture.height, picture.differences(pattern).n], [w, h, 0]);
    }
});

/* --- Checkpoints ------------------------------------------------------------------------------------ */

const attach = (id) => UefiGuest.attach(daemon, id, { isUp: true });

const first = { x: 100, y: 120, w: 300, h: 200, color: '#ff8000' }, second = { x: 0, y: 0, w: 40, h: 40, color: '#0080ff' };

test('a fork has the screen, exact, and each goes its own way', options, async () => {
    await guest.setMode(1024, 768);
    await paint(first);
    await becomes(shot, painted(first));
    await client.act(guest.id, [{ type: 'key_down', keys: 'q' }, { type: 'button_down', x: 5, y: 5, button: 'right' }]);
    const child = await client.fork(guest.id), grandchild = await client.fork(child);
    for (const id of [child, grandchild])
        assert.equal((await shot(id)).differences(painted(first)).n, 0, 'the first picture is right');
    const other = await attach(grandchild);
    assert.deepEqual([other.width, other.height], [1024, 768]);
    await eventually('nothing is held in the fork', async () => (await other.held()).usages.length === 0);
    await assertNothingHeld(other);
    assert.deepEqual((await guest.held()).usages, [20], 'the parent holds on');
    await paint(second, other);
    await becomes(() => shot(grandchild), painted(second));
    await becomes(shot, painted(first));
    const mark = other.mark();
    await client.act(grandchild, [{ type: 'click', x: 1023, y: 767 }, { type: 'key', keys: 'z' }]);
    assert.deepEqual((await other.received(client, mark)).filter((e) => e.down).map((e) => [e.ev, e.usage ?? [e.x, e.y]]),
        [['button', [1023, 767]], ['key', 29]]);
    await other.setMode(640, 480);
    await becomes(() => shot(grandchild));
    other.close();
    await client.act(guest.id, { type: 'release_all' });
    await Promise.all([child, grandchild].map((id) => client.delete(id)));
});

test('it goes back to a checkpoint: mode and pixels are those of then', options, async () => {
    await guest.setMode(1024, 768);
    await paint(first);
    await becomes(shot, painted(first));
    const kept = await post(`/v1/sandboxes/${guest.id}/checkpoints`, { name: 'then' });
    await guest.setMode(1280, 800);
    await paint(second);
    await becomes(shot, painted(second));
    guest.close();
    assert.equal((await post(`/v1/sandboxes/${guest.id}/restore`, { checkpoint: kept.id })).status.state, 'Running');
    const picture = await shot();
    assert.deepEqual([picture.width, picture.height, picture.differences(painted(first)).n], [1024, 768, 0]);
    guest = await attach(guest.id);
    await becomes(shot, painted(first));
});

test('it hibernates, powered on and restored alike, and wakes with its screen', options, async () => {
    for (let i = 0; i < 2; i++) {
        const rect = { ...second, x: 50 * i };
        await paint(rect);
        await becomes(shot, painted(rect));
        guest.close();
        await post(`/v1/sandboxes/${guest.id}/hibernate`);
        await client.waitState(guest.id, 'Hibernated');
        assert.equal((await shot()).differences(painted(rect)).n, 0, 'the first picture is right');
        guest = await attach(guest.id);
    }
    assert.deepEqual((await received({ type: 'key', keys: 'k' })).map((e) => e.usage), [14, 14]);
});

test('a template is baked of it without a word from it, and what it makes is up at once', options, async () => {
    await post('/v1/templates', { image: { uri: 'uefi' }, network: 'none' });
    const { id } = await client.create('uefi', { boot: 'template' });
    await client.waitState(id, 'Running');
    const picture = await shot(id);
    assert.deepEqual([picture.width, picture.height, picture.differences(pattern).n], [1280, 800, 0]);
    const other = await attach(id);
    await other.fill(1, 2, 3, 4, '#ffffff');
    await becomes(() => shot(id), painted({ x: 1, y: 2, w: 3, h: 4, color: '#ffffff' }));
    await client.act(id, { type: 'key_down', keys: 'shift' });
    other.close();
});

test('the daemon comes back and finds it, screen, input and checkpoints', options, async () => {
    const last = { x: 7, y: 9, w: 11, h: 13, color: '#a0b0c0' };
    await paint(last);
    await becomes(shot, painted(last));
    guest.close();
    await daemon.kill();
    await daemon.start();
    client = daemon.client();
    await client.waitState(guest.id, 'Running');
    guest = await attach(guest.id);
    await becomes(shot, painted(last));
    const child = await client.fork(guest.id);
    assert.equal((await shot(child)).differences(painted(last)).n, 0);
    await client.delete(child);
});
