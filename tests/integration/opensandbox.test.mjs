/**
 * OpenSandbox's own SDK, unmodified, against real guests: commands, sessions, files, life. What it does
 * not reach (formats, ranges, refusals, callers who leave) is asked for over plain HTTP.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { raw } from './lib/client.mjs';
import { count, isFull } from './lib/counts.mjs';
import { Daemon, isSanitized, lacksImage, ownMemory } from './lib/daemon.mjs';
import { importTemplate } from './lib/templates.mjs';
import { eventually } from './lib/wait.mjs';

const skip = lacksImage('probe') || lacksNode(20);
const options = { skip, timeout: 300000 };
let daemon, client, sdk, box, connection;

/** The SDK asks for a newer Node than the tests do. */
function lacksNode(major) {
    return parseInt(process.versions.node) >= major ? false : `needs Node ${major}`;
}

before(async () => {
    if (skip)
        return;
    daemon = await Daemon.start();
    client = daemon.client();
    sdk = await import('@alibaba-group/opensandbox');
    connection = { domain: `localhost:${daemon.port}`, requestTimeoutSeconds: 300 };
    box = await create({ env: { OF_THE_BOX: 'yes', BOTH: 'box' }, metadata: { purpose: 'sdk' } });
}, { timeout: 300000 });

after(async () => {
    await box?.close();
    await daemon?.destroy();
}, { timeout: 60000 });

async function create(more = {}) {
    const made = await sdk.Sandbox.create({
        connectionConfig: connection, image: 'probe', timeoutSeconds: 3600, readyTimeoutSeconds: 120,
        resource: { cpu: '1', memory: '512Mi' }, networkPolicy: { defaultAction: 'deny' }, ...more,
    });
    daemon.ids.add(made.id);
    return made;
}

/** Machines that run this may be busy with much else. */
const soon = (what, ask) => eventually(what, ask, { ms: 120000 });

/** What a command did, put together from its events. */
function summary(execution) {
    const join = (messages) => messages.map((message) => message.text).join('');
    return { stdout: join(execution.logs.stdout), stderr: join(execution.logs.stderr), code: execution.exitCode };
}

const run = async (command, more, handlers, signal) => summary(await box.commands.run(command, more, handlers, signal));
const execd = (path) => `/v1/sandboxes/${box.id}/proxy/44772${path}`;
const sha = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Fails with this code of the API. */
function refuses(promise, code) {
    return assert.rejects(promise, (error) => {
        assert.equal(error.error?.code === 'UNEXPECTED_RESPONSE' ? JSON.parse(error.rawBody).code : error.error?.code, code, error.message);
        return true;
    });
}

/* --- Life ------------------------------------------------------------------------------------------ */

test('a sandbox says what it is', options, async () => {
    const info = await box.getInfo();
    assert.equal(info.id, box.id);
    assert.equal(info.status.state, 'Running');
    assert.equal(info.metadata.purpose, 'sdk');
    assert.ok(info.createdAt instanceof Date && info.expiresAt > new Date());
    assert.ok(await box.isHealthy());
});

test('its lease is renewed', options, async () => {
    const { expiresAt } = await box.renew(7200);
    const left = (expiresAt.getTime() - Date.now()) / 1000;
    assert.ok(left > 7100 && left <= 7200, `${left} s`);
    await refuses(box.renew(-5), 'bad_value');
});

test('its labels change', options, async () => {
    const info = await box.patchMetadata({ purpose: 'changed', more: 'x' });
    assert.deepEqual([info.metadata.purpose, info.metadata.more], ['changed', 'x']);
    assert.equal((await box.patchMetadata({ more: null })).metadata.more, undefined);
});

test('it is found by its labels', options, async () => {
    const manager = sdk.SandboxManager.create({ connectionConfig: connection });
    const found = await manager.listSandboxInfos({ metadata: { purpose: 'changed' } });
    assert.deepEqual(found.items.map((item) => item.id), [box.id]);
    await manager.close?.();
});

test('a snapshot: what ran goes on in a sandbox that comes out of it', options, async () => {
    const manager = sdk.SandboxManager.create({ connectionConfig: connection });
    await run('echo before > /tmp/kept; exec sleep 8642 >/dev/null 2>&1 &');
    const snapshot = await manager.createSnapshot(box.id, { name: 'with a sleeper' });
    assert.deepEqual([snapshot.sandboxId, snapshot.name, snapshot.status.state], [box.id, 'with a sleeper', 'Ready']);
    assert.ok(Math.abs(new Date(snapshot.createdAt) - Date.now()) < 600e3);
    const unnamed = await manager.createSnapshot(box.id);
    await run('echo after > /tmp/kept; killall sleep');
    const list = async (filter) => (await manager.listSnapshots(filter)).items.map(({ id }) => id);
    assert.deepEqual(await list({ sandboxId: box.id }), [unnamed.id, snapshot.id]);
    assert.deepEqual(await list({ name: 'with a sleeper' }), [snapshot.id]);
    assert.deepEqual(await list({ states: ['Failed'] }), []);
    assert.deepEqual((await manager.listSnapshots({ page: 2, pageSize: 1 })).pagination,
        { page: 2, pageSize: 1, totalItems: 2, totalPages: 2, hasNextPage: false });
    assert.deepEqual(await manager.getSnapshot(snapshot.id), snapshot);
    const child = await create({ image: undefined, snapshotId: snapshot.id, env: { OWN: 'child' }, metadata: { of: 'it' } });
    const { stdout } = summary(await child.commands.run('cat /tmp/kept; ps | grep -c [8]642; echo $OWN'));
    assert.equal(stdout, 'before\n1\nchild\n');
    assert.equal((await child.getInfo()).metadata.of, 'it');
    assert.equal((await run('cat /tmp/kept')).stdout, 'after\n');
    await refuses(create({ image: undefined, snapshotId: snapshot.id, extensions: { poolRef: 'probe' } }), 'bad_value');
    for (const { id } of [snapshot, unnamed])
        await manager.deleteSnapshot(id);
    await refuses(manager.getSnapshot(snapshot.id), 'not_found');
    await refuses(manager.deleteSnapshot(snapshot.id), 'not_found');
    await refuses(create({ image: undefined, snapshotId: snapshot.id }), 'not_found');
    assert.equal(summary(await child.commands.run('cat /tmp/kept')).stdout, 'before\n', 'it outlives the snapshot');
    await child.kill();
    await child.close();
    await manager.close?.();
});

test('a pool is a template', options, async () => {
    await refuses(create({ extensions: { poolRef: 'probe' } }), 'not_found');
    const { json: template } = await client.call('POST', '/v1/templates', { body: { image: { uri: 'probe' }, network: 'none' } });
    for (const poolRef of ['probe', template.id]) {
        const child = await create({ extensions: { poolRef } });
        assert.equal((await client.get(child.id)).checkpoint, template.id);
        assert.equal(summary(await child.commands.run('echo it runs')).stdout, 'it runs\n');
        await child.kill();
        await child.close();
    }
    await refuses(create({ extensions: { poolRef: 'probe' }, networkPolicy: undefined, image: 'debian-xfce' }), 'bad_value');
    await client.call('DELETE', `/v1/checkpoints/${template.id}`);
});

test('what goes out of it is told, and not changed', options, async () => {
    assert.deepEqual(await box.getEgressPolicy(), { defaultAction: 'deny', egress: [] });
    await refuses(box.patchEgressRules([{ action: 'allow', target: 'example.com' }]), 'unsupported');
    await refuses(box.deleteEgressRules(['example.com']), 'unsupported');
});

test('language kernels are refused clearly', options, async () => {
    for (const [method, path] of [['POST', '/code'], ['POST', '/code/context'], ['GET', '/code/contexts?language=python'],
        ['DELETE', '/code/contexts?language=python'], ['GET', '/code/contexts/x'], ['DELETE', '/code/contexts/x'], ['DELETE', '/code?id=x']]) {
        const answer = await client.send(method, execd(path), method === 'POST' ? { body: { language: 'python', code: '1' } } : {});
        assert.deepEqual([answer.status, answer.json.code], [501, 'unsupported'], `${method} ${path}`);
    }
});

test('sandboxes inside a sandbox are refused clearly', options, async () => {
    assert.equal((await box.isolation.capabilities()).available, false);
    await assert.rejects(box.isolation.list(), /501|unsupported|no sandboxes inside/);
});

/* --- Commands -------------------------------------------------------------------------------------- */

test('output and exit status', options, async () => {
    assert.deepEqual(await run('echo out; echo err >&2'), { stdout: 'out\n', stderr: 'err\n', code: 0 });
    for (const code of [1, 3, 126, 255])
        assert.deepEqual(await run(`printf x; exit ${code}`), { stdout: 'x', stderr: '', code });
    assert.equal((await run('kill -9 $$')).code, 137);
    assert.equal((await run('no-such-program')).code, 127);
});

test('output is streamed while the command runs', options, async () => {
    const talking = box.commands.run('mkfifo /tmp/go; echo waiting; cat /tmp/go; echo done', {}, {
        onInit: (init) => assert.match(init.id, /^cmd-/),
        onStdout: ({ text }) => (text.includes('waiting') ? run('echo through > /tmp/go') : undefined),
    });
    assert.equal(summary(await talking).stdout, 'waiting\nthrough\ndone\n');
});

test('directory, environment, user', options, async () => {
    assert.equal((await run('pwd', { workingDirectory: '/usr' })).stdout, '/usr\n');
    assert.equal((await run('echo $OF_THE_BOX $BOTH $OWN', { envs: { BOTH: 'command', OWN: "it's \"$x\"" } })).stdout,
        'yes command it\'s "$x"\n');
    assert.equal((await run('id -u; id -g', { uid: 1234, gid: 5678 })).stdout, '1234\n5678\n');
    const lost = await box.commands.run('true', { workingDirectory: '/no/such/place' });
    assert.equal(lost.exitCode, null);
    assert.match(lost.error.value, /no\/such\/place/);
});

test('a program with its arguments as they are', options, async () => {
    const text = (await client.call('POST', execd('/command'), { body: { argv: ['printf', '%s|', '$HOME', 'a b', "'"] } })).body.toString();
    assert.match(text, /"text":"\$HOME\|a b\|'\|"/);
});

test('there is no input', options, async () => {
    assert.deepEqual(await run('cat; echo end'), { stdout: 'end\n', stderr: '', code: 0 });
});

test('time is over', options, async () => {
    const start = performance.now();
    const late = await box.commands.run('echo begun; sleep 60', { timeoutSeconds: 0.5 });
    assert.deepEqual(summary(late), { stdout: 'begun\n', stderr: '', code: 143 });
    assert.match(late.error.traceback[0], /time was over/);
    assert.ok(performance.now() - start < 50000);
});

test('interrupted', options, async () => {
    const stopped = await box.commands.run('sleep 60', {}, { onInit: ({ id }) => box.commands.interrupt(id) });
    assert.equal(stopped.exitCode, 130);
    let id;
    const stubborn = await box.commands.run("trap 'echo no' INT TERM; echo set; while :; do sleep 0.1; done", {}, {
        onInit: (init) => { id = init.id; },
        onStdout: ({ text }) => (text.includes('set') ? box.commands.interrupt(id) : undefined),
    });
    assert.equal(stubborn.exitCode, 137);
    await refuses(box.commands.interrupt('cmd-nothing'), 'not_found');
});

test('in the background', options, async () => {
    const { id, complete } = await box.commands.run('mkfifo /tmp/bg; echo one; cat /tmp/bg; echo two >&2; exit 5', { background: true });
    assert.ok(complete);
    const first = await soon('its first line', async () => {
        const logs = await box.commands.getBackgroundCommandLogs(id);
        return logs.content ? logs : undefined;
    });
    assert.deepEqual([first.content, first.cursor], ['one\n', 4]);
    const status = await box.commands.getCommandStatus(id);
    assert.deepEqual([status.running, status.exitCode, status.finishedAt], [true, null, null]);
    await run('echo between > /tmp/bg');
    const end = await soon('its end', async () => {
        const now = await box.commands.getCommandStatus(id);
        return now.running ? undefined : now;
    });
    assert.deepEqual([end.exitCode, end.error], [5, 'exit status 5']);
    assert.ok(end.finishedAt >= end.startedAt);
    assert.equal((await box.commands.getBackgroundCommandLogs(id, first.cursor)).content, 'between\ntwo\n');
    await refuses(box.commands.getCommandStatus('cmd-nothing'), 'not_found');
});

test('one in the background goes on when its caller is gone, one in the foreground does not', options, async () => {
    const leave = new AbortController();
    const left = client.send('POST', execd('/command'), { body: { command: 'exec sleep 4321' }, signal: leave.signal });
    left.catch(() => {});
    await soon('it runs', async () => (await run('ps')).stdout.includes('sleep 4321'));
    leave.abort();
    await assert.rejects(left);
    await box.commands.run('exec sleep 1234', { background: true });
    await soon('the end of the one', async () => !(await run('ps')).stdout.includes('sleep 4321'));
    assert.match((await run('ps')).stdout, /sleep 1234/);
    await run('killall sleep; true');
});

test('the log of a talkative one keeps its end', options, async () => {
    const { id } = await box.commands.run("yes 'a line of many that are written' | head -c 3000000; echo; echo the last",
        { background: true });
    await soon('its end', async () => !(await box.commands.getCommandStatus(id)).running);
    const answer = await client.call('GET', execd(`/command/${id}/logs?cursor=0`));
    const text = answer.body.toString();
    assert.ok(text.endsWith('\nthe last\n'));
    assert.ok(text.length >= 1 << 20 && text.length <= 1.5 * (1 << 20), `${text.length}`);
    assert.equal(Number(answer.headers['x-deskfarm-dropped']) + text.length, Number(answer.headers['execd-commands-tail-cursor']));
});

test('ten megabytes are whole', options, async (t) => {
    await run("head -c 7500000 /dev/urandom > /tmp/random; base64 /tmp/random > /tmp/big");
    const [size, digest] = (await run('wc -c < /tmp/big; sha256sum < /tmp/big')).stdout.split(/\s+/);
    assert.ok(Number(size) > 1e7);
    const start = performance.now();
    const { stdout, code } = await run('cat /tmp/big');
    t.diagnostic(`${size} bytes in ${Math.round(performance.now() - start)} ms`);
    assert.deepEqual([stdout.length, sha(stdout), code], [Number(size), digest, 0]);
});

test('bytes that are no text are replaced, and the event says so', options, async () => {
    const lines = (await client.call('POST', execd('/command'), {
        body: { command: "printf 'a\\377b\\342\\202'; printf '\\254 \\000 \\303'" },
        headers: { accept: 'application/x-ndjson' },
    })).body.toString().trim().split('\n').map((line) => JSON.parse(line));
    const texts = lines.filter((event) => event.type === 'stdout');
    assert.equal(texts.map((event) => event.text).join(''), 'a\ufffdb€ \0 \ufffd');
    assert.ok(texts.some((event) => event.lossy));
    assert.deepEqual([lines[0].type, lines.at(-1).type], ['init', 'execution_complete']);
});

test('commands that end at once lose nothing', options, async (t) => {
    const total = count('shortCommands');
    const bad = [];
    for (let done = 0; done < total; done += 10)
        await Promise.all(Array.from({ length: 10 }, async (_, i) => {
            const n = done + i;
            const { stdout, stderr, code } = await run(`printf %01000d ${n}; printf e${n} >&2; exit ${n % 7}`);
            if (stdout !== String(n).padStart(1000, '0') || stderr !== `e${n}` || code !== n % 7)
                bad.push({ n, stdout: stdout.length, stderr, code });
        }));
    t.diagnostic(`${total} commands`);
    assert.deepEqual(bad, []);
});

test('a caller who does not read holds up nobody else, and costs a bounded amount', options, async () => {
    const before = ownMemory(daemon.pid);
    const slow = net.connect(daemon.port, '127.0.0.1');
    const body = JSON.stringify({ command: 'cat /tmp/big /tmp/big /tmp/big' });
    slow.pause();
    slow.write(`POST ${execd('/command')} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    for (let i = 0; i < 20; i++)
        assert.equal((await run(`echo ${i}`)).stdout, `${i}\n`);
    const grown = ownMemory(daemon.pid) - before;
    assert.ok(isSanitized() || grown < 16 << 20, `${grown} bytes more`);
    slow.destroy();
    await soon('the end of its command', async () => !(await run('ps')).stdout.includes('cat /tmp/big'));
});

test('too many at once are refused, others go on', options, async () => {
    const many = await Promise.all(Array.from({ length: 40 }, () =>
        client.send('POST', execd('/command'), { body: { command: 'exec sleep 777', background: true } })));
    const refused = many.filter((answer) => answer.status !== 200);
    assert.ok(refused.length >= 8 && refused.every((answer) => answer.json.code === 'busy'), `${refused.length}`);
    assert.equal((await run('echo still')).stdout, 'still\n');
    await run('killall sleep; true');
    await soon('room', async () => (await client.send('POST', execd('/command'), { body: { command: 'true', background: true } })).status === 200);
});

const badCommands = {
    'nothing to run': [{}, 'bad_value'],
    'two things to run': [{ command: 'true', argv: ['true'] }, 'bad_value'],
    'an empty command': [{ command: '' }, 'bad_value'],
    'an empty program': [{ argv: [''] }, 'bad_value'],
    'no program': [{ argv: [] }, 'bad_value'],
    'a group without a user': [{ command: 'true', gid: 5 }, 'bad_value'],
    'a user that is no number': [{ command: 'true', uid: 'root' }, 'bad_type'],
    'a negative user': [{ command: 'true', uid: -1 }, 'bad_value'],
    'a negative time': [{ command: 'true', timeout: -1 }, 'bad_value'],
    'a NUL in it': ['{"command":"a\\u0000b"}', 'bad_json'],
    'a long command': [{ command: 'x'.repeat(100000) }, 'bad_value'],
    'an environment of numbers': [{ command: 'true', envs: { A: 1 } }, 'bad_type'],
};
for (const [name, [body, code]] of Object.entries(badCommands)) {
    test(`refused: ${name}`, options, async () => {
        const answer = await client.send('POST', execd('/command'), { body });
        assert.equal(answer.json?.code, code, answer.body.toString());
    });
}

test('a name in the environment that cannot be one is refused by the guest', options, async () => {
    const answer = await client.send('POST', execd('/command'), { body: { command: 'true', envs: { 'A=B': 'x' } } });
    assert.deepEqual([answer.status, answer.json.code], [400, 'bad_value']);
});

/* --- Sessions -------------------------------------------------------------------------------------- */

test('a session keeps its directory, variables and functions', options, async () => {
    const id = await box.commands.createSession({ workingDirectory: '/tmp' });
    const line = async (command, more) => summary(await box.commands.runInSession(id, command, more));
    assert.deepEqual(await line('pwd; echo $OF_THE_BOX'), { stdout: '/tmp\nyes\n', stderr: '', code: 0 });
    await line('cd /usr; X="it\'s kept"; f() { echo "f:$1"; }; export Y=exported');
    assert.equal((await line('pwd; echo "$X"; f 1; sh -c "echo \\$Y"')).stdout, "/usr\nit's kept\nf:1\nexported\n");
    assert.equal((await line('pwd', { workingDirectory: '/proc' })).stdout, '/proc\n');
    assert.equal((await line('pwd')).stdout, '/usr\n');
    assert.deepEqual(await line('printf out; printf err >&2; false'), { stdout: 'out', stderr: 'err', code: 1 });
    assert.equal((await line('read x; echo "[$x]"')).stdout, '[]\n', 'lines do not read what follows them');
    assert.notEqual((await line('if')).code, 0);
    assert.equal((await line('echo "after an error in the syntax"')).stdout, 'after an error in the syntax\n');
    assert.equal((await line('cd /no/such/place')).code !== 0, true);
    assert.equal((await line('pwd', { workingDirectory: '/no/such/place' })).code, 1);
    const big = await line('cat /tmp/big');
    assert.equal(sha(big.stdout), (await run('sha256sum < /tmp/big')).stdout.split(' ')[0]);
    await box.commands.deleteSession(id);
    await refuses(box.commands.runInSession(id, 'true'), 'not_found');
    await refuses(box.commands.deleteSession(id), 'not_found');
});

test('a session is one caller\'s at a time', options, async () => {
    const id = await box.commands.createSession();
    const first = box.commands.runInSession(id, 'echo begun; sleep 1', {}, {
        onStdout: () => refuses(box.commands.runInSession(id, 'true'), 'busy'),
    });
    assert.equal(summary(await first).code, 0);
    await box.commands.deleteSession(id);
});

test('a session whose time is over comes back, or is ended', options, async () => {
    const id = await box.commands.createSession();
    const late = await box.commands.runInSession(id, 'X=1; sleep 60', { timeoutSeconds: 0.3 });
    assert.match(late.error.traceback[0], /time was over/);
    assert.equal(summary(await box.commands.runInSession(id, 'echo $X')).stdout, '1\n');
    const stuck = await box.commands.runInSession(id, 'while :; do :; done', { timeoutSeconds: 0.3 });
    assert.match(stuck.error.value, /did not come back/);
    await refuses(box.commands.runInSession(id, 'true'), 'not_found');
});

test('a session that exits is over', options, async () => {
    const id = await box.commands.createSession();
    assert.equal((await box.commands.runInSession(id, 'echo bye; exit 7')).exitCode, 7);
    await refuses(box.commands.runInSession(id, 'true'), 'not_found');
    await refuses(box.commands.createSession({ workingDirectory: '/no/such/place' }), 'not_found');
});

/* --- Files ----------------------------------------------------------------------------------------- */

test('files are written and read', options, async () => {
    await box.files.writeFiles([
        { path: '/tmp/f/plain.txt', data: 'one\ntwo\nthree\n', mode: 640 },
        { path: '/tmp/f/ünï "code".bin', data: new Uint8Array([0, 255, 13, 10, 45, 45]) },
        { path: '/tmp/f/empty', data: '' },
    ]);
    assert.equal(await box.files.readFile('/tmp/f/plain.txt'), 'one\ntwo\nthree\n');
    assert.deepEqual([...await box.files.readBytes('/tmp/f/ünï "code".bin')], [0, 255, 13, 10, 45, 45]);
    assert.equal((await box.files.readBytes('/tmp/f/empty')).length, 0);
    const info = (await box.files.getFileInfo(['/tmp/f/plain.txt', '/tmp/f']));
    assert.deepEqual([info['/tmp/f/plain.txt'].mode, info['/tmp/f/plain.txt'].size, info['/tmp/f/plain.txt'].type], [640, 14, 'file']);
    assert.equal(info['/tmp/f'].type, 'directory');
    assert.ok(Math.abs(info['/tmp/f/plain.txt'].modifiedAt - Date.now()) < 3600e3);
    await refuses(box.files.getFileInfo(['/tmp/f/plain.txt', '/tmp/f/absent']), 'not_found');
    await refuses(box.files.readFile('/tmp/f/absent'), 'not_found');
    await refuses(box.files.readFile('/tmp/f'), 'bad_value');
    await refuses(box.files.readFile('relative'), 'bad_value');
});

test('parts of a file', options, async () => {
    const part = (range) => box.files.readFile('/tmp/f/plain.txt', { range });
    assert.equal(await part('bytes=4-6'), 'two');
    assert.equal(await part('bytes=8-'), 'three\n');
    assert.equal(await part('bytes=-6'), 'three\n');
    await refuses(part('bytes=14-'), 'bad_value');
    const answer = await client.send('GET', `${execd('/files/download')}?path=/tmp/f/plain.txt`, { headers: { range: 'bytes=0-2' } });
    assert.deepEqual([answer.status, answer.headers['content-range'], answer.headers['content-length'], answer.body.toString()],
        [206, 'bytes 0-2/14', '3', 'one']);
    const outside = await client.send('GET', `${execd('/files/download')}?path=/tmp/f/plain.txt`, { headers: { range: 'bytes=99-' } });
    assert.deepEqual([outside.status, outside.headers['content-range']], [416, 'bytes */14']);
    assert.equal(await box.files.readFile('/tmp/f/plain.txt', { offset: 2, limit: 1 }), 'two\n');
    assert.equal(await box.files.readFile('/tmp/f/plain.txt', { offset: 3 }), 'three\n');
    assert.equal(await box.files.readFile('/tmp/f/plain.txt', { limit: 2 }), 'one\ntwo\n');
    assert.equal(await box.files.readFile('/tmp/f/plain.txt', { offset: 9 }), '');
    const head = await client.send('HEAD', `${execd('/files/download')}?path=/tmp/f/plain.txt`);
    assert.deepEqual([head.status, head.headers['content-length']], [200, '14']);
});

test('a file of the kernel, whose size nobody knows', options, async () => {
    assert.match(await box.files.readFile('/proc/version'), /^Linux version/);
});

test('large files go up and down as they come', options, async () => {
    const piece = Buffer.from(Array.from({ length: 65536 }, (_, i) => (i * i + (i >> 8)) & 255));
    const hash = createHash('sha256');
    async function* pieces() {
        for (let i = 0; i < 320; i++) {
            piece.writeUInt32LE(i, 0);
            hash.update(piece);
            yield Buffer.from(piece);
        }
    }
    const before = ownMemory(daemon.pid);
    await box.files.writeFiles([{ path: '/tmp/large', data: pieces() }]);
    const digest = hash.digest('hex');
    assert.equal((await run('sha256sum < /tmp/large')).stdout.split(' ')[0], digest);
    const back = createHash('sha256');
    let size = 0;
    for await (const chunk of box.files.readBytesStream('/tmp/large')) {
        back.update(chunk);
        size += chunk.length;
    }
    assert.deepEqual([size, back.digest('hex')], [320 * 65536, digest]);
    const grown = ownMemory(daemon.pid) - before;
    assert.ok(isSanitized() || grown < 12 << 20, `${grown} bytes more`);
});

test('an upload that is cut off leaves nothing', options, async () => {
    const socket = net.connect(daemon.port, '127.0.0.1');
    socket.write(`POST ${execd('/files/upload')} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n`
        + 'Content-Length: 1000000\r\n\r\n--x\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{"path":"/tmp/f/torn"}\r\n'
        + '--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nhalf of it');
    await new Promise((resolve) => setTimeout(resolve, 300));
    socket.destroy();
    await soon('nothing of it', async () => !(await run('ls /tmp/f')).stdout.split('\n').includes('torn'));
});

const form = (...parts) => parts.map(([name, content]) => `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${content}\r\n`).join('') + '--x--\r\n';
const upload = (body, type = 'multipart/form-data; boundary=x') =>
    client.send('POST', execd('/files/upload'), { body: Buffer.from(body), headers: { 'content-type': type } });

const torn = (head, path = execd('/files/upload')) =>
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n${head}\r\n`;

test('a caller who asks first is told to go on', options, async () => {
    const body = form(['metadata', '{"path":"/tmp/f/asked"}'], ['file', 'after asking']);
    const socket = net.connect(daemon.port, '127.0.0.1');
    let text = '';
    socket.on('data', (part) => {
        text += part;
        if (text === 'HTTP/1.1 100 Continue\r\n\r\n')
            socket.write(body);
    });
    socket.write(torn(`Content-Length: ${body.length}\r\nExpect: 100-continue\r\n`));
    await soon('an answer', async () => text.includes('HTTP/1.1 200'));
    socket.destroy();
    assert.equal(await box.files.readFile('/tmp/f/asked'), 'after asking');
});

test('an answer that comes before the end of its request is read', options, async () => {
    for (const head of ['Content-Length: 5000000\r\n', 'Transfer-Encoding: chunked\r\n']) {
        const socket = net.connect(daemon.port, '127.0.0.1');
        let text = '';
        socket.on('data', (part) => (text += part));
        socket.on('error', () => {});
        socket.write(torn(head, '/v1/sandboxes/sb-none/proxy/44772/files/upload'));
        for (let i = 0; i < 100 && !socket.destroyed; i++)
            socket.write(head.startsWith('T') ? `8000\r\n${'x'.repeat(32768)}\r\n` : 'x'.repeat(32768));
        await soon('an answer', async () => /404[^]*not_found/.test(text));
        socket.destroy();
    }
});

test('chunks that are none end the connection', options, async () => {
    const text = await raw(daemon.port, `${torn('Transfer-Encoding: chunked\r\n')}zzz\r\n`);
    assert.doesNotMatch(text, /HTTP\/1.1 2/);
    assert.ok(await box.isHealthy());
});

test('HTTP/1.0 gets events without chunks', options, async () => {
    const body = '{"command":"echo old"}';
    const text = await raw(daemon.port, `POST ${execd('/command')} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    assert.doesNotMatch(text, /chunked/i);
    assert.match(text, /\r\n\r\ndata: \{"type":"init"[^]*"text":"old\\n"[^]*execution_complete/);
});

test('half a character is kept until the rest of it comes', options, async () => {
    const command = "mkfifo /tmp/half; printf '\\342'; cat /tmp/half; printf '\\254'";
    const talking = client.call('POST', execd('/command'), { body: { command } });
    await soon('it waits', async () => (await run('ps')).stdout.includes('cat /tmp/half'));
    await run("printf '\\202' > /tmp/half");
    assert.match((await talking).body.toString(), /"text":"€"/);
});

test('a silent command is not forgotten on the way', { ...options, skip: skip || (!isFull && 'takes 11 s; run with DESKFARM_FULL=1') }, async () => {
    const text = (await client.call('POST', execd('/command'), { body: { command: 'sleep 11' } })).body.toString();
    assert.match(text, /"type":"ping"/);
});

test('several files in one form', options, async () => {
    const answer = await upload(form(...Array.from({ length: 30 }, (_, i) =>
        [['metadata', JSON.stringify({ path: `/tmp/many/${i}`, mode: 600, owner: null })], ['file', `content ${i}`]]).flat(), ['other', 'ignored']));
    assert.equal(answer.status, 200, answer.body.toString());
    assert.equal((await run('cat /tmp/many/7 /tmp/many/29; stat -c %a /tmp/many/0')).stdout, 'content 7content 29600\n');
});

const badForms = {
    'no boundary': [form(), 'bad_value', 'multipart/form-data'],
    'another type': [form(), 'media_type', 'application/octet-stream'],
    'no form': ['hello', 'bad_value'],
    'an end too early': [form(['metadata', '{"path":"/tmp/f/x"}']).slice(0, -10), 'bad_value'],
    'no file': [form(['metadata', '{"path":"/tmp/f/x"}']), 'bad_value'],
    'a file without metadata': [form(['file', 'x']), 'bad_value'],
    'metadata that is no JSON': [form(['metadata', '{'], ['file', 'x']), 'bad_json'],
    'metadata without a path': [form(['metadata', '{}'], ['file', 'x']), 'missing_field'],
    'a mode that is not octal': [form(['metadata', '{"path":"/tmp/f/x","mode":999}'], ['file', 'x']), 'bad_value'],
    'a relative path': [form(['metadata', '{"path":"x"}'], ['file', 'x']), 'bad_value'],
    'a path that is a directory': [form(['metadata', '{"path":"/tmp"}'], ['file', 'x']), null],
    'much metadata': [form(['metadata', `{"path":"${'x'.repeat(20000)}"}`], ['file', 'x']), 'too_large'],
};
for (const [name, [body, code, type]] of Object.entries(badForms)) {
    test(`refused: a form with ${name}`, options, async () => {
        const answer = await upload(body, type);
        assert.ok(answer.status >= 400 && answer.status < 600, `${answer.status}`);
        if (code)
            assert.equal(answer.json.code, code, answer.body.toString());
    });
}

test('directories are made, listed and removed', options, async () => {
    await box.files.createDirectories([{ path: '/tmp/d/a/b', mode: 750 }, { path: '/tmp/d/c' }]);
    await run('touch /tmp/d/a/z /tmp/d/a.txt; ln -s /tmp /tmp/d/link');
    const list = await box.files.listDirectory({ path: '/tmp/d', depth: 2 });
    assert.deepEqual(list.map((entry) => [entry.path, entry.type]), [['/tmp/d/a', 'directory'], ['/tmp/d/a/b', 'directory'],
        ['/tmp/d/a/z', 'file'], ['/tmp/d/a.txt', 'file'], ['/tmp/d/c', 'directory'], ['/tmp/d/link', 'symlink']]);
    assert.equal(list[1].mode, 750);
    assert.deepEqual((await box.files.listDirectory({ path: '/tmp/d' })).length, 4);
    await refuses(box.files.listDirectory({ path: '/tmp/d/absent' }), 'not_found');
    await box.files.deleteDirectories(['/tmp/d/a', '/tmp/d/absent']);
    assert.deepEqual((await box.files.listDirectory({ path: '/tmp/d' })).length, 3);
});

test('files are moved, changed, found and removed', options, async () => {
    await run('mkdir -p /tmp/m/in; cd /tmp/m; echo a-x-b-x > one.txt; echo x > in/two.txt; echo y > in/three.log');
    await box.files.moveFiles([{ src: '/tmp/m/one.txt', dest: '/tmp/m/in/one.txt' }]);
    await refuses(box.files.moveFiles([{ src: '/tmp/m/one.txt', dest: '/tmp/m/x' }]), 'not_found');
    const found = async (pattern) => (await box.files.search({ path: '/tmp/m', pattern })).map((file) => file.path).sort();
    assert.deepEqual(await found('*.txt'), ['/tmp/m/in/one.txt', '/tmp/m/in/two.txt']);
    assert.deepEqual(await found('**/*.log'), ['/tmp/m/in/three.log']);
    assert.deepEqual((await found(undefined)).length, 3);
    assert.deepEqual(await found('in/*.txt'), ['/tmp/m/in/one.txt', '/tmp/m/in/two.txt']);
    await box.files.setPermissions([{ path: '/tmp/m/in/one.txt', mode: 4711, owner: 'root' }]);
    assert.equal((await box.files.getFileInfo(['/tmp/m/in/one.txt']))['/tmp/m/in/one.txt'].mode, 4711);
    await box.files.replaceContents([{ path: '/tmp/m/in/two.txt', oldContent: 'x', newContent: 'z' }]);
    assert.equal(await box.files.readFile('/tmp/m/in/two.txt'), 'z\n');
    assert.deepEqual(await box.files.replaceContentsDetailed([
        { path: '/tmp/m/in/one.txt', oldContent: 'x', newContent: '' }, { path: '/tmp/m/in/two.txt', oldContent: 'x', newContent: 'y' }]),
    [{ path: '/tmp/m/in/one.txt', replacedCount: 2 }, { path: '/tmp/m/in/two.txt', replacedCount: 0 }]);
    await refuses(box.files.deleteFiles(['/tmp/m/in']), 'bad_value');
    await box.files.deleteFiles(['/tmp/m/in/one.txt', '/tmp/m/in/two.txt']);
    await refuses(box.files.deleteFiles(['/tmp/m/in/one.txt']), 'not_found');
    assert.deepEqual((await found(undefined)).length, 1);
});

const badFiles = {
    'a mode that is not octal': ['POST', '/files/permissions', { '/tmp/f': { mode: 888 } }, 'bad_value'],
    'permissions that are no object': ['POST', '/files/permissions', { '/tmp/f': 755 }, 'bad_type'],
    'moves that are no array': ['POST', '/files/mv', { src: '/a', dest: '/b' }, 'bad_json'],
    'a move without a target': ['POST', '/files/mv', [{ src: '/a' }], 'missing_field'],
    'an unknown user': ['POST', '/files/permissions', { '/tmp/f': { mode: 755, owner: 'nobody-here' } }, 'bad_value'],
    'nothing to replace': ['POST', '/files/replace', { '/tmp/f/plain.txt': { old: '', new: 'x' } }, 'bad_value'],
    'a search of nothing': ['GET', '/files/search', undefined, 'missing_field'],
    'a depth that is no number': ['GET', '/directories/list?path=/tmp&depth=x', undefined, 'bad_value'],
    'lines and a range at once': ['GET', '/files/download?path=/tmp/f/plain.txt&offset=1', undefined, 'bad_value', { range: 'bytes=0-1' }],
};
for (const [name, [method, path, body, code, headers]] of Object.entries(badFiles)) {
    test(`refused: ${name}`, options, async () => {
        const answer = await client.send(method, execd(path), { body, headers });
        assert.equal(answer.json?.code, code, answer.body.toString());
    });
}

/* --- Measures -------------------------------------------------------------------------------------- */

test('metrics, once and again', options, async () => {
    const metrics = await box.getMetrics();
    assert.equal(metrics.cpuCount, 1);
    assert.ok(metrics.memoryTotalMiB > 300 && metrics.memoryUsedMiB > 5 && metrics.memoryUsedMiB < metrics.memoryTotalMiB);
    assert.ok(metrics.cpuUsedPercentage >= 0 && metrics.cpuUsedPercentage <= 100);
    assert.ok(Math.abs(metrics.timestamp - Date.now()) < 60000);
    const watching = await fetch(`${daemon.url}${execd('/metrics/watch')}`);
    assert.equal(watching.headers.get('content-type'), 'text/event-stream');
    let text = '';
    for await (const chunk of watching.body) {
        text += Buffer.from(chunk).toString();
        if (text.split('\n\n').length > 2)
            break;
    }
    assert.equal(JSON.parse(/^data: (.*)$/m.exec(text)[1]).cpu_count, 1);
});

/* --- Keys ------------------------------------------------------------------------------------------ */

test('a key reaches its own sandboxes only, by any of its headers', options, async () => {
    const other = await Daemon.start();
    const admin = other.client();
    const keys = {};
    for (const [name, role] of [['one', 'operator'], ['two', 'operator'], ['eyes', 'viewer'], ['admin', 'admin']])
        keys[name] = (await other.client(name === 'one' ? {} : { key: keys.admin ?? keys.one }).send('POST', '/v1/keys',
            { body: { name, role: name === 'one' ? 'admin' : role } })).json.key;
    const mine = await other.client({ key: keys.two }).create('probe');
    const path = `/v1/sandboxes/${mine.id}/proxy/44772/files/info?path=/`;
    const status = async (headers) => (await admin.send('GET', path, { headers })).status;
    assert.equal(await status({}), 401);
    assert.equal(await status({ 'x-execd-access-token': 'wrong' }), 401);
    assert.equal(await status({ 'x-execd-access-token': keys.eyes }), 403);
    assert.ok([200, 503].includes(await status({ 'x-execd-access-token': keys.two })));
    assert.ok([200, 503].includes(await status({ 'open-sandbox-api-key': keys.two })));
    const third = (await other.client({ key: keys.one }).call('POST', '/v1/keys', { body: { name: 'third', role: 'operator' } })).json.key;
    assert.equal(await status({ 'open-sandbox-api-key': third }), 404);
    await other.destroy();
});

/* --- A whole distribution ---------------------------------------------------------------------------- */

test('a guest with bash, packages and users', { skip: skip || lacksImage('debian-xfce'), timeout: 300000 }, async () => {
    const template = await importTemplate(client, 'debian-xfce');
    const debian = await create({ image: 'debian-xfce', resource: { cpu: '2', memory: '2Gi' }, readyTimeoutSeconds: 240,
        extensions: template ? { poolRef: template.id } : {} });
    const inside = async (command, more) => summary(await debian.commands.run(command, more));
    assert.deepEqual(await inside('a=(one two); echo "${a[1]}" "${BASH_VERSION%%.*}"'), { stdout: 'two 5\n', stderr: '', code: 0 });
    assert.equal((await inside('echo ~ "$USER" "$(id -un)"', { uid: 1000 })).stdout.trim().split(' ')[0].startsWith('/home/'), true);
    const id = await debian.commands.createSession();
    await debian.commands.runInSession(id, 'declare -A map=([key]="kept"); shopt -s globstar');
    assert.equal(summary(await debian.commands.runInSession(id, 'echo "${map[key]}"')).stdout, 'kept\n');
    await debian.files.writeFiles([{ path: '/home/desk.txt', data: 'ünïcode\n', owner: 'root', group: 'root', mode: 644 }]);
    assert.equal((await inside('cat /home/desk.txt; stat -c "%U:%G %a" /home/desk.txt')).stdout, 'ünïcode\nroot:root 644\n');
    const whole = await inside('dpkg-query -W | sha256sum; dpkg-query -W');
    const [sum, ...lines] = whole.stdout.split('\n');
    assert.equal(sha(lines.join('\n')), sum.split(' ')[0]);
    assert.ok((await debian.files.search({ path: '/usr/lib/x86_64-linux-gnu', pattern: 'lib*.so*' })).length > 100);
    await debian.kill();
    await debian.close();
});

/* --- Last: it is paused and ended ------------------------------------------------------------------- */

test('pause and resume: the guest goes on where it was', options, async () => {
    const { id } = await box.commands.run('i=0; while :; do i=$((i+1)); echo $i > /tmp/counter; sleep 0.05; done', { background: true });
    await soon('it counts', async () => Number((await run('cat /tmp/counter')).stdout) > 3);
    await box.pause();
    await soon('paused', async () => (await box.getInfo()).status.state === 'Paused');
    await assert.rejects(box.commands.run('true'));
    assert.equal(await box.isHealthy(), false);
    const again = await box.resume({ readyTimeoutSeconds: 120 });
    const before = Number(summary(await again.commands.run('cat /tmp/counter')).stdout);
    await soon('it counts on', async () => Number(summary(await again.commands.run('cat /tmp/counter')).stdout) > before);
    assert.equal(await again.files.readFile('/tmp/f/plain.txt'), 'one\ntwo\nthree\n');
    await again.commands.interrupt(id);
});

test('an upload waits for a guest that is paused', isFull ? options : { skip: 'only with --full' }, async () => {
    const seconds = isFull ? 25 : 1;
    const data = Buffer.alloc(20e6, 'abcdefghij');
    const up = box.files.writeFiles([{ path: '/tmp/waits', data }]).then(() => 'done', (error) => error);
    await soon('it began', async () => (await run('ls -a /tmp')).stdout.includes('waits'));
    await box.pause();
    await soon('paused', async () => (await box.getInfo()).status.state === 'Paused');
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const again = await box.resume({ readyTimeoutSeconds: 120 });
    assert.equal(await up, 'done');
    assert.equal((await again.files.getFileInfo(['/tmp/waits']))['/tmp/waits'].size, data.length);
});

test('kill: it is gone, and what it was asked fails', options, async () => {
    let running;
    await new Promise((resolve) => {
        running = box.commands.run('sleep 60', {}, { onInit: resolve }).catch((error) => error);
    });
    await box.kill();
    assert.match((await running).error.value, /gone|ended|closed/);
    await soon('gone', async () => (await client.send('GET', `/v1/sandboxes/${box.id}`)).status === 404);
    await refuses(box.commands.run('true'), 'not_found');
    assert.equal(await box.isHealthy(), false);
});
