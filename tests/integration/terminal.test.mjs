/**
 * Terminals in a guest over WebSockets, and what a client of a WebSocket can do wrong.
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { ownMemory } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { run, Terminal } from './lib/terminal.mjs';
import { eventually as soon } from './lib/wait.mjs';
import { frame, WebSocketClient } from './lib/websocket.mjs';

/* A guest without KVM on a machine that others use too. */
const eventually = (what, ask, options) => soon(what, ask, { ms: 40000, ...options });
const farm = useFarm({
    prepare: () => eventually('the agent is ready', async () => (await farm.client.get(farm.id)).agent === 'ready'),
});
const options = { skip: farm.skip, timeout: 120000 };

const create = (body) => Terminal.create(farm.client, farm.id, body);
const state = async (terminal) => (await farm.client.call('GET', terminal.path)).json;
const remove = (terminal) => farm.client.call('DELETE', terminal.path);
const gauge = async (name) => Number(new RegExp(`^deskfarm_http_${name} (\\d+)`, 'm').exec((await farm.client.call('GET', '/metrics')).body)[1]);

/* --- Terminals -------------------------------------------------------------------------------- */

test('a shell: keys, output, size, exit', options, async () => {
    const terminal = await create();
    assert.deepEqual(await state(terminal), { session_id: terminal.session, running: false, output_offset: 0 });
    await terminal.attach('?cols=91&rows=33');
    assert.deepEqual(await terminal.word('connected'), { type: 'connected', session_id: terminal.session, mode: 'pty' });
    terminal.type('stty size\n');
    await terminal.until('the size', /33 91/);
    terminal.socket.json({ type: 'resize', cols: 120, rows: 40 });
    terminal.type('stty size\n');
    await terminal.until('the new size', /40 120/);
    terminal.socket.json({ type: 'stdin', data: 'echo a"b"c\n' });
    await terminal.until('its output', /abc/);
    terminal.socket.json({ type: 'ping' });
    await terminal.word('pong');
    terminal.socket.json({ type: 'strange' });
    assert.equal((await terminal.word('error')).code, 'INVALID_FRAME');
    terminal.type('exit 7\n');
    assert.deepEqual(await terminal.word('exit'), { type: 'exit', exit_code: 7 });
    assert.equal(await terminal.socket.ended(), 1000);
    assert.equal((await state(terminal)).running, false);
    await remove(terminal);
    assert.equal((await farm.client.send('GET', terminal.path)).status, 404);
});

test('commands end with all of their output', options, async () => {
    const text = await run(farm.client, farm.id, 'i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done');
    assert.equal(text, Array.from({ length: 20000 }, (_, i) => `line ${i}\n`).join(''));
    await assert.rejects(run(farm.client, farm.id, 'exit 3'), /exit 3/);
    const terminal = await create({ command: 'sleep 100' });
    await terminal.attach();
    terminal.socket.json({ type: 'signal', signal: 'SIGTERM' });
    assert.equal((await terminal.word('exit')).exit_code, 128 + 15);
    await remove(terminal);
});

test('who runs it, and where', options, async () => {
    const terminal = await create({ command: 'id -un; pwd; echo $TERM', user: 'user', cwd: '/tmp' });
    await terminal.attach();
    await terminal.word('exit');
    assert.deepEqual(terminal.read().trim().split('\r\n'), ['user', '/tmp', 'xterm-256color']);
    await remove(terminal);
    const nobody = await create({ command: 'true', user: 'no-such-user' });
    await nobody.attach();
    assert.equal((await nobody.word('error')).code, 'SESSION_GONE');
    await remove(nobody);
});

test('it outlives its viewer, who goes on where they were', options, async () => {
    const terminal = await create();
    await terminal.attach();
    terminal.type('for i in 1 2 3; do echo one-$i; done\n');
    await terminal.until('the first output', /one-3\r\n/);
    await eventually('all is read', async () => terminal.read() && (await state(terminal)).output_offset === terminal.offset);
    const { offset } = terminal;
    terminal.type('sleep 0.3; echo in-between\n');
    terminal.socket.destroy();
    await eventually('it wrote while nobody looked', async () => (await state(terminal)).output_offset > offset + 40);
    await terminal.attach(`?since=${offset}`);
    await terminal.until('what was missed', /in-between\r\n/);
    assert.ok(!terminal.text.includes('one-1'), 'and not what was there before');
    terminal.socket.destroy();
    await eventually('the viewer is gone', async () => (await terminal.attach('', {}).catch(() => null)));
    assert.match(terminal.read() || (await terminal.until('the replay', /one-1/)).input, /one-1[^]*in-between/);
    terminal.socket.destroy();
    await remove(terminal);
});

test('of more than is kept the end is sent again', options, async () => {
    const terminal = await create({ command: 'head -c 3000000 /dev/zero | tr "\\0" x; echo; echo end; sleep 100' });
    await terminal.attach();
    terminal.socket.destroy();
    await eventually('it has written', async () => (await state(terminal)).output_offset >= 3000000);
    await terminal.attach('?takeover=1');
    await terminal.until('the end', /x\r\nend\r\n$/);
    assert.ok(terminal.text.length >= 1 << 20 && terminal.text.length < 2 << 20, `${terminal.text.length}`);
    assert.equal(terminal.offset, (await state(terminal)).output_offset);
    terminal.socket.destroy();
    await remove(terminal);
});

test('a second viewer is refused, or takes over', options, async () => {
    const terminal = await create();
    await terminal.attach();
    const first = terminal.socket;
    await terminal.word('connected');
    const second = await new WebSocketClient(farm.daemon.port, `${terminal.path}/ws`).answered();
    assert.equal(second.status, 409);
    assert.equal(JSON.parse(second.body).code, 'conflict');
    await terminal.attach('?takeover=1');
    assert.equal(await first.ended(), 4001);
    terminal.type('echo still"-"here\n');
    await terminal.until('the shell', /still-here/);
    terminal.socket.destroy();
    await remove(terminal);
});

test('a viewer that does not read holds the program back', options, async () => {
    const before = ownMemory(farm.daemon.pid);
    const terminal = await create({ command: 'yes 0123456789012345678901234567890123456789' });
    await terminal.attach();
    terminal.socket.socket.pause();
    let last = -1;
    await eventually('it stands still', async () => {
        const { output_offset: now } = await state(terminal);
        const isStill = now === last;
        last = now;
        return isStill;
    }, { every: 500 });
    assert.ok(ownMemory(farm.daemon.pid) - before < 8 << 20);
    terminal.socket.socket.resume();
    await eventually('it goes on', async () => (await state(terminal)).output_offset > last + 100000);
    terminal.socket.destroy();
    await remove(terminal);
});

test('a program that does not read holds its viewer back', options, async () => {
    const before = ownMemory(farm.daemon.pid);
    const terminal = await create({ command: 'stty raw -echo; echo go; sleep 100' });
    await terminal.attach();
    await terminal.until('it is ready', /go/);
    for (let i = 0; i < 600; i++)
        terminal.type(Buffer.alloc(50000, 'a'));
    assert.equal((await farm.client.call('GET', '/healthz')).status, 200, 'others are served');
    assert.ok(terminal.socket.socket.writableLength > 0, 'more than sockets hold waits here');
    assert.ok(ownMemory(farm.daemon.pid) - before < 8 << 20, 'and not in the daemon');
    terminal.socket.destroy();
    await remove(terminal);
});

test('what is wrong is said in HTTP', options, async () => {
    const terminal = await create();
    const ask = async (path, headers) => {
        const socket = await new WebSocketClient(farm.daemon.port, path, { headers }).answered();
        socket.destroy();
        return [socket.status, JSON.parse(socket.body).code];
    };
    const ws = `${terminal.path}/ws`;
    assert.deepEqual(await ask(ws, { 'Sec-WebSocket-Key': 'short' }), [400, 'bad_value']);
    assert.deepEqual(await ask(ws, { 'Sec-WebSocket-Version': '8' }), [400, 'bad_value']);
    assert.deepEqual(await ask(ws, { Origin: 'http://evil.example' }), [403, 'bad_origin']);
    assert.deepEqual(await ask(ws, { Host: 'evil.example' }), [403, 'bad_host']);
    assert.deepEqual(await ask(`${ws}?pty=0`), [501, 'unsupported']);
    assert.deepEqual(await ask(`${ws}?since=x`), [400, 'bad_value']);
    assert.deepEqual(await ask(`${terminal.path}x/ws`), [404, 'not_found']);
    assert.deepEqual(await ask('/v1/sandboxes'), [404, 'not_found']);
    assert.deepEqual(await ask('/'), [404, 'not_found']);
    const plain = await farm.client.send('GET', ws);
    assert.deepEqual([plain.status, plain.json.code], [400, 'bad_value']);
    await remove(terminal);
});

test('terminals are bounded', options, async () => {
    const all = [];
    for (let i = 0; i < 32; i++)
        all.push(await create());
    const more = await farm.client.send('POST', `/v1/sandboxes/${farm.id}/proxy/44772/pty`, { body: {} });
    assert.deepEqual([more.status, more.json.code], [429, 'quota_exceeded']);
    const [ended] = all.splice(7, 1);
    await ended.attach();
    ended.type('exit\n');
    await ended.socket.ended();
    all.push(await create());
    assert.equal((await farm.client.send('GET', ended.path)).status, 404, 'one that has ended makes room');
    await Promise.all(all.map(remove));
});

/* --- Frames ----------------------------------------------------------------------------------- */

/** Sends bytes to a fresh terminal; the close code that comes back. */
async function closes(...frames) {
    const terminal = await create();
    await terminal.attach();
    await terminal.word('connected');
    terminal.socket.socket.write(Buffer.concat(frames));
    const code = await terminal.socket.ended();
    terminal.socket.destroy();
    await remove(terminal);
    return code;
}

test('hostile: frames that break the rules', options, async () => {
    const big = Buffer.alloc(70000);
    for (const [what, want, ...frames] of [
        ['not masked', 1002, frame(2, 'a', { mask: false })], ['reserved bits', 1002, frame(2, 'a', { reserved: 0x40 })],
        ['an unknown opcode', 1002, frame(3, 'a')], ['a Ping in pieces', 1002, frame(9, 'a', { last: false })],
        ['a long Ping', 1002, frame(9, Buffer.alloc(126))], ['a continuation of nothing', 1002, frame(0, 'a')],
        ['a message inside another', 1002, frame(2, 'a', { last: false }), frame(2, 'b')], ['a huge length', 1009, frame(2, 'a', { length: 2n ** 62n })],
        ['a length of 2^63', 1002, frame(2, 'a', { length: 2n ** 63n })], ['a message that is too long', 1009, frame(2, big)],
        ['too long in pieces', 1009, frame(2, big.subarray(0, 40000), { last: false }), frame(0, big.subarray(0, 40000))],
        ['text that is no UTF-8', 1007, frame(1, Buffer.from([0xc3, 0x28]))], ['a Close of one byte', 1002, frame(8, 'a')],
        ['a Close with a code of nobody', 1002, frame(8, Buffer.from([0x03, 0xee]))], ['a Close', 1000, frame(8, Buffer.from([0x03, 0xe8]))],
        ['a Close without a code', 1005, frame(8)],
    ])
        assert.equal(await closes(...frames), want, what);
});

test('pings are answered between messages, fragments are joined', options, async () => {
    const terminal = await create({ command: 'stty raw -echo; echo go; cat' });
    await terminal.attach();
    await terminal.until('it is ready', /go/);
    const { socket } = terminal;
    socket.send(2, Buffer.from([0, 97]), { last: false });
    socket.send(9, 'x');
    socket.send(0, 'b', { last: false });
    socket.send(0, 'c');
    await socket.until('the Pong', ({ opcode, data }) => opcode === 10 && `${data}` === 'x');
    await terminal.until('the message', /abc/);
    for (let i = 0; i < 10000; i++)
        socket.send(9, `${i}`);
    await socket.until('the last Pong', ({ opcode, data }) => opcode === 10 && `${data}` === '9999');
    socket.destroy();
    await remove(terminal);
});

test('bytes one by one, and an end in the middle of a frame', options, async () => {
    const terminal = await create({ command: 'stty raw -echo; echo go; cat' });
    await terminal.attach();
    await terminal.until('it is ready', /go/);
    for (const byte of frame(2, Buffer.from('\0slow')))
        terminal.socket.socket.write(Buffer.from([byte]));
    await terminal.until('the message', /slow/);
    terminal.socket.socket.end(frame(2, 'never whole', { length: 60000 }));
    await terminal.socket.ended();
    await eventually('it is detached', async () => await gauge('websockets') === 0);
    await remove(terminal);
});

test('random frames', options, async () => {
    let seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
    const random = (n) => {
        seed = (seed * 1103515245 + 12345) % 2 ** 31;
        return Math.floor(seed / 65536) % n;
    };
    console.log(`# seed ${seed}`);
    const terminal = await create();
    for (let i = 0; i < 60; i++) {
        const socket = await new WebSocketClient(farm.daemon.port, `${terminal.path}/ws?takeover=1`).answered();
        for (let k = random(20); k >= 0; k--)
            socket.socket.write(random(2) ? frame(random(16), Buffer.alloc(random(300), random(256)), { last: random(4) > 0 }) : Buffer.from([random(256), random(256), random(256)]));
        socket.destroy();
    }
    await eventually('all are gone', async () => await gauge('websockets') === 0);
    await remove(terminal);
});

test('many that come and go leave nothing behind', options, async () => {
    const terminal = await create();
    for (let i = 0; i < 200; i++) {
        const socket = net.connect(farm.daemon.port, '127.0.0.1');
        socket.on('error', () => {});
        socket.write(`GET ${terminal.path}/ws?takeover=1 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`);
        await new Promise((resolve) => socket.once('data', resolve).once('close', resolve));
        socket[i % 2 ? 'destroy' : 'resetAndDestroy']();
    }
    await eventually('all are gone', async () => await gauge('websockets') === 0);
    await remove(terminal);
});
