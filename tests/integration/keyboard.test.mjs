/** Keys and text arrive exactly, however quick. (alone) */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count, isFull, Random } from './lib/counts.mjs';
import { useFarm } from './lib/farm.mjs';

const farm = useFarm();
const options = { skip: farm.skip };
const SHIFT = 1, CONTROL = 4, ALT = 8, SUPER = 64;

const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('');

/** Key events that came of the actions, in order. */
async function keysOf(actions) {
    const mark = farm.probe.mark();
    await farm.client.act(farm.id, actions);
    return (await farm.probe.received(farm.client, mark)).filter((e) => e.ev === 'key');
}

async function textOf(actions) {
    return (await keysOf(actions)).filter((e) => e.down).map((e) => e.text).join('');
}

/** "Control_L+ c+ c- Control_L-" */
function story(events) {
    return events.filter((e) => !e.repeat).map((e) => e.keysym + (e.down ? '+' : '-')).join(' ');
}

async function assertNothingHeld() {
    const { keys, buttons } = await farm.probe.held();
    assert.deepEqual({ keys, buttons }, { keys: [], buttons: [] });
}

test('every printable US ASCII character', options, async () => {
    assert.equal(await textOf({ type: 'type', text: printable }), printable);
    await assertNothingHeld();
});

test('each of them alone', options, async () => {
    const typed = await textOf([...printable].map((text) => ({ type: 'type', text })));
    assert.equal(typed, printable);
});

test('newline and tab', options, async () => {
    const events = await keysOf({ type: 'type', text: 'a\tb\nc\r\nd', press_enter: true });
    assert.equal(events.filter((e) => e.down).map((e) => e.keysym).join(' '),
        'a Tab b Return c Return d Return');
});

test('a long random text, with its speed', options, async (t) => {
    const random = new Random();
    const text = Array.from({ length: count('typedCharacters') }, () => random.pick(printable)).join('');
    const mark = farm.probe.mark();
    /* A guest that is starved is waited for: then it is some 40 characters a second. */
    const { ms } = await farm.client.call('POST', `/v1/sandboxes/${farm.id}/desktop/actions`,
        { body: { actions: [{ type: 'type', text }], settle: false, screenshot: false }, ms: 280000 });
    const events = await farm.probe.received(farm.client, mark);
    const presses = events.filter((e) => e.ev === 'key' && e.down && e.text);
    const first = events.find((e) => e.ev === 'key').t_us, last = presses[presses.length - 1].t_us;
    t.diagnostic(`seed ${random.seed}: ${text.length} characters, ${(text.length / ms * 1000).toFixed(0)}/s for `
        + `the caller, ${(text.length / (last - first) * 1e6).toFixed(0)}/s in the guest`);
    assert.equal(presses.map((e) => e.text).join(''), text);
});

test('what is on no key at all is refused whole, not dropped', options, async () => {
    for (const text of ['abc\u0001', 'abc\u0085']) {
        const mark = farm.probe.mark();
        const body = { actions: [{ type: 'key', keys: 'a' }, { type: 'type', text }], settle: false, screenshot: false };
        const answer = await farm.client.send('POST', `/v1/sandboxes/${farm.id}/desktop/actions`, { body });
        assert.deepEqual([answer.status, answer.json.code, answer.json.failed_action], [422, 'untypable', 1]);
        assert.deepEqual(answer.json.results, [{ index: 1, type: 'type', effect: 'refused' }]);
        assert.deepEqual((await farm.probe.received(farm.client, mark)).filter((e) => e.ev === 'key'), []);
    }
});

const chords = {
    'ctrl+c': ['Control_L+ c+ c- Control_L-', CONTROL],
    'ctrl+C': ['Control_L+ c+ c- Control_L-', CONTROL],
    'ctrl+shift+t': ['Control_L+ Shift_L+ T+ T- Shift_L- Control_L-', CONTROL | SHIFT],
    'alt+F4': ['Alt_L+ F4+ F4- Alt_L-', ALT],
    'super+l': ['Super_L+ l+ l- Super_L-', SUPER],
    'cmd+l': ['Super_L+ l+ l- Super_L-', SUPER],
    'ctrl+alt+Delete': ['Control_L+ Alt_L+ Delete+ Delete- Alt_L- Control_L-', CONTROL | ALT],
    'shift+Tab': ['Shift_L+ ISO_Left_Tab+ ISO_Left_Tab- Shift_L-', SHIFT],
    'ctrl++': ['Control_L+ Shift_L+ plus+ plus- Shift_L- Control_L-', CONTROL | SHIFT],
};
for (const [chord, [expected, mods]] of Object.entries(chords)) {
    test(`chord ${chord}`, options, async () => {
        const events = await keysOf({ type: 'key', keys: chord });
        assert.equal(story(events), expected);
        const innermost = events.filter((e) => e.down).pop();
        assert.equal(innermost.mods & (SHIFT | CONTROL | ALT | SUPER), mods);
        await assertNothingHeld();
    });
}

test('a sequence of chords, repeated, under a held key', options, async () => {
    const events = await keysOf({ type: 'key', keys: ['a', 'ctrl+b'], repeat: 2, hold: 'alt' });
    assert.equal(story(events),
        'Alt_L+ a+ a- Control_L+ b+ b- Control_L- a+ a- Control_L+ b+ b- Control_L- Alt_L-');
});

test('single characters as keys', options, async () => {
    const keys = [...'aZ5/?+-~"<>|\\'];
    assert.equal(await textOf(keys.map((key) => ({ type: 'key', keys: key }))), keys.join(''));
});

/* Names as agents write them, and the evdev code that must arrive. */
const special = {
    Return: 28, enter: 28, Escape: 1, esc: 1, BackSpace: 14, backspace: 14, Tab: 15, space: 57,
    Delete: 111, del: 111, Insert: 110, Home: 102, End: 107, Page_Up: 104, pageup: 104, Page_Down: 109, pgdn: 109,
    Left: 105, Right: 106, Up: 103, Down: 108, ArrowLeft: 105, arrowdown: 108,
    F1: 59, F2: 60, F3: 61, F4: 62, F5: 63, F6: 64, F7: 65, F8: 66, F9: 67, F10: 68, F11: 87, F12: 88,
    Print: 99, Menu: 127,
    KP_0: 82, KP_5: 76, KP_9: 73, KP_Enter: 96, KP_Add: 78, KP_Subtract: 74, KP_Multiply: 55, KP_Divide: 98,
    XF86AudioMute: 113, XF86AudioLowerVolume: 114, XF86AudioRaiseVolume: 115,
    XF86AudioPlay: 164, XF86AudioNext: 163, XF86AudioPrev: 165, XF86AudioStop: 166,
    shift: 42, Shift_R: 54, ctrl: 29, Control_R: 97, alt: 56, super: 125, Super_R: 126,
};
test('special keys by name', options, async () => {
    const names = Object.keys(special);
    const events = await keysOf(names.map((keys) => ({ type: 'key', keys })));
    const pressed = events.filter((e) => e.down && !e.repeat).map((e) => e.code);
    assert.deepEqual(names.map((name, i) => [name, pressed[i]]), Object.entries(special));
    await assertNothingHeld();
});

test('locks toggle and toggle back', options, async () => {
    const events = await keysOf(['Caps_Lock', 'a', 'Caps_Lock', 'a'].map((keys) => ({ type: 'key', keys })));
    assert.equal(events.filter((e) => e.down).map((e) => e.text).join(''), 'Aa');
});

test('F13 to F24, which QEMU 7.2 cannot send, arrive or are refused, but never vanish', options, async () => {
    for (let i = 13; i <= 24; i++) {
        const mark = farm.probe.mark();
        const body = { actions: [{ type: 'key', keys: `F${i}` }], settle: false, screenshot: false };
        const answer = await farm.client.send('POST', `/v1/sandboxes/${farm.id}/desktop/actions`, { body });
        const codes = (await farm.probe.received(farm.client, mark)).filter((e) => e.ev === 'key' && e.down).map((e) => e.code);
        assert.deepEqual(codes, answer.status === 200 ? [170 + i] : [], `F${i}: ${answer.status}`);
        assert.notEqual(answer.status, 500);
    }
});

test('hold_key holds for its time and repeats meanwhile', options, async () => {
    const ms = isFull ? 3000 : 1200;
    const events = await keysOf({ type: 'hold_key', keys: 'shift+x', duration_ms: ms });
    assert.equal(story(events), 'Shift_L+ X+ X- Shift_L-');
    const down = events.find((e) => e.keysym === 'X' && e.down), up = events.find((e) => e.keysym === 'X' && !e.down);
    const held = up.t_ms - down.t_ms;
    assert.ok(held >= ms - 30 && held < ms + 500, `held for ${held} ms`);
    assert.ok(events.filter((e) => e.repeat).length >= 3, 'the guest repeats a held key');
    await assertNothingHeld();
});

test('key_down outlives its batch until key_up', options, async () => {
    assert.equal(story(await keysOf({ type: 'key_down', keys: 'shift' })), 'Shift_L+');
    assert.deepEqual((await farm.probe.held()).keys, [42]);
    assert.equal(await textOf({ type: 'key', keys: 'a' }), 'A');
    assert.equal(story(await keysOf({ type: 'key_up', keys: 'shift' })), 'Shift_L-');
    await assertNothingHeld();
});

test('release_all lets go of everything', options, async () => {
    const from = farm.probe.mark();
    await farm.client.act(farm.id, [{ type: 'key_down', keys: 'ctrl+alt' }, { type: 'button_down', x: 9, y: 9 }]);
    await farm.probe.until((e) => e.ev === 'button' && e.down, { from });
    const held = await farm.probe.held();
    assert.deepEqual([held.keys, held.buttons], [[29, 56], [1]]);
    await farm.client.act(farm.id, { type: 'release_all' });
    /* libinput holds a button's release back for some ms, in case that it bounces. */
    await farm.probe.until((e) => e.ev === 'button' && !e.down, { from });
    await farm.probe.received(farm.client, farm.probe.mark());
    await assertNothingHeld();
});

test('keys held around a click and a scroll', options, async () => {
    const mark = farm.probe.mark();
    await farm.client.act(farm.id, [
        { type: 'click', x: 50, y: 60, keys: ['shift'] },
        { type: 'click', x: 50, y: 60, keys: 'ctrl+alt' },
        { type: 'scroll', x: 50, y: 60, direction: 'down', amount: 2, keys: ['ctrl'] },
    ]);
    const events = await farm.probe.received(farm.client, mark);
    const seen = events.filter((e) => (e.ev === 'button' && e.down) || e.ev === 'wheel')
        .map((e) => [e.ev, e.mods & (SHIFT | CONTROL | ALT)]);
    assert.deepEqual(seen, [['button', SHIFT], ['button', CONTROL | ALT], ['wheel', CONTROL], ['wheel', CONTROL]]);
    await assertNothingHeld();
});

test('a batch that fails in its middle releases what it held, but says what was done', options, async () => {
    const body = { settle: false, screenshot: false, actions: [
        { type: 'key', keys: 'a' }, { type: 'click', x: 99999, y: 1, keys: ['shift'] }, { type: 'key', keys: 'b' },
    ] };
    const mark = farm.probe.mark();
    const answer = await farm.client.send('POST', `/v1/sandboxes/${farm.id}/desktop/actions`, { body });
    assert.equal(answer.status, 400);
    const events = (await farm.probe.received(farm.client, mark)).filter((e) => e.ev === 'key');
    assert.ok(!events.some((e) => e.keysym === 'b'), 'nothing after the failure is done');
    await assertNothingHeld();
});

test('an unknown key name is an error that names it', options, async () => {
    const body = { actions: [{ type: 'key', keys: 'ctrl+frobnicate' }], settle: false, screenshot: false };
    const answer = await farm.client.send('POST', `/v1/sandboxes/${farm.id}/desktop/actions`, { body });
    assert.deepEqual([answer.status, answer.json.code], [400, 'unknown_key']);
    assert.match(answer.json.message, /frobnicate/);
});

test('a German layout: what it has is typed, whatever the letters\' places', options, async () => {
    const text = 'zZyY ÄÖÜäöüß €@µ{[]}\\~|²³ éèê ^`´ "§$%&/()=?';
    await farm.probe.command('layout', { name: 'de' });
    await farm.client.call('PUT', `/v1/sandboxes/${farm.id}/desktop/keyboard`, { body: { layout: 'de' } });
    assert.equal(await textOf({ type: 'type', text }), text);
    assert.equal(story(await keysOf({ type: 'key', keys: 'ctrl+z' })), 'Control_L+ z+ z- Control_L-');
    await assertNothingHeld();
    await farm.probe.command('layout', { name: 'us' });
    await farm.client.call('PUT', `/v1/sandboxes/${farm.id}/desktop/keyboard`, { body: { layout: 'us' } });
    assert.equal(await textOf({ type: 'type', text: 'zy' }), 'zy');
});

test('a layout that is none', options, async () => {
    const answer = await farm.client.send('PUT', `/v1/sandboxes/${farm.id}/desktop/keyboard`, { body: { layout: 'xx-nowhere' } });
    assert.deepEqual([answer.status, answer.json.code], [400, 'bad_value']);
});
