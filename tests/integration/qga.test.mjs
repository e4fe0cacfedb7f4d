/**
 * A guest whose image has only the QEMU guest agent: commands, files, facts, freezing and the clock go by it, and
 * what it cannot do says so. The image is debian-xfce under another description, so that deskfarm-agent is
 * there and not asked.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lacksImage } from './lib/daemon.mjs';
import { useOwnImages } from './lib/images.mjs';
import { eventually } from './lib/wait.mjs';

const skip = lacksImage('debian-xfce');
const options = { skip, timeout: 120000 };
let daemon, client, id;

/* Its desktop is of no use here, and takes long to start. */
const changes = ({ cmdline }) => ({ agent: 'qemu', cmdline: `${cmdline} systemd.unit=multi-user.target` });

useOwnImages(skip, (cache) => cache.describeAnew('only-qga', 'debian-xfce', changes), async (farm) => {
    ({ daemon, client } = farm);
    ({ id } = await client.create('only-qga', { env: { GREETING: 'hello' } }));
    await client.waitState(id, 'Running');
    await eventually('the agent is ready', async () => (await client.get(id)).agent === 'ready', { ms: 240000, every: 500 });
});

const execd = (method, rest, request, of = id) => client.send(method, `/v1/sandboxes/${of}/proxy/44772${rest}`, request);

/** What a command did, from its NDJSON events. */
async function run(body, of = id) {
    const answer = await execd('POST', '/command', { body, headers: { accept: 'application/x-ndjson' } }, of);
    if (answer.status >= 300)
        return { status: answer.status, code: answer.json?.code };
    const events = answer.body.toString().split('\n').filter((line) => line).map((line) => JSON.parse(line));
    const join = (type) => events.filter((event) => event.type === type).map((event) => event.text).join('\n');
    const error = events.find((event) => event.type === 'error');
    return { stdout: join('stdout'), stderr: join('stderr'), error: error?.error ?? error, events };
}

test('commands run, with environment, directory and user', options, async () => {
    const one = await run({ command: 'echo $GREETING; pwd; id -u; echo oops >&2', cwd: '/usr', uid: 1000 });
    assert.match(one.stdout, /hello\n+\/usr\n+1000/);
    assert.match(one.stderr, /oops/);
    const two = await run({ command: 'exit 3' });
    assert.match(JSON.stringify(two.error), /"3"|status 3/);
});

test('twenty commands in a row lose nothing', options, async () => {
    for (let i = 0; i < 20; i++)
        assert.equal((await run({ command: `printf %s ${i}` })).stdout.trim(), String(i));
});

test('what has more output than it can hand over says so', options, async () => {
    const { events } = await run({ command: 'head -c 4000000 /dev/zero' });
    assert.match(JSON.stringify(events), /too_large|more than/);
    assert.equal((await run({ command: 'echo on' })).stdout.trim(), 'on');
});

test('a paused guest gets the time when it goes on', options, async () => {
    await client.call('POST', `/v1/sandboxes/${id}/pause`);
    await client.waitState(id, 'Paused', 10000);
    await new Promise((resolve) => setTimeout(resolve, 4000));
    await client.call('POST', `/v1/sandboxes/${id}/resume`);
    await client.waitState(id, 'Running', 10000);
    await eventually('its clock is right', async () => {
        const before = Date.now() / 1000;
        const { stdout } = await run({ command: 'date +%s.%N' });
        return Number(stdout) > before - 0.5 && Number(stdout) < Date.now() / 1000 + 0.5;
    }, { ms: 20000 });
});

const upload = async (name, data, more = {}) => {
    const form = new FormData();
    form.append('metadata', new Blob([JSON.stringify({ path: name, ...more })]), 'metadata');
    form.append('file', new Blob([data]), 'file');
    const request = new Request('http://x/', { method: 'POST', body: form });
    return execd('POST', '/files/upload', { body: Buffer.from(await request.arrayBuffer()),
        headers: { 'content-type': request.headers.get('content-type') } });
};
const download = (name) => execd('GET', '/files/download', { query: { path: name } });

test('it tells its system and its network', options, async () => {
    const { json } = await client.call('GET', `/v1/sandboxes/${id}/guest`);
    const { stdout } = await run({ command: 'hostname; uname -r; cat /sys/class/net/lo/address' });
    const [name, kernel, mac] = stdout.split(/\n+/);
    assert.equal(json.os.id, 'debian');
    assert.equal(json.os.kernel, kernel);
    assert.equal(json.hostname, name);
    const loopback = json.interfaces.find((it) => it.name === 'lo');
    assert.ok(loopback.addresses.some(({ address, prefix }) => address === '127.0.0.1' && prefix === 8));
    assert.ok([mac, null].includes(loopback.mac));
});

test('files go both ways, whole, with mode and owner, into new directories', options, async () => {
    const bytes = Buffer.from(Array.from({ length: 300000 }, (_, i) => (i * 11) & 255));
    const put = await upload('/tmp/new/deep/file', bytes, { mode: 640, owner: 'user' });
    assert.equal(put.status, 200, put.body.toString());
    assert.ok((await download('/tmp/new/deep/file')).body.equals(bytes));
    assert.match((await run({ command: 'stat -c "%a %U" /tmp/new/deep/file; ls /tmp/new/deep' })).stdout, /^640 user\n+file\s*$/);
    await upload('/tmp/new/deep/file', 'short'); /* keeps what the one before had */
    assert.match((await run({ command: 'stat -c "%a %U %s" /tmp/new/deep/file' })).stdout, /^640 user 5\s*$/);
});

test('files are described, moved and removed', options, async () => {
    await upload('/tmp/tree/a', 'a', { mode: 600 });
    const { json } = await execd('GET', '/files/info', { query: { path: '/tmp/tree/a' } });
    assert.deepEqual([json['/tmp/tree/a'].size, json['/tmp/tree/a'].mode, json['/tmp/tree/a'].owner], [1, 600, 'root']);
    assert.equal((await execd('POST', '/files/mv', { body: [{ src: '/tmp/tree/a', dest: '/tmp/tree/b c' }] })).status, 200);
    assert.equal((await download('/tmp/tree/b c')).body.toString(), 'a');
    assert.equal((await execd('DELETE', '/files', { query: { path: '/tmp/tree/b c' } })).status, 200);
    assert.equal((await download('/tmp/tree/b c')).json.code, 'not_found');
});

test('errors of files have the API\'s codes, and nothing is left over', options, async () => {
    assert.deepEqual((await download('/no/such')).json.code, 'not_found');
    assert.deepEqual((await download('relative')).json.code, 'bad_value');
    const onto = await upload('/usr', 'x');
    assert.equal(onto.json.code, 'bad_value', onto.body.toString());
    assert.equal((await run({ command: 'ls -d /usr*.part 2>/dev/null | wc -l' })).stdout.trim(), '0');
});

test('what it cannot do says why', options, async () => {
    const list = await execd('GET', '/directories/list', { query: { path: '/tmp' } });
    assert.equal(list.json.code, 'unsupported');
    const session = await execd('POST', '/session', { body: {} });
    assert.match(session.json.message, /no sessions/);
});

test('a checkpoint holds its file systems still; guest and fork write on', { ...options, timeout: 240000 }, async () => {
    await run({ command: 'echo before > /root/mark' });
    const checkpoint = (await client.call('POST', `/v1/sandboxes/${id}/checkpoints`, { body: { freeze: true } })).json;
    assert.equal(checkpoint.frozen, true, JSON.stringify(checkpoint));
    assert.match((await run({ command: 'echo after > /root/mark && sync && cat /root/mark' })).stdout, /after/);
    const { items } = (await client.call('POST', `/v1/checkpoints/${checkpoint.id}/fork`, { body: { count: 1 } })).json;
    const fork = items[0].id;
    daemon.ids.add(fork);
    await eventually('its agent is ready', async () => (await client.get(fork)).agent === 'ready', { ms: 60000, every: 200 });
    const { stdout } = await run({ command: 'cat /root/mark; echo fork > /root/mark && sync && cat /root/mark' }, fork);
    assert.match(stdout, /before\n+fork/);
    assert.match(daemon.log, /its file systems were frozen: thawed/);
    const now = Number((await run({ command: 'date +%s' }, fork)).stdout);
    assert.ok(Math.abs(now - Date.now() / 1000) < 30, `the fork's clock is ${now}`);
    await client.call('DELETE', `/v1/sandboxes/${fork}`);
});
