/** The life of sandboxes and of the daemon, and what is left when either ends badly. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, test } from 'node:test';
import { count } from './lib/counts.mjs';
import { countFds, Daemon, findProcesses, isSanitized, lacksImage, ownMemory } from './lib/daemon.mjs';
import { Probe } from './lib/probe.mjs';
import { decodePng } from './lib/png.mjs';
import { pattern } from './lib/probe.mjs';
import { eventually } from './lib/wait.mjs';

const options = { skip: lacksImage('probe'), timeout: 240000 };
let daemon, client, probe;

after(async () => {
    probe?.close();
    await daemon?.destroy();
}, { timeout: 60000 });

async function ensureProbe() {
    daemon ??= await Daemon.start();
    client ??= daemon.client();
    probe ??= await Probe.create(daemon, client, { boot: 'cold', metadata: { purpose: 'lifecycle' } });
}

const actionsPath = () => `/v1/sandboxes/${probe.id}/desktop/actions`;

/** QEMU's process of a sandbox, without those that made its jail. */
function qemuPids(id) {
    return findProcesses(id).filter((pid) => {
        try {
            return fs.readlinkSync(`/proc/${pid}/exe`).includes('qemu-system');
        } catch {
            return false;
        }
    });
}

async function assertNothingHeld() {
    await eventually('everything is released', async () => {
        const { keys, buttons } = await probe.held();
        return keys.length === 0 && buttons.length === 0;
    }, { ms: 3000 });
}

test('create answers at once, and the sandbox comes up', options, async (t) => {
    daemon = await Daemon.start();
    client = daemon.client();
    const start = performance.now();
    const made = await client.create('probe', { metadata: { purpose: 'lifecycle', n: '1' }, timeout: 3600 });
    const answered = performance.now() - start;
    assert.match(made.id, /^sb-/);
    assert.ok(['Pending', 'Running'].includes(made.status.state));
    assert.ok(!Number.isNaN(Date.parse(made.createdAt)) && Date.parse(made.expiresAt) > Date.now());
    await client.waitState(made.id, 'Running');
    const running = performance.now() - start;
    probe = await Probe.attach(daemon, made.id);
    t.diagnostic(`answered in ${answered.toFixed(0)} ms, running in ${running.toFixed(0)} ms, X after ${(performance.now() - start).toFixed(0)} ms`);
});

test('a screenshot while the guest boots is a picture or a clear "not ready"', options, async () => {
    const { id } = await client.create('probe');
    const answer = await client.send('GET', `/v1/sandboxes/${id}/desktop/screenshot`);
    assert.ok(answer.status === 200 || (answer.status === 503 && answer.json.code === 'not_ready'), `${answer.status}`);
    await client.delete(id);
    await eventually('it is gone', async () => (await client.send('GET', `/v1/sandboxes/${id}`)).status === 404);
});

test('list, filter by state and metadata, pages', options, async () => {
    await ensureProbe();
    const list = async (query) => (await client.call('GET', `/v1/sandboxes?${query}`)).json;
    assert.deepEqual((await list('')).items.map((s) => s.id), [probe.id]);
    assert.equal((await list('state=Running')).items.length, 1);
    assert.equal((await list('state=Failed&state=Terminated')).items.length, 0);
    assert.equal((await list('metadata=purpose%3Dlifecycle')).items.length, 1);
    assert.equal((await list('metadata=purpose%3Dother')).items.length, 0);
    const empty = await list('page=2&pageSize=1');
    assert.deepEqual([empty.items, empty.pagination.totalItems, empty.pagination.hasNextPage], [[], 1, false]);
});

test('the endpoint of the desktop\'s page is served', options, async () => {
    const { json } = await client.call('GET', `/v1/sandboxes/${probe.id}/endpoints/6080`);
    assert.match(json.endpoint, new RegExp(`:${daemon.port}/`));
    assert.equal((await client.send('GET', json.endpoint.replace(/^[^/]*/, ''))).status, 200);
});

test('a client that goes away in the middle of a chord leaves nothing held', options, async () => {
    for (let i = 0; i < count('tornActions'); i++) {
        const from = probe.mark();
        const abort = new AbortController();
        const torn = client.send('POST', actionsPath(), { signal: abort.signal, body: { actions: [
            { type: 'hold_key', keys: 'ctrl+shift+x', duration_ms: 30000 }] } });
        torn.catch(() => {});
        await probe.until((e) => e.ev === 'key' && e.down && e.keysym.toLowerCase() === 'x', { from });
        abort.abort();
        await assert.rejects(torn);
        await probe.until((e) => e.ev === 'key' && !e.down && e.keysym === 'Control_L', { from });
        await assertNothingHeld();
    }
});

test('… or in the middle of a drag', options, async () => {
    for (let i = 0; i < count('tornActions'); i++) {
        const from = probe.mark();
        const socket = net.connect(daemon.port, '127.0.0.1');
        const path = Array.from({ length: 200 }, (_, n) => [100 + n * 5, 100 + (n % 2) * 50]);
        const body = JSON.stringify({ actions: [{ type: 'drag', path, step_ms: 100, keys: ['shift'] }] });
        socket.on('error', () => {});
        socket.write(`POST ${actionsPath()} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`
            + `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
        await probe.until((e) => e.ev === 'motion' && e.mods & 0x100, { from });
        if (i % 2)
            socket.destroy();
        else
            socket.resetAndDestroy();
        await probe.until((e) => e.ev === 'button' && !e.down, { from });
        await assertNothingHeld();
    }
});

test('a second batch is busy, or waits when it may', options, async () => {
    const slow = client.act(probe.id, { type: 'hold_key', keys: 'x', duration_ms: 1000 });
    const from = probe.mark();
    await probe.until((e) => e.ev === 'key' && e.down, { from: Math.max(0, from - 5) });
    const body = { actions: [{ type: 'key', keys: 'b' }], settle: false, screenshot: false };
    const busy = await client.send('POST', actionsPath(), { body });
    assert.deepEqual([busy.status, busy.json.code], [409, 'busy']);
    const queued = await client.send('POST', actionsPath(), { body: { ...body, queue_ms: 5000 } });
    assert.equal(queued.status, 200);
    await slow;
    const story = (await probe.received(client, from)).filter((e) => e.ev === 'key' && !e.repeat)
        .map((e) => e.keysym + (e.down ? '+' : '-'));
    assert.deepEqual(story.slice(story.indexOf('x-')), ['x-', 'b+', 'b-'], 'one after the other');
});

test('an Idempotency-Key makes a repeated batch happen once', options, async () => {
    const headers = { 'idempotency-key': 'type-once' };
    const body = { actions: [{ type: 'type', text: 'once' }], settle: false, screenshot: false };
    const mark = probe.mark();
    const first = await client.send('POST', actionsPath(), { headers, body });
    const second = await client.send('POST', actionsPath(), { headers, body });
    assert.deepEqual([first.status, second.status], [200, 200]);
    assert.deepEqual(second.json, first.json);
    assert.equal(second.headers['idempotency-replayed'], 'true');
    const typed = (await probe.received(client, mark)).filter((e) => e.ev === 'key' && e.down).map((e) => e.text).join('');
    assert.equal(typed, 'once');
    const other = await client.send('POST', actionsPath(), { headers, body: { ...body, queue_ms: 1 } });
    assert.deepEqual([other.status, other.json.code], [422, 'idempotency_mismatch']);
});

test('… and a repeated create makes one sandbox', options, async () => {
    const headers = { 'idempotency-key': 'create-once' };
    const body = { image: { uri: 'probe' }, network: 'none' };
    const made = [];
    for (let i = 0; i < 3; i++)
        made.push((await client.call('POST', '/v1/sandboxes', { headers, body })).json.id);
    assert.equal(new Set(made).size, 1);
    daemon.ids.add(made[0]);
    await client.delete(made[0]);
});

test('a daemon killed with SIGKILL finds its guest again: screenshot, click, held keys released', options, async () => {
    await client.act(probe.id, [{ type: 'key_down', keys: 'shift' }, { type: 'button_down', x: 40, y: 40 }]);
    await eventually('the guest holds them', async () => (await probe.held()).buttons.length === 1);
    const before = qemuPids(probe.id);
    await daemon.kill();
    assert.deepEqual(qemuPids(probe.id), before, 'the guest outlives the daemon');
    await daemon.start();
    client = daemon.client();
    const found = await client.waitState(probe.id, 'Running', 20000);
    assert.equal(found.metadata.purpose, 'lifecycle');
    await assertNothingHeld();
    await probe.clear();
    await client.call('POST', `/v1/sandboxes/${probe.id}/desktop/wait`, { body: { for: 'settled' } });
    const { body } = await client.shot(probe.id, { cursor: false });
    assert.equal(decodePng(body).differences(pattern).n, 0);
    const mark = probe.mark();
    await client.act(probe.id, { type: 'click', x: 777, y: 333 });
    const clicks = (await probe.received(client, mark)).filter((e) => e.ev === 'button');
    assert.deepEqual(clicks.map((e) => [e.down, e.x, e.y]), [[true, 777, 333], [false, 777, 333]]);
});

test('SIGKILL in the middle of a drag, too', options, async () => {
    const from = probe.mark();
    const path = Array.from({ length: 200 }, (_, n) => [100 + n * 5, 100]);
    client.act(probe.id, { type: 'drag', path, step_ms: 100 }).catch(() => {});
    await probe.until((e) => e.ev === 'motion' && e.mods & 0x100, { from });
    await daemon.kill();
    await daemon.start();
    client = daemon.client();
    await client.waitState(probe.id, 'Running', 20000);
    await assertNothingHeld();
});

test('SIGTERM without --stop-guests leaves them running for the next daemon', options, async () => {
    daemon.options.keepGuests = true;
    await daemon.kill();
    await daemon.start();
    await daemon.stop();
    assert.equal(qemuPids(probe.id).length, 1);
    daemon.options.keepGuests = false;
    await daemon.start();
    client = daemon.client();
    await client.waitState(probe.id, 'Running', 20000);
    assert.equal((await client.shot(probe.id)).status, 200);
});

test('a lease that ends removes the sandbox; renewing moves its end', options, async () => {
    const { id } = await client.create('probe', { timeout: 60 });
    const soon = new Date(Date.now() + 1500).toISOString();
    const { json } = await client.call('POST', `/v1/sandboxes/${id}/renew-expiration`, { body: { expiresAt: soon } });
    assert.ok(Math.abs(Date.parse(json.expiresAt) - Date.parse(soon)) < 1000);
    await eventually('the sandbox is gone', async () => (await client.send('GET', `/v1/sandboxes/${id}`)).status === 404);
    await eventually('and its files and processes', async () =>
        !fs.existsSync(daemon.sandboxDir(id)) && findProcesses(id).length === 0);
    const past = { expiresAt: '2001-01-01T00:00:00Z' };
    const answer = await client.send('POST', `/v1/sandboxes/${probe.id}/renew-expiration`, { body: past });
    assert.deepEqual([answer.status, answer.json.code], [400, 'bad_value']);
});

test('a guest that dies is Failed, with words, and its calls fail at once', options, async () => {
    const { id } = await client.create('probe');
    await client.waitState(id, 'Running');
    const waiting = client.send('POST', `/v1/sandboxes/${id}/desktop/wait`, { body: { for: 'change', max_ms: 60000 } });
    await eventually('QEMU runs', async () => qemuPids(id).length === 1);
    process.kill(qemuPids(id)[0], 'SIGKILL');
    const failed = await client.waitState(id, 'Failed', 10000);
    assert.ok(failed.status.reason && failed.status.message.length > 5, JSON.stringify(failed.status));
    assert.ok([410, 502].includes((await waiting).status), `the waiting call ended with ${(await waiting).status}`);
    const shot = await client.send('GET', `/v1/sandboxes/${id}/desktop/screenshot`);
    assert.deepEqual([shot.status, shot.json.code], [410, 'guest_gone']);
    await client.delete(id);
    assert.equal((await client.send('GET', `/v1/sandboxes/${id}`)).status, 404);
});

test('delete ends the guest, is 404 afterwards, and cancels what runs', options, async () => {
    const { id } = await client.create('probe');
    await client.waitState(id, 'Running');
    const waiting = client.send('POST', `/v1/sandboxes/${id}/desktop/wait`, { body: { for: 'change', max_ms: 60000 } });
    const both = await Promise.all([0, 1].map(() => client.send('DELETE', `/v1/sandboxes/${id}`)));
    assert.ok(both.every(({ status }) => status === 204 || status === 404), `${both.map((a) => a.status)}`);
    assert.ok((await waiting).status >= 400);
    await eventually('it is gone', async () => (await client.send('GET', `/v1/sandboxes/${id}`)).status === 404);
    const again = await client.send('DELETE', `/v1/sandboxes/${id}`);
    assert.deepEqual([again.status, again.json.code], [404, 'not_found']);
    await eventually('nothing is left', async () => findProcesses(id).length === 0 && !fs.existsSync(daemon.sandboxDir(id)));
});

const request = (line, connection) => `${line} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: ${connection}\r\n\r\n`;

/** Statuses of requests that come over several connections in one moment: the daemon reads them in one turn. */
async function atOnce(lines) {
    const sockets = await Promise.all(lines.map(async () => {
        const socket = net.connect(daemon.port, '127.0.0.1');
        socket.write(request('GET /healthz', 'keep-alive'));
        await once(socket, 'data'); /* accepted */
        return socket;
    }));
    const ends = sockets.map(async (socket) => {
        let text = '';
        socket.on('data', (part) => { text += part; });
        await once(socket, 'close');
        return Number(/^HTTP\/1.1 (\d+)/.exec(text)?.[1]);
    });
    sockets.forEach((socket, i) => socket.write(request(lines[i], 'close')));
    return Promise.all(ends);
}

test('what is asked in the moment of the delete is answered, and leaves nothing behind', options, async () => {
    for (let i = 0; i < count('createDelete'); i++) {
        const { id } = await client.create('probe');
        await client.waitState(id, 'Running');
        const shots = Array.from({ length: 8 }, () => `GET /v1/sandboxes/${id}/desktop/screenshot`);
        const answers = await atOnce([...shots, `DELETE /v1/sandboxes/${id}`, ...shots]);
        assert.equal(answers[8], 204);
        assert.ok(answers.every((status, n) => n === 8 || [200, 404, 410, 499].includes(status)), `${answers}`);
        await eventually('it is gone', async () => (await client.send('GET', `/v1/sandboxes/${id}`)).status === 404);
    }
});

test('many sandboxes, one after another, leave no descriptors and little memory', { ...options, timeout: 600000 }, async (t) => {
    const once = async () => {
        const { id } = await client.create('probe');
        await client.waitState(id, 'Running');
        await client.send('GET', `/v1/sandboxes/${id}/desktop/display`);
        await client.delete(id);
        await eventually('it is gone', async () => (await client.send('GET', `/v1/sandboxes/${id}`)).status === 404);
    };
    await once();
    const before = { fds: countFds(daemon.pid), memory: ownMemory(daemon.pid) };
    for (let i = 0; i < count('createDelete'); i++)
        await once();
    /* One more: SQLite keeps that of a checkpoint of its log, and uses it again. */
    await eventually('descriptors are back', async () => countFds(daemon.pid) <= before.fds + 1, { ms: 5000 });
    const grown = ownMemory(daemon.pid) - before.memory;
    t.diagnostic(`${before.fds} descriptors, memory grew by ${(grown / 1024).toFixed(0)} KiB over ${count('createDelete')}`);
    /* AddressSanitizer keeps up to 256 MiB of what was freed; there leaks are its own to find. */
    assert.ok(grown < (isSanitized() ? 272 : 16) << 20, `${grown} bytes more`);
});

test('a daemon told to end its guests leaves no process, socket or temporary file', options, async () => {
    const ids = [...daemon.ids];
    probe.close();
    await daemon.stop();
    for (const id of ids)
        assert.deepEqual(findProcesses(id), [], `processes of ${id}`);
    assert.deepEqual(findProcesses(daemon.stateDir), []);
    const left = fs.readdirSync(daemon.stateDir, { recursive: true }).map(String);
    const sockets = left.filter((name) => fs.lstatSync(path.join(daemon.stateDir, name)).isSocket());
    assert.deepEqual(sockets, [], 'sockets');
    assert.deepEqual(left.filter((name) => /tmp|~$|\.new$/.test(name)), [], 'temporary files');
    assert.deepEqual(fs.readdirSync(path.join(daemon.stateDir, 'sandboxes')), []);
});
