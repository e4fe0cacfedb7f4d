/**
 * The command line inside a guest: commands, files, ports and SSH, byte by byte.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { isFull } from './lib/counts.mjs';
import { buildDir } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { startGuestServer } from './lib/guest-server.mjs';
import { eventually, within } from './lib/wait.mjs';
import { WebSocketClient } from './lib/websocket.mjs';

const cli = path.join(buildDir, 'cli/deskfarm');
const SERVER = 8000, ECHO = SERVER + 1;
const MEGABYTES = isFull ? 64 : 8;
const farm = useFarm({ prepare: async () => {
    await eventually('the agent', async () => (await farm.client.get(farm.id)).agent === 'ready', { ms: 120000 });
    await startGuestServer(farm.client, farm.id, SERVER);
} });
const options = { skip: farm.skip, timeout: 240000 };

/** Starts the command line with input and output as pipes. */
function start(args, { env = {} } = {}) {
    const child = spawn(cli, args, { env: { ...process.env, DESKFARM_URL: farm.daemon.url, ...env }, stdio: 'pipe' });
    child.stderr.resume(); /* a stream that nobody reads never ends */
    return child;
}

/** Runs it to its end. @returns {Promise<{code: number, out: Buffer, err: string}>} */
async function run(args, { input = '', ms = 180000, ...rest } = {}) {
    const child = start(args, rest);
    const out = [], err = [];
    child.stdout.on('data', (part) => out.push(part));
    child.stderr.on('data', (part) => err.push(part));
    child.stdin.on('error', () => {}); /* a command need not read */
    child.stdin.end(input);
    const code = await within(ms, args.join(' '), new Promise((resolve) =>
        child.on('close', (status, signal) => resolve(status ?? signal))));
    return { code, out: Buffer.concat(out), err: Buffer.concat(err).toString() };
}

async function good(args, given) {
    const { code, out, err } = await run(args, given);
    assert.equal(code, 0, `${args.join(' ')}: ${err}`);
    return out;
}

const inside = (...args) => good(['exec', '-n', farm.id, ...args]);
/** Waits until no process of the guest has the text in its command line. */
const untilGone = (what) => eventually(`${what} is gone`, async () => !(await inside('ps', '-o', 'args')).includes(what), { ms: 40000 });
const text = (bytes) => bytes.toString().trim();

/* --- exec ------------------------------------------------------------------------------------- */

test('exec: output, errors and the exit status are the command\'s', options, async () => {
    const { code, out, err } = await run(['exec', farm.id, 'sh', '-c', 'echo out; echo err >&2; exit 42']);
    assert.deepEqual([code, out.toString(), err], [42, 'out\n', 'err\n']);
    assert.equal(text(await inside('echo', '-n', '--', 'a b', '$HOME', '*')), '-- a b $HOME *');
    for (const status of [0, 1, 2, 127, 255])
        assert.equal((await run(['exec', '-n', farm.id, '--', 'sh', '-c', `exit ${status}`])).code, status);
});

test('exec: a command that a signal ended tells 128 and its number', options, async () => {
    assert.equal((await run(['exec', '-n', farm.id, 'sh', '-c', 'kill -9 $$'])).code, 137);
    assert.equal((await run(['exec', '-n', farm.id, 'sh', '-c', 'kill -TERM $$'])).code, 143);
});

test('exec: the environment, the directory and the user', options, async () => {
    const shown = text(await good(['exec', '-n', '-e', 'A=1 2', '-e', 'B=ü', '-w', '/tmp', '-u', 'user', farm.id,
        'sh', '-c', 'echo "$A|$B|$(pwd)|$(id -un)"']));
    assert.equal(shown, '1 2|ü|/tmp|user');
});

test('exec: bytes through stdin and stdout, unchanged', options, async () => {
    const bytes = crypto.randomBytes(MEGABYTES << 20);
    const { code, out, err } = await run(['exec', farm.id, 'cat'], { input: bytes, ms: 120000 });
    assert.equal(code, 0, err);
    assert.equal(out.length, bytes.length);
    assert.ok(out.equals(bytes), 'the same bytes');
    const both = await run(['exec', farm.id, 'sh', '-c', 'cat >&2; printf "\\0\\377\\n"'], { input: Buffer.from([0, 1, 2, 255]) });
    assert.deepEqual([...both.out], [0, 255, 10]);
});

test('exec: nothing of a command that ends at once is lost', options, async () => {
    const runs = await Promise.all(Array.from({ length: 20 }, (_, i) => inside('sh', '-c', `echo ${i}; echo ${'x'.repeat(1000)}`)));
    assert.deepEqual(runs.map((out) => out.toString()), runs.map((_, i) => `${i}\n${'x'.repeat(1000)}\n`));
});

test('exec: a reader that is slow holds the command back, and gets everything', options, async () => {
    const child = start(['exec', '-n', farm.id, 'sh', '-c', 'head -c 20000000 /dev/zero; echo end']);
    const ended = new Promise((resolve) => child.on('close', resolve));
    await new Promise((resolve) => child.stdout.once('readable', resolve));
    await new Promise((resolve) => setTimeout(resolve, 500)); /* reads nothing meanwhile */
    let size = 0, last;
    child.stdout.on('data', (part) => {
        size += part.length;
        last = part;
    });
    assert.equal(await ended, 0);
    assert.equal(size, 20000004);
    assert.equal(last.subarray(-4).toString(), 'end\n');
});

test('exec: a reader that goes away ends the command', options, async () => {
    const child = start(['exec', '-n', farm.id, 'sh', '-c', 'exec yes gone-reader']);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.stdout.destroy();
    assert.equal(await new Promise((resolve) => child.on('exit', resolve)), 141);
    await untilGone('gone-reader');
});

test('exec: Ctrl-C is the command\'s, and its own end is told', options, async () => {
    const child = start(['exec', '-n', farm.id, 'sh', '-c', 'trap "echo caught; exit 9" INT; echo ready; while :; do sleep 0.1; done']);
    const out = [];
    child.stdout.on('data', (part) => out.push(part));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.kill('SIGINT');
    assert.equal(await new Promise((resolve) => child.on('close', resolve)), 9);
    assert.equal(Buffer.concat(out).toString(), 'ready\ncaught\n');

    const deaf = start(['exec', '-n', farm.id, 'sh', '-c', 'trap "" INT; echo ready; sleep 60']);
    const ended = new Promise((resolve) => deaf.on('close', resolve));
    await new Promise((resolve) => deaf.stdout.once('data', resolve));
    const again = setInterval(() => deaf.kill('SIGINT'), 100); /* signals that wait count once */
    ended.finally(() => clearInterval(again));
    assert.equal(await ended, 130);
});

test('exec: killing the client ends the command', options, async () => {
    const child = start(['exec', '-n', farm.id, 'sh', '-c', 'echo ready; exec sleep 4711']);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.kill('SIGKILL');
    await untilGone('sleep 4711');
});

test('exec -t: a terminal of its own, with a size that follows', options, async () => {
    /* script(1) gives the client a terminal. */
    const command = 'tty; stty size; echo $TERM; read a; echo "[$a]"; stty size; exec sleep 100';
    const child = spawn('script', ['-qec', `stty rows 33 cols 99; ${cli} exec -t ${farm.id} sh -c '${command}'`, '/dev/null'],
        { env: { ...process.env, DESKFARM_URL: farm.daemon.url, TERM: 'vt100' }, stdio: 'pipe' });
    let shown = '';
    child.stdout.on('data', (part) => {
        shown += part;
    });
    const says = (pattern) => eventually(String(pattern), async () => pattern.test(shown), { ms: 60000 })
        .catch((error) => assert.fail(`${error.message}: ${JSON.stringify(shown)}`));
    await says(/\/dev\/pts\/\d+\r\n33 99\r\nvt100\r\n/);
    child.stdin.write('ü\r');
    await says(/\[ü\]\r\n33 99\r\n/);
    child.stdin.write('\x03'); /* a key like others, which the guest's terminal makes a signal of */
    assert.equal(await within(60000, 'the command ends', new Promise((resolve) => child.on('close', resolve))), 130);
});

test('exec: what is wrong is told', options, async () => {
    const fails = async (code, pattern, args) => {
        const result = await run(args);
        assert.equal(result.code, code, result.err);
        assert.match(result.err, pattern);
        assert.equal(result.out.length, 0);
    };
    await fails(127, /not_found/, ['exec', '-n', farm.id, 'no-such-program']);
    await fails(126, /forbidden/, ['exec', '-n', farm.id, '/etc/passwd']);
    await fails(255, /./, ['exec', '-n', '-u', 'nobody-of-that-name', farm.id, 'true']);
    await fails(255, /not_found/, ['exec', '-n', 'sb-aaaaaaaaaaaaaaaa', 'true']);
    await fails(2, /command is missing/, ['exec', '-n', farm.id]);
    await fails(2, /cwd/, ['exec', '-n', '-w', '', farm.id, 'true']);
    await fails(255, /unreachable/, ['exec', '--url', 'http://127.0.0.1:9', '-n', farm.id, 'true']);
});

/* --- The WebSocket below ---------------------------------------------------------------------- */

/** What the daemon says to a client that says `words`: objects, and bytes. */
async function converse(words) {
    const socket = await WebSocketClient.open(farm.daemon.port, `/v1/sandboxes/${farm.id}/exec`);
    for (const word of words)
        socket.send(typeof word === 'string' ? 1 : 2, word);
    await eventually('the daemon\'s Close', async () => socket.close, { ms: 40000, every: 5 });
    socket.send(8, Buffer.from([3, 232]));
    assert.equal(await socket.ended(40000), 1000);
    return socket.messages.filter(({ opcode }) => opcode < 8)
        .map(({ opcode, data }) => opcode === 1 ? JSON.parse(data) : data);
}

test('the WebSocket tells errors as words, whatever comes', options, async () => {
    const failure = async (code, ...words) => {
        const heard = await converse(words);
        assert.equal(heard.at(-1).error?.code, code, `${JSON.stringify(words)}: ${JSON.stringify(heard)}`);
    };
    await failure('bad_json', 'no json');
    await failure('bad_json', Buffer.from([1, 2, 3]));
    await failure('missing_field', '{}');
    await failure('unknown_field', '{"argv": ["true"], "shell": 1}');
    await failure('bad_type', '{"argv": "true"}');
    await failure('bad_value', '{"argv": []}');
    await failure('bad_value', '{"terminal": {"columns": 0, "rows": 1}}');
    await failure('bad_json', '{"argv": ["sleep", "100"]}', '[]');
    await failure('not_found', '{"argv": ["no-such-program"]}');
    const heard = await converse(['{"argv": ["cat"]}', Buffer.from('a\0b'), '{"eof": true}']);
    assert.ok(heard[0].pid > 1);
    assert.deepEqual(heard[1], Buffer.from('\x01a\0b'));
    assert.equal(heard.at(-1).exit, 0);
    const late = await converse(['{"argv": ["sleep", "100"], "timeout_ms": 300}']);
    assert.equal(late.at(-1).timed_out, true);
});

test('the WebSocket is refused to strangers', options, async () => {
    const status = async (id, headers) => {
        const socket = await new WebSocketClient(farm.daemon.port, `/v1/sandboxes/${id}/exec`, { headers }).answered();
        socket.destroy();
        return socket.status;
    };
    assert.equal(await status('sb-aaaaaaaaaaaaaaaa', {}), 404);
    assert.equal(await status(farm.id, { Origin: 'http://evil.example' }), 403);
    assert.equal(await status(farm.id, { 'Sec-WebSocket-Version': '8' }), 400);
    assert.equal((await farm.client.send('GET', `/v1/sandboxes/${farm.id}/exec`)).status, 400);
});

/* --- cp --------------------------------------------------------------------------------------- */

/** A directory of the test's own, removed after it. */
function scratch(t) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-cp-'));
    t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
    return dir;
}

const cp = (from, to, given) => good(['cp', from, to], given);
const remote = (name) => `${farm.id}:${name}`;
const modeOf = (file) => fs.statSync(file).mode & 0o7777;

test('cp: a large file there and back, with its mode', options, async (t) => {
    const dir = scratch(t), bytes = crypto.randomBytes(MEGABYTES << 20);
    fs.writeFileSync(`${dir}/large`, bytes, { mode: 0o640 });
    let start = performance.now();
    assert.equal((await cp(`${dir}/large`, remote('/tmp/large'))).toString(), `/tmp/large\t${bytes.length}\n`);
    const up = performance.now() - start;
    assert.equal(text(await inside('stat', '-c', '%a %s', '/tmp/large')), `640 ${bytes.length}`);
    start = performance.now();
    await cp(remote('/tmp/large'), `${dir}/back`);
    const down = performance.now() - start;
    assert.ok(fs.readFileSync(`${dir}/back`).equals(bytes), 'the same bytes');
    assert.equal(modeOf(`${dir}/back`), 0o640);
    t.diagnostic(`up ${(bytes.length / 1e3 / up).toFixed(1)} MB/s, down ${(bytes.length / 1e3 / down).toFixed(1)} MB/s`);
    await inside('rm', '/tmp/large');
});

test('cp: odd names, empty files, into directories', options, async (t) => {
    const dir = scratch(t);
    await inside('mkdir', '-p', '/tmp/odd');
    const names = ['a b', '-rf', '*', 'ü\n日本', '"\'$(true)`', 'colon:name', '%s\\n', '.hidden'];
    for (const [i, name] of names.entries()) {
        fs.writeFileSync(path.join(dir, name), `${i}`);
        await cp(`${dir}/${name}`, remote('/tmp/odd'));
        await cp(remote(`/tmp/odd/${name}`), path.join(dir, 'back'));
        assert.equal(fs.readFileSync(path.join(dir, 'back'), 'utf8'), `${i}`, name);
    }
    fs.writeFileSync(`${dir}/empty`, '');
    await cp(`${dir}/empty`, remote('/tmp/odd/'));
    await cp(remote('/tmp/odd/empty'), dir);
    assert.equal(fs.statSync(`${dir}/empty`).size, 0);
    assert.equal(text(await inside('sh', '-c', 'ls -A /tmp/odd | wc -l')), String(names.length + 1), 'nothing is left over');
    await inside('rm', '-r', '/tmp/odd');
});

test('cp: a directory there and back: names, modes, links', options, async (t) => {
    const dir = scratch(t);
    fs.mkdirSync(`${dir}/tree/deep/er`, { recursive: true });
    fs.mkdirSync(`${dir}/tree/empty`);
    fs.writeFileSync(`${dir}/tree/run`, '#!/bin/sh\n', { mode: 0o755 });
    fs.writeFileSync(`${dir}/tree/deep/secret`, 'x', { mode: 0o600 });
    fs.writeFileSync(`${dir}/tree/deep/er/${'n'.repeat(200)}`, 'long');
    fs.symlinkSync('deep/secret', `${dir}/tree/link`);
    fs.symlinkSync('/nowhere', `${dir}/tree/dangling`);
    for (let i = 0; i < 300; i++)
        fs.writeFileSync(`${dir}/tree/deep/file${i}`, String(i));
    await cp(`${dir}/tree`, remote('/tmp/tree'));
    assert.equal(text(await inside('cat', `/tmp/tree/deep/er/${'n'.repeat(200)}`)), 'long');
    assert.equal(text(await inside('stat', '-c', '%a', '/tmp/tree/run', '/tmp/tree/deep/secret')), '755\n600');
    await inside('chmod', '4755', '/tmp/tree/run');
    await cp(remote('/tmp/tree'), `${dir}/back`);
    assert.equal(modeOf(`${dir}/back/run`), 0o755, 'and no special bits');
    assert.equal(modeOf(`${dir}/back/deep/secret`), 0o600);
    assert.equal(fs.readlinkSync(`${dir}/back/link`), 'deep/secret');
    assert.equal(fs.readlinkSync(`${dir}/back/dangling`), '/nowhere');
    assert.equal(fs.readdirSync(`${dir}/back/deep`).length, 302);
    assert.deepEqual(fs.readdirSync(`${dir}/back/empty`), []);
    await cp(`${dir}/tree`, remote('/tmp/tree')); /* it exists now: under its own name */
    assert.equal(text(await inside('cat', '/tmp/tree/tree/deep/file299')), '299');
    await cp(`${dir}/tree/.`, remote('/tmp/tree/deep'));
    assert.equal(text(await inside('cat', '/tmp/tree/deep/deep/file7')), '7');
    await inside('rm', '-r', '/tmp/tree');
});

test('cp: standard input and output', options, async (t) => {
    const bytes = crypto.randomBytes(300000), dir = scratch(t);
    assert.equal((await cp('-', remote('/tmp/piped'), { input: bytes })).length > 0, true);
    assert.ok((await cp(remote('/tmp/piped'), '-')).equals(bytes));
    await inside('mkdir', '-p', '/tmp/archive');
    await inside('cp', '/tmp/piped', '/tmp/archive/x');
    fs.writeFileSync(`${dir}/a.tar`, await cp(remote('/tmp/archive'), '-'));
    execFileSync('tar', ['-C', dir, '-xf', `${dir}/a.tar`]);
    assert.ok(fs.readFileSync(`${dir}/x`).equals(bytes));
});

test('cp: as a user, with the user\'s rights', options, async (t) => {
    const dir = scratch(t);
    fs.writeFileSync(`${dir}/mine`, 'x');
    await good(['cp', '-u', 'user', `${dir}/mine`, remote('/tmp/mine')]);
    assert.equal(text(await inside('stat', '-c', '%U', '/tmp/mine')), 'user');
    const { code, err } = await run(['cp', '-u', 'user', `${dir}/mine`, remote('/etc/mine')]);
    assert.equal(code, 1, err);
    assert.match(err, /[Pp]ermission denied/);
});

test('cp: what fails leaves nothing and what was there', options, async (t) => {
    const dir = scratch(t);
    fs.writeFileSync(`${dir}/old`, 'old');
    const fails = async (code, pattern, ...args) => {
        const result = await run(['cp', ...args]);
        assert.equal(result.code, code, result.err);
        assert.match(result.err, pattern);
    };
    await fails(1, /No such file/, remote('/tmp/not-there'), `${dir}/old`);
    await fails(1, /No such file/, `${dir}/not-there`, remote('/tmp/x'));
    await fails(1, /./, remote('/etc/passwd'), `${dir}/no/such/dir`);
    await fails(1, /./, `${dir}/old`, remote('/no/such/dir/x'));
    await fails(2, /one of source/, `${dir}/old`, `${dir}/new`);
    await fails(2, /one of source/, remote('/a'), remote('/b'));
    await fails(2, /needed/, `${dir}/old`);
    await fails(1, /not_found/, 'sb-aaaaaaaaaaaaaaaa:/etc/passwd', `${dir}/old`);
    assert.equal(fs.readFileSync(`${dir}/old`, 'utf8'), 'old');
    assert.deepEqual(fs.readdirSync(dir), ['old']);
    assert.equal((await run(['exec', '-n', farm.id, 'ls', '/tmp/x'])).code, 1);
});

test('cp: ended in the middle, the destination is as it was', options, async (t) => {
    const dir = scratch(t);
    await inside('sh', '-c', 'echo before > /tmp/kept');
    const child = start(['cp', '-', remote('/tmp/kept')]);
    child.stdin.write(crypto.randomBytes(100000));
    await eventually('it is being written', async () => /part/.test((await inside('ls', '/tmp')).toString()), { ms: 40000 });
    child.kill('SIGKILL');
    await untilGone('/tmp/kept');
    assert.equal(text(await inside('cat', '/tmp/kept')), 'before');

    fs.writeFileSync(`${dir}/kept`, 'before');
    const down = start(['cp', remote('/dev/zero'), `${dir}/kept`]);
    await eventually('it is being written', async () => fs.readdirSync(dir).length > 1, { ms: 40000 });
    down.kill('SIGINT');
    assert.notEqual(await new Promise((resolve) => down.on('close', resolve)), 0);
    assert.deepEqual(fs.readdirSync(dir), ['kept']);
    assert.equal(fs.readFileSync(`${dir}/kept`, 'utf8'), 'before');
});

/* --- port ------------------------------------------------------------------------------------- */

/** `deskfarm port`; the number of its local port. */
async function forward(t, spec) {
    const child = start(['port', farm.id, spec]);
    t.after(() => child.kill('SIGKILL'));
    const errors = [];
    child.stderr.on('data', (part) => errors.push(part));
    const line = await within(40000, 'the address', new Promise((resolve) => child.stdout.once('data', resolve)));
    return { child, port: Number(/^127\.0\.0\.1:(\d+)\n$/.exec(line)[1]), errors: () => Buffer.concat(errors).toString() };
}

/** Sends bytes, ends that direction, and returns what comes until the other ends. */
function exchange(port, bytes) {
    return within(120000, 'an exchange', new Promise((resolve, reject) => {
        const parts = [];
        const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.end(bytes));
        socket.on('data', (part) => parts.push(part));
        socket.on('end', () => resolve(Buffer.concat(parts)));
        socket.on('error', reject);
    }));
}

test('port: many connections at once, each with its own bytes, half-closed', options, async (t) => {
    const { port, errors } = await forward(t, String(ECHO));
    const all = await Promise.all(Array.from({ length: 40 }, async (_, i) => {
        const bytes = crypto.randomBytes(1000 + i * 500);
        return (await exchange(port, bytes)).equals(Buffer.concat([bytes, Buffer.from(`[${bytes.length}]`)]));
    }));
    assert.ok(all.every(Boolean), `${all.filter((one) => !one).length} of 40 are wrong\n${errors()}`);
    const large = crypto.randomBytes(4 << 20);
    assert.ok((await exchange(port, large)).subarray(0, large.length).equals(large));
});

test('port: what the guest ends first leaves the other way open', options, async (t) => {
    const { port } = await forward(t, String(SERVER + 2));
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    let text = '';
    socket.on('data', (part) => {
        text += part;
    });
    await within(40000, 'the guest\'s end', new Promise((resolve) => socket.on('end', resolve)));
    assert.equal(text, 'first\n');
    socket.end(crypto.randomBytes(70000));
    await eventually('the bytes that came after', async () => text && (await run(['exec', '-n', farm.id, 'cat', '/tmp/counted'])).out.toString().trim() === '70000', { ms: 40000 });
});

test('port: a chosen local port, loopback only, and it ends when told to', options, async (t) => {
    const free = await new Promise((resolve) => {
        const probe = net.createServer().listen(0, '127.0.0.1', () => {
            const { port } = probe.address();
            probe.close(() => resolve(port));
        });
    });
    const { child, port } = await forward(t, `${free}:${ECHO}`);
    assert.equal(port, free);
    assert.equal((await exchange(port, 'abc')).toString(), 'abc[3]');
    const own = Object.values(os.networkInterfaces()).flat().find(({ family, internal }) => family === 'IPv4' && !internal);
    if (own)
        await assert.rejects(new Promise((resolve, reject) => net.connect(port, own.address, resolve).on('error', reject)));
    const taken = await run(['port', farm.id, `${free}:${ECHO}`]);
    assert.deepEqual([taken.code, /port_in_use/.test(taken.err)], [1, true], taken.err);
    child.kill('SIGTERM');
    await new Promise((resolve) => child.on('exit', resolve));
    await assert.rejects(exchange(port, ''));
});

test('port --stdio: one connection, joined to standard input and output', options, async () => {
    const bytes = Buffer.from('some text\n'.repeat(1000));
    const { code, out, err } = await run(['port', '--stdio', farm.id, String(ECHO)], { input: bytes });
    assert.equal(code, 0, err);
    assert.equal(out.toString(), `${bytes}[10000]`);
    const closed = await run(['port', '--stdio', farm.id, '7004']);
    assert.deepEqual([closed.code, /port_closed/.test(closed.err)], [1, true], closed.err);
    for (const spec of ['x', '0', '65536', '1:2:3', ':', '70000:80'])
        assert.equal((await run(['port', farm.id, spec])).code, 2, spec);
});

test('the daemon\'s unix socket serves them too', options, async () => {
    const env = { DESKFARM_URL: `unix:${farm.daemon.stateDir}/api.sock` };
    assert.equal((await good(['exec', farm.id, 'tr', 'a-z', 'A-Z'], { input: 'text', env })).toString(), 'TEXT');
    assert.equal((await good(['port', '--stdio', farm.id, String(ECHO)], { input: 'text', env })).toString(), 'text[4]');
});

/* --- The lifecycle ---------------------------------------------------------------------------- */

test('pause, resume and metadata', options, async () => {
    assert.equal((await good(['pause', '--no-header', farm.id])).toString(), `${farm.id}\tPaused\n`);
    const refused = await run(['exec', '-n', farm.id, 'true']);
    assert.deepEqual([refused.code, /conflict/.test(refused.err)], [255, true], refused.err);
    assert.equal((await good(['resume', '--no-header', farm.id])).toString(), `${farm.id}\tRunning\n`);
    assert.equal(text(await inside('echo', 'awake')), 'awake');
    assert.equal((await good(['metadata', farm.id, 'a=1', 'b=x=y'])).toString(), 'a\t1\nb\tx=y\n');
    assert.equal((await good(['metadata', farm.id, 'a-'])).toString(), 'b\tx=y\n');
    assert.equal((await good(['metadata', farm.id])).toString(), 'b\tx=y\n');
    assert.equal((await run(['metadata', farm.id, 'nonsense'])).code, 2);
});
