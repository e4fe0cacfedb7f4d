/** The Model Context Protocol by its own SDK, over HTTP and over the command's standard input and output. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { buildDir } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { decodePng } from './lib/png.mjs';
import { eventually } from './lib/wait.mjs';

const farm = useFarm({ sandbox: { recording: true } });
const options = { skip: farm.skip };

const transports = {
    'streamable HTTP': () => new StreamableHTTPClientTransport(new URL(`${farm.daemon.url}/mcp`)),
    'streamable HTTP, with a slash': () => new StreamableHTTPClientTransport(new URL(`${farm.daemon.url}/mcp/`)),
    'standard input and output': () => new StdioClientTransport({
        command: path.join(buildDir, 'cli/deskfarm'), args: ['--url', farm.daemon.url, 'mcp'] }),
};

async function connect(make) {
    const client = new Client({ name: 'tests', version: '1' });
    await client.connect(make());
    return client;
}

/* One of each. What the guest gets of them, apart from motion. */
const everyAction = [
    { type: 'move', x: 300, y: 300 }, { type: 'click', x: 310, y: 320, button: 'right' },
    { type: 'button_down', x: 100, y: 100 }, { type: 'button_up', x: 140, y: 100 },
    { type: 'drag', path: [[10, 20], [200, 220]] }, { type: 'scroll', x: 50, y: 60, direction: 'down', amount: 2 },
    { type: 'key', keys: 'ctrl+a' }, { type: 'key_down', keys: 'shift' }, { type: 'key_up', keys: 'shift' },
    { type: 'hold_key', keys: 'b', duration_ms: 30 }, { type: 'type', text: 'ü 漢' }, { type: 'wait', duration_ms: 1 },
    { type: 'wait_for', first_ms: 0, quiet_ms: 50 }, { type: 'screenshot' },
    { type: 'zoom', region: { x: 0, y: 0, width: 64, height: 48 } }, { type: 'cursor_position' }, { type: 'release_all' },
];
const everyEffect = [
    'right+ 310,320', 'right- 310,320', 'left+ 100,100', 'left- 140,100', 'left+ 10,20', 'left- 200,220', 'wheel', 'wheel',
    'Control_L+', 'a+', 'a-', 'Control_L-', 'Shift_L+', 'Shift_L-', 'b+', 'b-',
];
const storyOf = (events) => events.flatMap((e) => e.ev === 'button' ? [`${{ 1: 'left', 3: 'right' }[e.button]}${e.down ? '+' : '-'} ${e.x},${e.y}`]
    : e.ev === 'wheel' ? ['wheel'] : e.ev === 'key' && !e.repeat ? [e.keysym + (e.down ? '+' : '-')] : []);

for (const [name, make] of Object.entries(transports)) {
    test(`every action over ${name}`, options, async () => {
        const mcp = await connect(make);
        try {
            const tool = (await mcp.listTools()).tools.find((one) => one.name === 'desktop_actions');
            const known = tool.inputSchema.properties.actions.items.oneOf.map((one) => one.properties.type.const);
            assert.deepEqual(everyAction.map(({ type }) => type).sort(), known.sort(), 'the test knows every action');
            const mark = farm.probe.mark();
            const acted = await mcp.callTool({ name: 'desktop_actions', arguments: { id: farm.id, actions: everyAction, settle: { first_ms: 50 } } });
            assert.ok(!acted.isError, acted.content[0].text);
            assert.deepEqual(acted.structuredContent.results.map((r) => r.type), everyAction.map(({ type }) => type));
            assert.equal(acted.structuredContent.results[10].characters, 3);
            const events = await farm.probe.received(farm.client, mark);
            assert.deepEqual(storyOf(events).slice(0, everyEffect.length), everyEffect);
            assert.equal(events.filter((e) => e.ev === 'key' && e.down).map((e) => e.text).join(''), 'bü 漢');
            assert.deepEqual([...(await farm.probe.held()).keys], []);
        } finally {
            await mcp.close();
        }
    });

    test(`a desktop is driven over ${name}`, options, async () => {
        const mcp = await connect(make);
        try {
            assert.equal(mcp.getServerVersion().name, 'deskfarm');
            const { tools } = await mcp.listTools();
            for (const wanted of ['sandbox_create', 'sandbox_fork', 'sandbox_checkpoint', 'desktop_actions', 'desktop_screenshot', 'desktop_wait', 'exec'])
                assert.ok(tools.some((tool) => tool.name === wanted), `${wanted} is a tool`);

            const mark = farm.probe.mark();
            const acted = await mcp.callTool({ name: 'desktop_actions', arguments: { id: farm.id, actions: [
                { type: 'click', x: 100, y: 200 }, { type: 'type', text: 'hi' }], settle: { first_ms: 100 } } });
            assert.ok(!acted.isError, JSON.stringify(acted.content.filter((c) => c.type === 'text')));
            assert.deepEqual(acted.structuredContent.results.map((r) => r.type), ['click', 'type']);
            const shown = acted.content.find((c) => c.type === 'image');
            assert.equal(shown.mimeType, 'image/png');
            assert.equal(decodePng(Buffer.from(shown.data, 'base64')).width, 1280);
            assert.equal(acted.structuredContent.image.data, undefined, 'the picture is there once');
            const events = await farm.probe.received(farm.client, mark);
            assert.deepEqual(events.filter((e) => e.ev === 'button').map((e) => [e.down, e.x, e.y]), [[true, 100, 200], [false, 100, 200]]);
            assert.equal(events.filter((e) => e.ev === 'key' && e.down).map((e) => e.text).join(''), 'hi');

            const shot = await mcp.callTool({ name: 'desktop_screenshot', arguments: { id: farm.id, x: 0, y: 0, width: 64, height: 48, format: 'png' } });
            const [image] = shot.content;
            assert.deepEqual([image.type, decodePng(Buffer.from(image.data, 'base64')).height], ['image', 48]);
            assert.equal(shot.structuredContent.image.width, 64);

            const ran = await mcp.callTool({ name: 'exec', arguments: { id: farm.id, command: 'echo from the guest' } });
            assert.match(JSON.stringify(ran.structuredContent), /from the guest/);

            const { resources } = await mcp.listResources();
            const screen = resources.find(({ uri }) => uri.includes(farm.id));
            const { contents } = await mcp.readResource({ uri: screen.uri });
            assert.equal(contents[0].mimeType, 'image/png');
            decodePng(Buffer.from(contents[0].blob, 'base64'));
            assert.deepEqual((await mcp.listResourceTemplates()).resourceTemplates.map(({ uriTemplate }) => uriTemplate), [
                'deskfarm://sandboxes/{id}/screenshot', 'deskfarm://recordings/{id}', 'deskfarm://recordings/{id}/actions',
                'deskfarm://recordings/{id}/frame/{frame}']);

            const wait = await mcp.callTool({ name: 'desktop_wait', arguments: { id: farm.id, for: 'pixel', x: 255, y: 0, color: '#ff0000' } });
            assert.equal(wait.structuredContent.result, 'found');
            const file = await mcp.callTool({ name: 'file_download', arguments: { id: farm.id, path: '/proc/sys/kernel/ostype' } });
            assert.equal(file.content[0].text, 'Linux\n', JSON.stringify(file));
            const none = await mcp.callTool({ name: 'file_download', arguments: { id: farm.id, path: '/nowhere' } });
            assert.equal(none.isError, true);
            const watched = await mcp.callTool({ name: 'desktop_watch', arguments: { id: farm.id, conditions: [{ for: 'pixel', x: 255, y: 0, color: '#ff0000' }] } });
            assert.match(watched.content[0].text, /"fired".*"done"/s);

            const { items: recordings } = (await mcp.callTool({ name: 'recording_list', arguments: {} })).structuredContent;
            assert.equal(recordings[0].sandbox, farm.id, JSON.stringify(recordings));
            const uri = `deskfarm://recordings/${recordings[0].id}`;
            const done = JSON.parse((await mcp.readResource({ uri: `${uri}/actions` })).contents[0].text);
            assert.match(JSON.stringify(done), /"click"/);
            const frame = acted.structuredContent.image.frame;
            const recorded = (await mcp.readResource({ uri: `${uri}/frame/${frame}` })).contents[0];
            assert.deepEqual([recorded.mimeType, decodePng(Buffer.from(recorded.blob, 'base64')).width], ['image/png', 1280]);
            await assert.rejects(mcp.readResource({ uri: `${uri}/frame/none/more` }), /no such resource/);

            const failed = await mcp.callTool({ name: 'desktop_actions', arguments: { id: farm.id, actions: [{ type: 'click', x: 9999, y: 0 }] } });
            assert.equal(failed.isError, true);
            assert.match(failed.content[0].text, /outside_screen/);
            const wrong = await mcp.callTool({ name: 'desktop_actions', arguments: { id: farm.id, colour: 1 } });
            assert.equal(wrong.isError, true);
            await assert.rejects(mcp.callTool({ name: 'drain', arguments: {} }), /no such tool/);
            await assert.rejects(mcp.readResource({ uri: 'file:///etc/passwd' }), /no such resource/);
        } finally {
            await mcp.close();
        }
    });
}

for (const [i, name] of ['streamable HTTP', 'standard input and output'].entries())
    test(`a long call over ${name} tells its progress, and its result last`, options, async () => {
        const mcp = await connect(transports[name]);
        const told = [], x = 40 + i;
        const call = mcp.callTool({ name: 'desktop_wait', arguments: { id: farm.id, for: 'pixel', x, y: 40, color: '#abcdef', max_ms: 60000 } },
            undefined, { onprogress: (progress) => {
                told.push(progress);
                if (told.length === 2)
                    farm.probe.fill(x, 40, 1, 1, '#abcdef');
            } });
        const { structuredContent } = await call;
        assert.equal(structuredContent.result, 'found');
        assert.ok(told.length >= 2 && told[1].progress > told[0].progress && told[0].total === 60, JSON.stringify(told));
        await mcp.close();
    });

for (const name of ['streamable HTTP', 'standard input and output']) test(`a call that is given up over ${name} ends in the daemon too, and lets go of its keys`, options, async () => {
    const mcp = await connect(transports[name]);
    try {
        const given = new AbortController(), from = farm.probe.mark();
        const aborted = mcp.callTool({ name: 'desktop_actions', arguments: { id: farm.id, actions: [
            { type: 'key_down', keys: 'shift' }, { type: 'button_down', x: 20, y: 20 }, { type: 'wait', duration_ms: 120000 }, { type: 'type', text: 'never' }] } },
        undefined, { signal: given.signal, timeout: 100000 });
        await farm.probe.until((e) => e.ev === 'button' && e.down, { from });
        assert.deepEqual((await farm.probe.held()).keys, [42]);
        given.abort();
        await assert.rejects(aborted);
        await farm.probe.until((e) => e.ev === 'key' && !e.down, { from });
        await farm.probe.until((e) => e.ev === 'button' && !e.down, { from });
        /* The next one is not refused as busy. */
        const next = await mcp.callTool({ name: 'desktop_actions', arguments: { id: farm.id, actions: [{ type: 'key', keys: 'a' }], settle: false, screenshot: false, queue_ms: 5000 } });
        assert.ok(!next.isError, JSON.stringify(next.content));
        const typed = (await farm.probe.received(farm.client, from)).filter((e) => e.ev === 'key' && e.down).map((e) => e.text).join('');
        assert.equal(typed, 'a');
    } finally {
        await mcp.close();
    }
});

const countRequests = async () =>
    Number(/^deskfarm_http_requests_in_progress (\d+)/m.exec((await farm.client.call('GET', '/metrics')).body)[1]);

test('over HTTP a call that has told its progress is given up, and only by its own session', options, async () => {
    const mine = await connect(transports['streamable HTTP']), other = await connect(transports['streamable HTTP']);
    try {
        const given = new AbortController(), waits = [];
        const wait = (mcp, signal) => new Promise((told) => {
            waits.push(mcp.callTool({ name: 'desktop_wait', arguments: { id: farm.id, for: 'pixel', x: 41, y: 41, color: '#123456', max_ms: 60000 } },
                undefined, { signal, onprogress: told }));
        });
        /* Both have the same id: each client counts its own. */
        await Promise.all([wait(mine, given.signal), wait(other)]);
        const before = await countRequests();
        given.abort();
        await assert.rejects(waits[0]);
        await eventually('it is over in the daemon too', async () => await countRequests() === before - 1);
        await farm.probe.fill(41, 41, 1, 1, '#123456');
        assert.equal((await waits[1]).structuredContent.result, 'found');
    } finally {
        await mine.close();
        await other.close();
    }
});

test('over standard input and output a call that waits is given up before it begins, and pings are answered meanwhile', options, async () => {
    const mcp = await connect(transports['standard input and output']);
    const act = (actions, signal) => mcp.callTool({ name: 'desktop_actions', arguments: { id: farm.id, actions, settle: false, screenshot: false, queue_ms: 5000 } },
        undefined, { signal, timeout: 100000 });
    try {
        const from = farm.probe.mark(), first = new AbortController(), second = new AbortController();
        const running = act([{ type: 'key_down', keys: 'ctrl' }, { type: 'wait', duration_ms: 120000 }], first.signal);
        await farm.probe.until((e) => e.ev === 'key' && e.down, { from });
        const waiting = act([{ type: 'type', text: 'never' }], second.signal);
        await mcp.ping();
        second.abort();
        await assert.rejects(waiting);
        first.abort();
        await assert.rejects(running);
        await act([{ type: 'key', keys: 'b' }]);
        const typed = (await farm.probe.received(farm.client, from)).filter((e) => e.ev === 'key' && e.down).map((e) => e.keysym).join(' ');
        assert.equal(typed, 'Control_L b');
    } finally {
        await mcp.close();
    }
});

test('a key sees its own sandboxes, and a viewer has no tools that act', options, async () => {
    const viewer = (await farm.client.call('POST', '/v1/keys', { body: { role: 'viewer', name: 'mcp-viewer' } })).json;
    try {
        const requestInit = { headers: { Authorization: `Bearer ${viewer.key ?? viewer.secret}` } };
        const mcp = await connect(() => new StreamableHTTPClientTransport(new URL(`${farm.daemon.url}/mcp`), { requestInit }));
        const names = (await mcp.listTools()).tools.map((tool) => tool.name);
        assert.ok(names.includes('desktop_screenshot'));
        assert.ok(!names.includes('desktop_actions') && !names.includes('sandbox_create') && !names.includes('exec'));
        await assert.rejects(mcp.callTool({ name: 'desktop_actions', arguments: { id: farm.id, actions: [] } }), /may not call/);
        const shot = await mcp.callTool({ name: 'desktop_screenshot', arguments: { id: farm.id } });
        assert.equal(shot.isError, true, 'not its own');
        assert.match(shot.content[0].text, /not_found/);
        await mcp.close();
    } finally {
        await farm.client.send('DELETE', `/v1/keys/${viewer.id}`);
    }
});
