/**
 * A guest whose agent answers as the QEMU guest agent of Windows does (windows-peer.c, in the probe guest on its real
 * port): commands, paths, encodings, errors, files, the desktop's session, freezing, and a reboot in the middle. The
 * peer keeps what no Windows would take; the last test sees that there was nothing.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { buildDir, lacksImage } from './lib/daemon.mjs';
import { initramfs, useOwnImages } from './lib/images.mjs';
import { eventually } from './lib/wait.mjs';

const skip = lacksImage('probe');
const options = { skip, timeout: 120000 };
let daemon, client, id;

function writeInitrd(to, from) {
    const peer = fs.readFileSync(path.join(buildDir, 'tests/integration/windows-peer'));
    const base = fs.readFileSync(from);
    const gap = Buffer.alloc((4 - base.length % 4) % 4);
    fs.writeFileSync(to, Buffer.concat([base, gap, initramfs({ 'bin/deskfarm-agent': peer })]));
}

const isReady = async (of = id) => (await client.get(of)).agent === 'ready';

useOwnImages(skip, (cache) => cache.describeAnew('windows-peer', 'probe', { agent: 'qemu' }, { 'initrd.img': writeInitrd }), async (farm) => {
    ({ daemon, client } = farm);
    ({ id } = await client.create('windows-peer'));
    await client.waitState(id, 'Running');
    await eventually('the agent is ready', () => isReady(), { ms: 120000, every: 200 });
});

const execd = (method, rest, request, of = id) => client.send(method, `/v1/sandboxes/${of}/proxy/44772${rest}`, request);
const desktop = (method, rest, request) => client.send(method, `/v1/sandboxes/${id}/desktop${rest}`, request);

/** What a command came to: {stdout, stderr, status} or {code, message}. */
async function run(body, of = id) {
    const answer = await execd('POST', '/command', { body, headers: { accept: 'application/x-ndjson' } }, of);
    if (answer.status >= 300)
        return { code: answer.json?.code, message: answer.json?.message };
    const events = answer.body.toString().split('\n').filter((line) => line).map((line) => JSON.parse(line));
    const join = (type) => events.filter((event) => event.type === type).map((event) => event.text).join('\n');
    const failed = events.find((event) => event.type === 'error');
    return { stdout: join('stdout').trim(), stderr: join('stderr').trim(), status: failed ? failed.error.evalue : '0' };
}

const upload = (name, data, more = {}) => {
    const form = new FormData();
    form.append('metadata', new Blob([JSON.stringify({ path: name, ...more })], { type: 'application/json' }), 'metadata');
    form.append('file', new Blob([data]), 'file');
    const request = new Request('http://x/', { method: 'POST', body: form });
    return request.arrayBuffer().then((bytes) => execd('POST', '/files/upload', {
        body: Buffer.from(bytes), headers: { 'content-type': request.headers.get('content-type') } }));
};
const download = (name) => execd('GET', '/files/download', { query: { path: name } });
const info = (name) => execd('GET', '/files/info', { query: { path: name } });

test('it is Windows, and tells its system, users and network', options, async () => {
    const { json } = await client.call('GET', `/v1/sandboxes/${id}/guest`);
    assert.equal(json.os.id, 'mswindows');
    assert.equal(json.hostname, 'DESKFARM');
    assert.deepEqual(json.users, [{ name: 'user', domain: 'DESKFARM', since_us: 1700000000500000 }]);
    assert.deepEqual(json.interfaces, [{ name: 'Ethernet', mac: '52:54:00:12:34:56',
        addresses: [{ address: '10.0.2.15', prefix: 24 }] }]);
});

test('commands go to cmd.exe, with their exit status', options, async () => {
    assert.deepEqual(await run({ command: 'echo grüße 🙂' }), { stdout: 'grüße 🙂', stderr: '', status: '0' });
    assert.equal((await run({ command: 'exit 9009' })).status, '9009');
    assert.equal((await run({ command: 'exit 0xc0000005' })).status, String(0xc0000005));
});

test('output that is no UTF-8 comes through like any other agent\'s', options, async () => {
    const oem = await execd('POST', '/command', { body: { command: 'oem' }, headers: { accept: 'application/x-ndjson' } });
    assert.match(oem.body.toString(), /caf/);
    assert.equal((await run({ command: 'wide' })).status, '0');
});

test('words, directory and environment arrive as they were given', options, async () => {
    const words = ['C:\\Program Files\\a.exe', 'two words', 'a "quoted" one', 'C:\\end\\', '', '%PATH%', "it's ’so’"];
    const { stdout } = await run({ argv: words, cwd: 'C:\\Users', envs: { NAME: "v'$(x)" } });
    const told = JSON.parse(stdout);
    assert.equal(told.file, words[0]);
    assert.equal(told.line, '"two words" "a \\"quoted\\" one" C:\\end\\ "" %PATH% "it\'s ’so’"');
    assert.equal(told.cwd, 'C:\\Users');
    assert.deepEqual(told.env, [['NAME', "v'$(x)"]]);
    assert.match((await run({ command: 'echo "a b"' })).stdout, /chcp 65001>nul&echo \\"a b\\"/);
});

test('what cannot be started says so, whatever language Windows speaks', options, async () => {
    const failed = await run({ argv: ['nothing.exe'] });
    assert.match(JSON.stringify(failed), /not_found|Das System kann die angegebene Datei nicht finden/);
    assert.equal((await run({ argv: ['a.bat', 'x'] })).status === '0', false);
    assert.match(JSON.stringify(await run({ command: 'echo 1', uid: 1000 })), /LocalSystem/);
    assert.match(JSON.stringify(await run({ command: 'echo 1', cwd: '/tmp' })), /absolute path such as C:/);
});

test('files go both ways, whole, into new directories', options, async () => {
    const bytes = Buffer.from(Array.from({ length: 200000 }, (_, i) => (i * 7) & 255));
    assert.equal((await upload('C:\\Users\\user\\new\\deep/Grüße.bin', bytes, { mode: 644 })).status, 200);
    const back = await download('c:/users/USER/new/deep/grüße.bin');
    assert.equal(back.status, 200, back.body.toString().slice(0, 300));
    assert.ok(back.body.equals(bytes), `${back.body.length} bytes came back`);
    const { json } = await info('C:\\Users\\user\\new\\deep\\Grüße.bin');
    assert.equal(Object.values(json)[0].size, bytes.length);
    const list = (await execd('GET', '/directories/list', { query: { path: 'C:\\Users\\user\\new\\deep' } })).json;
    assert.deepEqual(list.map((entry) => entry.path), ['C:\\Users\\user\\new\\deep\\Grüße.bin']); /* no part is left */
    assert.equal((await upload('C:\\Users\\user\\read-only.txt', 'x', { mode: 444 })).status, 200);
    assert.equal(Object.values((await info('C:\\Users\\user\\read-only.txt')).json)[0].mode, 444);
});

test('files are moved and removed', options, async () => {
    await upload('C:\\Users\\user\\a.txt', 'a');
    await upload('C:\\Users\\user\\b.txt', 'b');
    const moved = await execd('POST', '/files/mv', { body: [{ src: 'C:\\Users\\user\\a.txt', dest: 'C:\\Users\\user\\b.txt' }] });
    assert.equal(moved.status, 200);
    assert.equal((await download('C:\\Users\\user\\b.txt')).body.toString(), 'a');
    assert.equal((await download('C:\\Users\\user\\a.txt')).status, 404);
    assert.equal((await execd('DELETE', '/files', { query: { path: 'C:\\Users\\user\\b.txt' } })).status, 200);
    assert.equal((await info('C:\\Users\\user\\b.txt')).status, 404);
});

test('errors of files have the API\'s codes', options, async () => {
    const rows = [['C:\\no\\such', 404, 'not_found'], ['C:\\Users', 400, 'bad_value'], ['/etc/passwd', 400, 'bad_value'],
        ['C:relative', 400, 'bad_value'], ['\\\\.\\pipe\\x', 400, 'bad_value'], ['C:\\nul', 400, 'bad_value'],
        ['C:\\a:stream', 400, 'bad_value']];
    for (const [name, status, code] of rows) {
        const answer = await download(name);
        assert.deepEqual([answer.status, answer.json?.code], [status, code], `${name}: ${answer.body}`);
    }
    const owned = await upload('C:\\Users\\user\\x', 'x', { owner: 'user' });
    assert.equal(owned.json.code, 'unsupported');
});

test('programs and the clipboard are those of who is logged in', options, async () => {
    const started = await desktop('POST', '/launch', { body: { argv: ['notepad.exe', 'C:\\a b.txt'], wait_ms: 0 } });
    assert.equal(started.json.pid, 4711, started.body.toString());
    assert.equal(started.json.line, 'notepad.exe "C:\\a b.txt"');
    const opened = await desktop('POST', '/open', { body: { url: 'https://example.org/?a=b c', wait_ms: 0 } });
    assert.equal(opened.json.line, 'explorer.exe "https://example.org/?a=b c"');
    const nobody = await desktop('POST', '/launch', { body: { argv: ['nobody.exe'] } });
    assert.equal(nobody.json.code, 'not_ready');
    const text = 'zwei\r\nZeilen: 日本語 🙂';
    assert.equal((await desktop('PUT', '/clipboard', { body: { text } })).status, 200);
    assert.equal((await desktop('GET', '/clipboard')).json.text, text);
    assert.equal((await desktop('GET', '/clipboard', { query: { selection: 'primary' } })).json.code, 'unsupported');
});

test('what Windows lacks says why', options, async () => {
    const rows = [await desktop('GET', '/windows'), await desktop('GET', '/a11y/tree'),
        await execd('GET', '/files/search', { query: { path: 'C:\\', pattern: '*' } }),
        await execd('POST', '/session', { body: {} })];
    for (const { json } of rows) {
        assert.equal(json.code, 'unsupported', JSON.stringify(json));
        assert.match(json.message, /QEMU guest agent/);
    }
});

test('a checkpoint holds its file systems still, and what comes out of it is thawed', options, async () => {
    const checkpoint = (await client.call('POST', `/v1/sandboxes/${id}/checkpoints`, { body: { freeze: true } })).json;
    assert.equal(checkpoint.frozen, true, JSON.stringify(checkpoint));
    assert.equal((await run({ command: 'echo on' })).stdout, 'on');
    const { items } = (await client.call('POST', `/v1/checkpoints/${checkpoint.id}/fork`, { body: { count: 1 } })).json;
    daemon.ids.add(items[0].id);
    await eventually('the agent of the fork is ready', () => isReady(items[0].id), { ms: 30000, every: 100 });
    assert.equal((await run({ command: 'echo fork' }, items[0].id)).stdout, 'fork');
    assert.match(daemon.log, /its file systems were frozen: thawed/);
    await client.call('DELETE', `/v1/sandboxes/${items[0].id}`);
});

test('a guest that cannot be frozen is saved all the same', options, async () => {
    await run({ command: 'vss off' });
    const checkpoint = (await client.call('POST', `/v1/sandboxes/${id}/checkpoints`, { body: { freeze: true } })).json;
    assert.equal(checkpoint.frozen, false);
    assert.match(checkpoint.freeze_error, /VSS service is not running/);
    await run({ command: 'vss on' });
});

test('a command past its time is ended', options, async () => {
    const { status, ...rest } = await run({ command: 'never', timeout: 500 });
    assert.equal(status, '1', JSON.stringify(rest));
});

test('an answer that never comes ends its call, and the next one works', options, async () => {
    const lost = await run({ command: 'silent' });
    assert.match(JSON.stringify(lost), /spoken to anew|guest_gone/);
    await eventually('the agent is ready again', () => isReady(), { ms: 30000, every: 100 });
    assert.equal((await run({ command: 'echo again' })).stdout, 'again');
});

test('a reboot in the middle ends what runs, and the next session works', options, async () => {
    const [slow, down] = await Promise.all([run({ command: 'never' }), run({ command: 'shutdown /r' })]);
    for (const one of [slow, down])
        assert.match(JSON.stringify(one), /started again|spoken to anew|guest_gone/);
    await eventually('commands run again', async () => (await run({ command: 'echo up' })).stdout === 'up',
        { ms: 40000, every: 500 });
    assert.equal((await upload('C:\\Users\\user\\after.txt', 'after')).status, 200);
});

test('nothing was asked that no Windows would take', options, async () => {
    assert.deepEqual(await run({ command: 'violations' }), { stdout: '', stderr: '', status: '0' });
});
