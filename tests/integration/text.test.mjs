/**
 * Text arrives exactly, whatever the layout: by its keys, and what no key makes by the guest's keymap.
 * The probe reports what a program got of every key.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { corpusFor, corpusLayouts, splitLayout } from './lib/corpus.mjs';
import { isFull } from './lib/counts.mjs';
import { useFarm } from './lib/farm.mjs';
import { eventually } from './lib/wait.mjs';

const LAYOUT = 'fr';
const farm = useFarm({ sandbox: { keyboard: { layout: LAYOUT } } });
const options = { skip: farm.skip, timeout: 300000 };
const path = (route) => `/v1/sandboxes/${farm.id}/desktop/${route}`;
const keyboard = async (method, body) => (await farm.client.call(method, path('keyboard'), { body, ms: 60000 })).json;

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

const exec = (command) => farm.client.call('POST', `/daytona/toolbox/${farm.id}/process/execute`, { body: { command } });

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
