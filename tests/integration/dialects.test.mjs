/**
 * Models' own action languages against a real guest, by their makers' SDKs, offline: what the guest received is
 * asserted, and what comes back is what the SDK takes.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { GoogleGenAI } from '@google/genai';
import { Agent, computerTool, Runner, setTracingDisabled } from '@openai/agents-core';
import { Desktop } from './lib/anthropic.mjs';
import { useFarm } from './lib/farm.mjs';
import { decodePng } from './lib/png.mjs';
import { pattern } from './lib/probe.mjs';

const farm = useFarm();
const options = { skip: farm.skip };

/** Presses and releases, notches and keys that the guest received meanwhile; motion is left out. */
async function receivedBy(work) {
    const mark = farm.probe.mark();
    const result = await work();
    const events = await farm.probe.received(farm.client, mark);
    return { result, events: events.filter((e) => e.ev !== 'motion'), all: events };
}

const buttonsOf = (events) => events.filter((e) => e.ev === 'button').map((e) => [e.button, e.down, e.x, e.y]);
const wheelOf = (events) => events.filter((e) => e.ev === 'wheel').map((e) => [e.dx, e.dy]);
const keysOf = (events) => events.filter((e) => e.ev === 'key' && e.down && !e.repeat).map((e) => e.keysym);
const textOf = (events) => events.filter((e) => e.ev === 'key' && e.down).map((e) => e.text).join('');
const click = (button, x, y, n = 1) => Array.from({ length: n }, () => [[button, true, x, y], [button, false, x, y]]).flat();

function say(dialect, body, query = {}) {
    return farm.client.send('POST', `/v1/sandboxes/${farm.id}/desktop/dialects/${dialect}`, { body, query });
}

/** A picture of the pattern, as the guest shows it after `clear`. */
function assertPattern(base64, width, height) {
    const picture = decodePng(Buffer.from(base64, 'base64'));
    assert.deepEqual([picture.width, picture.height], [width, height]);
    const near = (x, y) => Math.abs(x - 640) < 30 && Math.abs(y - 400) < 30; /* the pointer is drawn */
    assert.equal(picture.differences(pattern, { skip: near }).first, '');
}

/* --- Anthropic ----------------------------------------------------------------------------------- */

const block = (name, input = {}) => ({ type: 'tool_use', id: `toolu_${name}`, name, toolset_name: 'computer', input });

test('Anthropic: every member of the toolset, by the SDK\'s class', options, async () => {
    const desktop = new Desktop(farm.client, farm.id);
    assert.deepEqual(desktop.toJSON(), { type: 'computer_toolset_20260801' });
    const use = (name, input) => receivedBy(() => desktop.toolResult(block(name, input)));
    const expectDone = ({ result }) => assert.ok(!result.is_error, JSON.stringify(result));

    for (const [name, button, n] of [['left_click', 1, 1], ['right_click', 3, 1], ['middle_click', 2, 1],
        ['double_click', 1, 2], ['triple_click', 1, 3]]) {
        const done = await use(name, { coordinate: [0, 799] });
        expectDone(done);
        assert.deepEqual(buttonsOf(done.events), click(button, 0, 799, n), name);
    }
    let done = await use('left_click', { coordinate: [1279, 0], text: 'ctrl+shift' });
    assert.deepEqual(done.events.filter((e) => e.ev === 'button').map((e) => e.mods & 5), [5, 5]);
    assert.equal(done.all.filter((e) => e.ev === 'key' && e.down).length, 2, 'the modifiers are pressed once');

    done = await use('mouse_move', { coordinate: [300, 200] });
    assert.deepEqual(done.all.filter((e) => e.ev === 'motion').map((e) => [e.x, e.y]).pop(), [300, 200]);
    assert.deepEqual((await use('cursor_position')).result.content, [{ type: 'text', text: 'X=300,Y=200' }]);
    assert.deepEqual(buttonsOf((await use('left_click')).events), click(1, 300, 200), 'without a coordinate: where it is');
    assert.deepEqual(buttonsOf((await use('left_mouse_down')).events), [[1, true, 300, 200]]);
    assert.deepEqual(buttonsOf((await use('left_mouse_up')).events), [[1, false, 300, 200]]);

    done = await use('left_click_drag', { start_coordinate: [10, 20], coordinate: [110, 220] });
    assert.deepEqual(buttonsOf(done.events), [[1, true, 10, 20], [1, false, 110, 220]]);
    done = await use('scroll', { coordinate: [50, 60], scroll_direction: 'down', scroll_amount: 3 });
    assert.deepEqual(wheelOf(done.events), [[0, 1], [0, 1], [0, 1]]);

    assert.deepEqual(keysOf((await use('key', { text: 'ctrl+a BackSpace' })).events), ['Control_L', 'a', 'BackSpace']);
    assert.deepEqual(keysOf((await use('key', { text: 'Down', repeat: 3 })).events), ['Down', 'Down', 'Down']);
    done = await use('hold_key', { text: 'shift', duration: 0.4 });
    const shift = done.events.filter((e) => e.keysym === 'Shift_L');
    assert.ok(shift.at(-1).t_ms - shift[0].t_ms >= 350, 'held as long as asked');
    assert.equal(textOf((await use('type', { text: 'Hi, <you>|~^!\n' })).events), 'Hi, <you>|~^!\n');
    expectDone(await use('wait', { duration: 0.01 }));

    await desktop.toolResult(block('mouse_move', { coordinate: [640, 400] }));
    await farm.probe.clear();
    const [image] = (await desktop.toolResult(block('screenshot'))).content;
    assertPattern(image.source.data, 1280, 800);
    const zoom = await desktop.toolResult(block('zoom', { region: [100, 100, 740, 500] }));
    const picture = decodePng(Buffer.from(zoom.content[0].source.data, 'base64'));
    assert.deepEqual([picture.width, picture.height], [1280, 800], 'a region is as large as the model is used to');

    const failed = await desktop.toolResult(block('left_click', { coordinate: [1280, 0] }));
    assert.equal(failed.is_error, true);
    assert.match(failed.content[0].text, /x is 1280, outside .*: 0 to 1279/);
});

test('Anthropic: a turn of several calls in one request stops at the first failure', options, async () => {
    const message = {
        role: 'assistant', stop_reason: 'tool_use', content: [
            { type: 'text', text: 'I will click and look.' },
            { ...block('left_click', { coordinate: [5, 6] }), id: 'a' }, { ...block('key', { text: 'nokey' }), id: 'b' },
            { ...block('type', { text: 'x' }), id: 'c' }],
    };
    const { result, events } = await receivedBy(() => say('anthropic', message));
    assert.equal(result.status, 200);
    assert.deepEqual(result.json.content.map((r) => [r.tool_use_id, r.is_error ?? false]), [['a', false], ['b', true], ['c', true]]);
    assert.match(result.json.content[1].content[0].text, /unknown key 'nokey'/);
    assert.match(result.json.content[2].content[0].text, /not executed/i);
    assert.deepEqual(buttonsOf(events), click(1, 5, 6));
    assert.deepEqual(keysOf(events), []);
});

test('Anthropic: a click and a screenshot in one turn, the picture is settled', options, async () => {
    await farm.probe.clear();
    await farm.probe.command('on_input', { on: 'button', steps: [{ x: 0, y: 0, w: 64, h: 64, color: '#123456', delay_ms: 300 }] });
    const { json } = await say('anthropic', [block('left_click', { coordinate: [700, 700] }), block('screenshot')]);
    const picture = decodePng(Buffer.from(json[1].content[0].source.data, 'base64'));
    assert.deepEqual(picture.at(10, 10), [0x12, 0x34, 0x56]);
});

for (const tool of ['computer_20241022', 'computer_20250124', 'computer_20251124']) {
    test(`Anthropic: ${tool}, one tool whose input names the action`, options, async () => {
        const { tools, image } = (await farm.client.call('GET', `/v1/sandboxes/${farm.id}/desktop/dialects/anthropic`, { query: { tool } })).json;
        assert.deepEqual([tools[0].type, tools[0].display_width_px, tools[0].display_height_px], [tool, image.width, image.height]);
        const use = (input) => say('anthropic', { type: 'tool_use', id: 'u', name: 'computer', input }, { tool, first_ms: 50, quiet_ms: 50 });
        const { result, events } = await receivedBy(() => use({ action: 'left_click_drag', start_coordinate: [1, 2], coordinate: [31, 42] }));
        assert.deepEqual(buttonsOf(events), [[1, true, 1, 2], [1, false, 31, 42]]);
        assert.deepEqual(result.json.content.map((b) => b.type), ['text', 'image'], 'every action shows the screen');
        const later = await receivedBy(() => use({ action: 'zoom', region: [0, 0, 64, 40] }));
        assert.equal(later.result.json.is_error ?? false, tool !== 'computer_20251124');
        const scroll = await receivedBy(() => use({ action: 'scroll', coordinate: [9, 9], scroll_direction: 'up', scroll_amount: 2 }));
        assert.deepEqual(wheelOf(scroll.events), tool === 'computer_20241022' ? [] : [[0, -1], [0, -1]]);
    });
}

/* --- OpenAI -------------------------------------------------------------------------------------- */

/** The interface that the SDK drives; each method is one action of the model's. */
class Computer {
    environment = 'ubuntu';
    dimensions = [1280, 800];

    async act(action, query = { images: 'asked' }) {
        const answer = await say('openai', action, query);
        assert.equal(answer.status, 200, answer.body.toString());
        assert.equal(answer.json.status, 'completed', answer.headers['x-deskfarm-result']);
        return answer.json;
    }

    async screenshot() {
        return (await this.act({ type: 'screenshot' })).output.image_url.replace(/^data:[^,]*,/, '');
    }

    click(x, y, button) { return this.act({ type: 'click', x, y, button }); }
    doubleClick(x, y) { return this.act({ type: 'double_click', x, y, keys: null }); }
    scroll(x, y, scroll_x, scroll_y) { return this.act({ type: 'scroll', x, y, scroll_x, scroll_y }); }
    type(text) { return this.act({ type: 'type', text }); }
    wait() { return this.act({ type: 'wait' }); }
    move(x, y) { return this.act({ type: 'move', x, y }); }
    keypress(keys) { return this.act({ type: 'keypress', keys }); }
    drag(path) { return this.act({ type: 'drag', path: path.map(([x, y]) => ({ x, y })) }); }
}

/** Says what is in a list, one item per turn, and keeps what it is asked. */
class ScriptedModel {
    constructor(turns) {
        this.turns = turns;
        this.requests = [];
    }

    async getResponse(request) {
        this.requests.push(request);
        const usage = { requests: 1, inputTokens: 0, outputTokens: 0, totalTokens: 0, add() {} };
        const turn = this.turns.shift() ?? { type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: 'done' }] };
        return { usage, output: [turn] };
    }

    async *getStreamedResponse() {
        throw new Error('not streamed');
    }
}

const openaiActions = [
    { type: 'screenshot' },
    { type: 'move', x: 30, y: 40 },
    { type: 'click', x: 0, y: 0, button: 'left' },
    { type: 'click', x: 1279, y: 799, button: 'right' },
    { type: 'click', x: 7, y: 8, button: 'wheel' },
    { type: 'click', x: 7, y: 8, button: 'back' },
    { type: 'click', x: 7, y: 8, button: 'forward' },
    { type: 'double_click', x: 9, y: 10 },
    { type: 'drag', path: [{ x: 10, y: 10 }, { x: 200, y: 50 }, { x: 300, y: 300 }] },
    { type: 'scroll', x: 100, y: 100, scroll_x: 0, scroll_y: 240 },
    { type: 'keypress', keys: ['CTRL', 'ARROWDOWN'] },
    { type: 'keypress', keys: ['/'] },
    { type: 'type', text: 'a"b' },
    { type: 'wait' },
];

function assertOpenai(events) {
    assert.deepEqual(buttonsOf(events), [
        ...click(1, 0, 0), ...click(3, 1279, 799), ...click(2, 7, 8), ...click(8, 7, 8), ...click(9, 7, 8),
        ...click(1, 9, 10, 2), [1, true, 10, 10], [1, false, 300, 300]]);
    assert.deepEqual(wheelOf(events), [[0, 1], [0, 1]]);
    assert.equal(textOf(events), '/a"b');
    assert.deepEqual(keysOf(events).slice(0, 3), ['Control_L', 'Down', 'slash']);
}

test('OpenAI: the agents SDK with a scripted model, all actions', options, async () => {
    setTracingDisabled(true);
    const call = (callId, rest) => ({ type: 'computer_call', id: callId, callId, status: 'completed', ...rest });
    const model = new ScriptedModel(openaiActions.map((action, i) => call(`c${i}`, { action })));
    const agent = new Agent({ name: 'tester', model, tools: [computerTool({ computer: new Computer() })] });
    const { result, events } = await receivedBy(() => new Runner({ tracingDisabled: true }).run(agent, 'go', { maxTurns: 20 }));
    assert.equal(result.finalOutput, 'done');
    assertOpenai(events);
    const shown = model.requests.at(-1).input.filter((item) => item.type === 'computer_call_result');
    assert.equal(shown.length, openaiActions.length);
    for (const { output } of shown)
        decodePng(Buffer.from(output.data.replace(/^data:[^,]*,/, ''), 'base64'));
});

test('OpenAI: a batch of actions as it comes from the API', options, async () => {
    const item = { type: 'computer_call', id: 'i', call_id: 'c1', status: 'completed', pending_safety_checks: [], actions: openaiActions };
    const { result, events } = await receivedBy(() => say('openai', { id: 'resp', output: [{ type: 'reasoning', summary: [] }, item] }));
    assertOpenai(events);
    assert.equal(result.json.length, 1);
    assert.deepEqual([result.json[0].type, result.json[0].call_id, result.json[0].status], ['computer_call_output', 'c1', 'completed']);
    assert.match(result.json[0].output.image_url, /^data:image\/png;base64,/);
});

test('OpenAI: held keys, and pixels of a scroll of which the rest is kept', options, async () => {
    const { events } = await receivedBy(() => say('openai', { actions: [
        { type: 'click', x: 5, y: 5, button: 'left', keys: ['CTRL', 'SHIFT'] },
        { type: 'scroll', x: 5, y: 5, scroll_x: 0, scroll_y: 90, keys: null },
        { type: 'scroll', x: 5, y: 5, scroll_x: 0, scroll_y: 90 }, { type: 'scroll', x: 5, y: 5, scroll_x: 0, scroll_y: 60 }] }));
    assert.deepEqual(events.filter((e) => e.ev === 'button').map((e) => e.mods & 5), [5, 5]);
    assert.deepEqual(wheelOf(events), [[0, 1], [0, 1]], '240 pixels are two notches, however they come');
    assert.deepEqual((await farm.probe.held()).keys, []);
});

test('OpenAI: safety checks wait for a person', options, async () => {
    const item = { type: 'computer_call', call_id: 'c', action: { type: 'click', x: 1, y: 1, button: 'left' },
        pending_safety_checks: [{ id: 'sc', code: 'malicious_instructions', message: 'Are you sure?' }] };
    const { result, events } = await receivedBy(() => say('openai', item));
    assert.deepEqual([result.status, result.json.code], [409, 'confirmation_required']);
    assert.deepEqual(buttonsOf(events), []);
    const agreed = await receivedBy(() => say('openai', item, { confirmed: true }));
    assert.deepEqual(buttonsOf(agreed.events), click(1, 1, 1));
    assert.deepEqual(agreed.result.json.acknowledged_safety_checks, item.pending_safety_checks);
});

test('OpenAI: what fails is shown', options, async () => {
    const { result } = await receivedBy(() => say('openai', { output: [{ type: 'computer_call', call_id: 'c', action: { type: 'click', x: 5000, y: 1, button: 'left' } }] }));
    assert.deepEqual([result.status, result.json[0].status], [200, 'incomplete']);
    assert.match(result.json[0].output.image_url, /^data:image\/png;base64,/);
    assert.match(result.json[1].content, /x is 5000/);
});

/* --- Gemini -------------------------------------------------------------------------------------- */

/** A stand-in for the model's API on this machine: answers with the turns in order, keeps what it is sent. */
async function withApi(turns, work) {
    const sent = [];
    const server = http.createServer((request, response) => {
        let text = '';
        request.on('data', (part) => { text += part; });
        request.on('end', () => {
            sent.push(JSON.parse(text));
            const parts = turns.shift() ?? [{ text: 'done' }];
            response.setHeader('content-type', 'application/json');
            response.end(JSON.stringify({ candidates: [{ content: { role: 'model', parts }, finishReason: 'STOP' }] }));
        });
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
        await work(`http://127.0.0.1:${server.address().port}`);
    } finally {
        server.closeAllConnections();
        server.close();
    }
    return sent;
}

const call = (name, args = {}) => ({ functionCall: { name, args, id: `id-${name}` } });
const geminiNew = [
    call('take_screenshot'), call('move', { x: 500, y: 500 }), call('click', { x: 0, y: 0 }), call('click', { x: 1000, y: 1000 }),
    call('double_click', { x: 250, y: 250 }), call('triple_click', { x: 250, y: 250 }), call('middle_click', { x: 250, y: 250 }),
    call('right_click', { x: 250, y: 250 }), call('mouse_down', { x: 100, y: 100 }), call('mouse_up', { x: 200, y: 100 }),
    call('drag_and_drop', { x: 100, y: 100, destination_x: 300, destination_y: 500 }), call('type', { text: 'ab', press_enter: true }),
    call('press_key', { key: 'Escape' }), call('key_down', { key: 'shift' }), call('key_up', { key: 'shift' }),
    call('hotkey', { keys: ['ctrl', 'c'] }), call('scroll', { x: 500, y: 500, direction: 'down', magnitude: 300 }),
    call('wait', { seconds: 0 }), call('navigate', { url: 'example.org' }), call('go_back'), call('go_forward'),
];
const geminiOld = [
    call('open_web_browser'), call('hover_at', { x: 500, y: 500 }), call('click_at', { x: 500, y: 500 }),
    call('type_text_at', { x: 100, y: 100, text: 'x', press_enter: false }), call('scroll_document', { direction: 'down' }),
    call('scroll_at', { x: 500, y: 500, direction: 'up', magnitude: 150 }), call('key_combination', { keys: 'control+v' }),
    call('drag_and_drop', { x: 0, y: 0, destination_x: 1000, destination_y: 1000 }), call('search'), call('go_back'),
    call('go_forward'), call('navigate', { url: 'a.example' }), call('wait_5_seconds'),
];

async function loop(ai, query) {
    const { tools } = (await farm.client.call('GET', `/v1/sandboxes/${farm.id}/desktop/dialects/gemini`)).json;
    const contents = [{ role: 'user', parts: [{ text: 'go' }] }];
    for (;;) {
        const response = await ai.models.generateContent({ model: 'scripted', contents, config: { tools } });
        contents.push(response.candidates[0].content);
        if (!response.functionCalls)
            return response.text;
        const answer = await say('gemini', response.candidates[0].content, query);
        assert.equal(answer.status, 200, answer.body.toString());
        contents.push(answer.json);
    }
}

test('Gemini: both sets of functions, through the SDK', options, async () => {
    const query = { images: 'last', first_ms: 50, quiet_ms: 50 };
    let received;
    const sent = await withApi([geminiNew, geminiOld], async (baseUrl) => {
        const ai = new GoogleGenAI({ apiKey: 'none', httpOptions: { baseUrl } });
        received = await receivedBy(() => loop(ai, query));
    });
    assert.equal(received.result, 'done');
    assert.deepEqual(sent[0].tools, [{ computerUse: { environment: 'ENVIRONMENT_DESKTOP' } }]);
    const answers = sent[2].contents.filter(({ role }) => role === 'user').slice(1);
    assert.deepEqual(answers.map(({ parts }) => parts.map((p) => p.functionResponse.name)),
        [geminiNew, geminiOld].map((turn) => turn.map((p) => p.functionCall.name)));
    for (const { parts } of answers) {
        assert.deepEqual(parts.map((p) => p.functionResponse.response.error).filter(Boolean), []);
        decodePng(Buffer.from(parts.at(-1).functionResponse.parts[0].inlineData.data, 'base64'));
    }
    assert.deepEqual(buttonsOf(received.events), [
        ...click(1, 0, 0), ...click(1, 1279, 799), ...click(1, 320, 200, 2), ...click(1, 320, 200, 3), ...click(2, 320, 200),
        ...click(3, 320, 200), [1, true, 128, 80], [1, false, 256, 80], [1, true, 128, 80], [1, false, 384, 400],
        ...click(1, 640, 400), ...click(1, 128, 80), [1, true, 0, 0], [1, false, 1279, 799]]);
    /* 300/1000 of 800 are 240 pixels, two notches; 800/1000 of 800, 640: five and 40 left; 120 up: one. */
    assert.deepEqual(wheelOf(received.events).map(([, dy]) => dy), [1, 1, 1, 1, 1, 1, 1, -1]);
    assert.equal(textOf(received.events), 'ab\nexample.org\nxhttps://www.google.com\na.example\n');
});

test('Gemini: a decision that needs a person', options, async () => {
    const part = call('click_at', { x: 10, y: 10, safety_decision: { decision: 'require_confirmation', explanation: 'buys' } });
    const { result, events } = await receivedBy(() => say('gemini', [part]));
    assert.deepEqual([result.status, result.json.code, buttonsOf(events)], [409, 'confirmation_required', []]);
    const agreed = await say('gemini', [part], { confirmed: true });
    assert.equal(agreed.json[0].functionResponse.response.safety_acknowledgement, 'true');
});

/* --- UI-TARS, OSWorld ------------------------------------------------------------------------------ */

test('UI-TARS: text with actions, in pixels of a picture whose sides are multiples of 28', options, async () => {
    const { image } = (await farm.client.call('GET', `/v1/sandboxes/${farm.id}/desktop/dialects/ui_tars`)).json;
    assert.deepEqual(image, { width: 1288, height: 812 });
    const text = 'Thought: I see.\nAction: click(point=\'<point>0 0</point>\')\n\n'
        + 'left_double(start_box=\'<|box_start|>(1287,811)<|box_end|>\')\n\nright_single(point=\'<point>644 406</point>\')\n\n'
        + 'drag(start_point=\'<point>0 0</point>\', end_point=\'<point>1287 811</point>\')\n\nhotkey(key=\'ctrl a\')\n\n'
        + 'type(content=\'it\\\'s <\\n\')\n\nscroll(point=\'<point>10 10</point>\', direction=\'down\')\n\nfinished(content=\'ok\')';
    const { result, events } = await receivedBy(() => say('ui_tars', { role: 'assistant', content: text }));
    assert.deepEqual(buttonsOf(events), [...click(1, 0, 0), ...click(1, 1279, 799, 2), ...click(3, 640, 400),
        [1, true, 0, 0], [1, false, 1279, 799]]);
    assert.equal(textOf(events), 'it\'s <\n');
    assert.equal(wheelOf(events).length, 5);
    assert.match(result.json.content.at(-1).text, /ended/);
    const waits = await say('ui_tars', { text: 'Action: click(point=\'<point>644 406</point>\')' });
    const [shown] = waits.json.content;
    const picture = decodePng(Buffer.from(shown.image_url.url.replace(/^data:[^,]*,/, ''), 'base64'));
    assert.deepEqual([picture.width, picture.height], [1288, 812]);
});

test('OSWorld: computer_13', options, async () => {
    const { result, events } = await receivedBy(() => say('osworld', { actions: [
        { action_type: 'MOVE_TO', parameters: { x: 100, y: 100 } }, { action_type: 'CLICK', parameters: { button: 'right', num_clicks: 2 } },
        { action_type: 'MOUSE_DOWN', parameters: {} }, { action_type: 'MOUSE_UP', parameters: {} },
        { action_type: 'RIGHT_CLICK', parameters: { x: 0, y: 0 } }, { action_type: 'DOUBLE_CLICK', parameters: { x: 5, y: 5 } },
        { action_type: 'DRAG_TO', parameters: { x: 300, y: 200 } }, { action_type: 'SCROLL', parameters: { dx: 0, dy: -2 } },
        { action_type: 'TYPING', parameters: { text: 'a<b' } }, { action_type: 'PRESS', parameters: { key: 'enter' } },
        { action_type: 'KEY_DOWN', parameters: { key: 'shift' } }, { action_type: 'KEY_UP', parameters: { key: 'shift' } },
        { action_type: 'HOTKEY', parameters: { keys: ['ctrl', 'alt', 't'] } }, 'DONE'] }));
    assert.deepEqual(buttonsOf(events), [...click(3, 100, 100, 2), ...click(1, 100, 100), ...click(3, 0, 0), ...click(1, 5, 5, 2),
        [1, true, 5, 5], [1, false, 300, 200]]);
    assert.deepEqual(wheelOf(events), [[0, 1], [0, 1]], 'down, as pyautogui counts');
    assert.equal(textOf(events), 'a<b\n');
    assert.deepEqual([result.json.done, result.json.info], [true, { done: true }]);
});

test('OSWorld: code that calls pyautogui is read, never executed', options, async () => {
    const code = 'import pyautogui\npyautogui.FAILSAFE = False\npyautogui.click(100, 200)\npyautogui.moveRel(10, 10); pyautogui.rightClick()\n'
        + 'pyautogui.dragTo(400, 300, duration=1, button=\'left\')\npyautogui.scroll(3)\npyautogui.write("<3 it\'s", interval=0.05)\n'
        + 'pyautogui.press([\'tab\', \'enter\'])\npyautogui.hotkey(\'ctrl\', \'s\')\ntime.sleep(0.01)';
    const { result, events } = await receivedBy(() => say('osworld', JSON.stringify(code)));
    assert.equal(result.status, 200, result.body.toString());
    assert.deepEqual(buttonsOf(events), [...click(1, 100, 200), ...click(3, 110, 210), [1, true, 110, 210], [1, false, 400, 300]]);
    assert.deepEqual(wheelOf(events), [[0, -1], [0, -1], [0, -1]]);
    assert.equal(textOf(events), '<3 it\'s\t\n');
    decodePng(Buffer.from(result.json.observation.screenshot, 'base64'));
    const unknown = await say('osworld', JSON.stringify('import os; os.system("true")'));
    assert.match(unknown.json.info.error, /unknown action "os.system"/);
    const refused = await say('osworld', JSON.stringify('pyautogui.click(1, 2)\nprint(open("/etc/passwd"))'));
    assert.deepEqual([refused.status, refused.json.code], [400, 'bad_value']);
    const shares = await receivedBy(() => say('osworld', JSON.stringify('pyautogui.click(x=0.5, y=0.25)')));
    assert.deepEqual(buttonsOf(shares.events), click(1, 640, 200));
});

test('nothing of a dialect in what was said is an error', options, async () => {
    for (const [dialect, body] of [['anthropic', { role: 'assistant', content: [] }], ['openai', { output: [] }], ['gemini', {}],
        ['ui_tars', {}], ['osworld', {}], ['anthropic', '5'], ['gemini', '[]']]) {
        const answer = await say(dialect, body);
        assert.deepEqual([answer.status, answer.json.code], [400, 'bad_value'], dialect);
    }
    assert.equal((await say('latin', {})).status, 404);
});
