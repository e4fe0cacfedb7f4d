/**
 * Text arrives exactly, whatever the layout: by its keys, and what no key makes by the guest's keymap.
 * The probe reports what a program got of every key.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { corpusFor, corpusLayouts, splitLayout } from './lib/corpus.mjs';
import { count, isFull, Random } from './lib/counts.mjs';
import { findProcesses } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { eventually } from './lib/wait.mjs';

const LAYOUT = 'fr';
const farm = useFarm({ sandbox: { keyboard: { layout: LAYOUT } } });
const options = { skip: farm.skip, timeout: 300000 };
const path = (route) => `/v1/sandboxes/${farm.id}/desktop/${route}`;
const keyboard = async (method, body) => (await farm.client.call(method, path('keyboard'), { body, ms: 60000 })).json;

const exec = (command) => farm.client.call('POST', `/daytona/toolbox/${farm.id}/process/execute`, { body: { command } });

/** Types it: what the program got, and what the answer says of it. */
async function type(...actions) {
    const mark = farm.probe.mark();
    const { results } = await farm.client.act(farm.id, actions.map((action) => ({ type: 'type', ...action })));
    const events = await farm.probe.received(farm.client, mark);
    return { text: events.filter((e) => e.ev === 'key' && e.down && !e.repeat).map((e) => e.text).join(''), results };
}

test('a sandbox is created with a layout: its guest has it when it is up', options, async () => {
    await farm.client.call('POST', path('wait'), { body: { for: 'up', max_ms: 120000 }, ms: 150000 });
    assert.equal((await keyboard('GET')).layout, LAYOUT);
    assert.equal((await farm.client.call('GET', path('display'))).json.layout, LAYOUT);
    const { text, results: [result] } = await type({ text: 'Où ça ? 1234 <|> ~^ azqwm,;:! ê ï' });
    assert.equal(text, 'Où ça ? 1234 <|> ~^ azqwm,;:! ê ï');
    assert.deepEqual([result.route, result.characters], ['keys', text.length]);
});

for (const layout of corpusLayouts)
    test(`the corpus under ${layout}`, options, async () => {
        const { name, variant } = splitLayout(layout);
        assert.equal((await keyboard('PUT', { layout: name, variant: variant || undefined, apply: true })).layout, name);
        for (const { name: what, text } of corpusFor(layout)) {
            const typed = await type({ text });
            assert.equal(typed.text, text, what);
            assert.equal(typed.results[0].characters, [...text].length, what);
            assert.match(typed.results[0].route, /^(keys|guest_keymap)$/);
        }
        const { keys } = await farm.probe.held();
        assert.deepEqual(keys, []);
    });

test('one text, keys and the other way in turn', options, async () => {
    await keyboard('PUT', { layout: 'us', apply: true });
    const parts = ['plain ', 'Žluťoučký ', 'kůň', ' and plain', ' 漢字', '!'];
    const { text, results } = await type(...parts.map((part) => ({ text: part })));
    assert.equal(text, parts.join(''));
    assert.deepEqual(results.map((r) => r.route), ['keys', 'guest_keymap', 'guest_keymap', 'keys', 'guest_keymap', 'keys']);
    assert.deepEqual(results.map((r) => r.characters), parts.map((part) => [...part].length));
});

test('what no layout types is as quick as need be', options, async (t) => {
    const text = Array.from({ length: 400 }, (_, i) => String.fromCodePoint(0x4e00 + i * 37)).join('');
    const from = performance.now();
    const typed = await type({ text });
    t.diagnostic(`${(400000 / (performance.now() - from)).toFixed(0)} characters/s that are all different`);
    assert.equal(typed.text, text);
});

/** Keys that went down, as evdev codes. */
async function codesOf(action) {
    const mark = farm.probe.mark();
    const { results: [result] } = await farm.client.act(farm.id, { type: 'type', ...action });
    const events = await farm.probe.received(farm.client, mark);
    return { result, codes: events.filter((e) => e.ev === 'key' && e.down && !e.repeat).map((e) => e.code) };
}
const LEFTCTRL = 29, LEFTSHIFT = 42, LEFTALT = 56, SPACE = 57, KPPLUS = 78, A = 30, U = 22, digit = (n) => (n ? n + 1 : 11);
const keypad = [82, 79, 80, 81, 75, 76, 77, 71, 72, 73];

test('what the layout lacks goes as the caller says, and the answer says how much of it', options, async () => {
    const alt = await codesOf({ text: 'aé€', route: 'alt' });
    assert.deepEqual(alt.codes, [A, LEFTALT, ...[0, 2, 3, 3].map((n) => keypad[n]), LEFTALT, ...[0, 1, 2, 8].map((n) => keypad[n])]);
    assert.deepEqual([alt.result.route, alt.result.characters, alt.result.routes], ['alt', 3, { keys: 1, alt: 2 }]);
    const hex = await codesOf({ text: '☺', route: 'alt_hex' });
    assert.deepEqual(hex.codes, [LEFTALT, KPPLUS, keypad[2], keypad[6], keypad[3], A]);
    const unicode = await codesOf({ text: 'aж', route: 'unicode' });
    assert.deepEqual(unicode.codes, [A, LEFTCTRL, LEFTSHIFT, U, digit(4), digit(3), digit(6), SPACE]);
    assert.deepEqual([unicode.result.route, unicode.result.routes], ['unicode', { keys: 1, unicode: 1 }]);
    const helped = await type({ text: 'plain', route: 'guest_keymap' });
    assert.equal(helped.text, 'plain');
    assert.deepEqual([helped.results[0].route, helped.results[0].routes], ['guest_keymap', { guest_keymap: 5 }]);
    assert.deepEqual((await farm.probe.held()).keys, []);
});

test('a way that lacks a character is refused whole', options, async () => {
    for (const [route, text] of [['keys', 'aж'], ['alt', 'aж'], ['alt_hex', 'a🙂'], ['guest_keymap', 'a\u0001']]) {
        const mark = farm.probe.mark();
        const answer = await farm.client.send('POST', path('actions'),
            { body: { actions: [{ type: 'type', text, route }], settle: false, screenshot: false } });
        assert.deepEqual([answer.status, answer.json.code], [422, 'untypable'], route);
        assert.deepEqual((await farm.probe.received(farm.client, mark)).filter((e) => e.ev === 'key'), []);
    }
});

test('a program that pastes nothing: nothing has arrived, and the clipboard is given back', options, async () => {
    await farm.client.call('PUT', path('clipboard'), { body: { text: 'mine' } });
    const mark = farm.probe.mark();
    const answer = await farm.client.send('POST', path('actions'), { ms: 60000,
        body: { actions: [{ type: 'type', text: 'Ж', route: 'clipboard', paste_keys: 'ctrl+shift+v' }], settle: false, screenshot: false } });
    assert.equal(answer.json.code, 'timeout', answer.json.message);
    const [result] = answer.json.results;
    assert.deepEqual([result.effect, result.characters, result.route, result.confirmed], ['partial', 0, 'clipboard', false]);
    assert.deepEqual((await farm.probe.received(farm.client, mark)).filter((e) => e.ev === 'key' && e.down && !e.repeat).map((e) => e.keysym),
        ['Control_L', 'Shift_L', 'V']);
    assert.equal((await farm.client.call('GET', path('clipboard'))).json.text, 'mine');
});

/* --- Nothing is lost, however the guest gets to it ------------------------------------------------ */

const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('');

/** A guest that is stopped takes 31 changes of keys and drops what comes then: at full speed that is 70 ms. */
async function typeWhile(trouble, t, share = 1) {
    const random = new Random();
    const text = Array.from({ length: count('typedCharacters') * share }, () => random.pick(printable)).join('');
    const ended = { is: false };
    ended.wait = new Promise((resolve) => { ended.resolve = resolve; });
    const troubled = trouble(ended);
    const start = performance.now();
    const typed = await type({ text });
    t.diagnostic(`seed ${random.seed}: ${(text.length / (performance.now() - start) * 1000).toFixed(0)} characters/s`);
    ended.is = true;
    ended.resolve();
    const times = await troubled;
    assert.ok(times > 2, `it happened ${times} times`);
    assert.equal(typed.text, text);
    assert.deepEqual([typed.results[0].route, typed.results[0].characters], ['keys', text.length]);
    assert.deepEqual((await farm.probe.held()).keys, []);
}

test('an X server that is stopped again and again loses nothing', options, (t) => typeWhile(async (ended) => {
    let times = 0;
    for (; !ended.is; times++)
        await exec('kill -STOP $(pidof Xorg); usleep 150000; kill -CONT $(pidof Xorg); usleep 20000');
    return times;
}, t));

test('a guest whose processors are busy loses nothing', options, (t) => typeWhile(async (ended) => {
    await exec("for i in 1 2 3 4; do setsid sh -c 'echo $$ >> /tmp/busy; while :; do :; done' </dev/null >/dev/null 2>&1 & done");
    await ended.wait;
    await exec('kill $(cat /tmp/busy); rm /tmp/busy');
    return 4;
}, t));

test('a guest that stands still as a whole again and again loses nothing', options, (t) => typeWhile(async (ended) => {
    const pid = findProcesses(farm.id).find((one) => /qemu/.test(fs.readFileSync(`/proc/${one}/comm`, 'latin1')));
    let times = 0;
    for (; !ended.is; times++) {
        process.kill(pid, 'SIGSTOP');
        await setTimeout(150); /* this is what it is about */
        process.kill(pid, 'SIGCONT');
        await setTimeout(50);
    }
    return times;
}, t, 0.2));

test('an X server that is stopped for good: what it has read is told', { skip: farm.skip || (!isFull && 'takes the 10 s that it is waited for'), timeout: 120000 }, async () => {
    await exec('kill -STOP $(pidof Xorg)');
    try {
        const answer = await farm.client.send('POST', path('actions'), { ms: 90000,
            body: { actions: [{ type: 'type', text: 'x'.repeat(100) }], settle: false, screenshot: false } });
        assert.equal(answer.json.code, 'timeout', answer.json.message);
        assert.deepEqual([answer.json.results[0].effect, answer.json.results[0].characters], ['partial', 0]);
    } finally {
        await exec('kill -CONT $(pidof Xorg)');
    }
    await farm.probe.received(farm.client, farm.probe.mark());
    assert.deepEqual((await farm.probe.held()).keys, []);
});

test('a window that stops reading: what it has read is told', { skip: farm.skip || (!isFull && 'takes the helper\'s 30 s'), timeout: 120000 }, async () => {
    await exec('kill -STOP $(pidof probe)');
    try {
        const answer = await farm.client.send('POST', path('actions'), { ms: 90000,
            body: { actions: [{ type: 'type', text: 'Ж'.repeat(100) }], settle: false, screenshot: false } });
        assert.equal(answer.json.code, 'timeout', answer.json.message);
        assert.match(answer.json.message, /has read 0 of 100 characters/);
        const [result] = answer.json.results;
        assert.deepEqual([result.effect, result.characters, result.route], ['partial', 0, 'guest_keymap']);
    } finally {
        await exec('kill -CONT $(pidof probe)');
    }
});

test('without a helper in its desktop the text is refused whole, and a wait for a window', options, async () => {
    const kill = 'mv /bin/deskfarm-desktop /bin/away; kill $(pidof deskfarm-desktop)';
    const send = () => farm.client.send('POST', path('actions'),
        { body: { actions: [{ type: 'type', text: 'abcЖ' }], settle: false, screenshot: false } });
    await exec(kill);
    const mark = farm.probe.mark();
    const answer = await eventually('it is gone', async () => {
        const said = await send();
        return said.status !== 200 && said;
    });
    assert.deepEqual([answer.status, answer.json.code], [422, 'untypable']);
    assert.deepEqual(answer.json.results.map((r) => [r.index, r.type, r.effect]), [[0, 'type', 'refused']]);
    /* What else needs it is said at once too, not after the time. */
    const window = await farm.client.send('POST', path('wait'), { body: { for: 'window', text: 'x', max_ms: 60000 } });
    assert.deepEqual([window.status, window.json.code], [503, 'not_ready']);
    const said = farm.probe.since(mark, 'key').map((e) => e.text).join('');
    await exec('mv /bin/away /bin/deskfarm-desktop');
    assert.ok(!said || said === 'abcЖ', said);
});
