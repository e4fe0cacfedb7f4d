/**
 * Ports of a guest through the daemon: by path, by host name and by header; HTTP, WebSocket and plain
 * bytes; a guest that misbehaves, callers that are slow, many, or not allowed.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { Client } from './lib/client.mjs';
import { ownMemory } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { guestBytes, startGuestServer } from './lib/guest-server.mjs';
import { run } from './lib/terminal.mjs';
import { eventually as soon } from './lib/wait.mjs';
import { WebSocketClient } from './lib/websocket.mjs';

/* A guest without KVM on a machine that others use too. */
const eventually = (what, ask, options) => soon(what, ask, { ms: 40000, ...options });
const PORT = 8000;
const farm = useFarm({
    prepare: async () => {
        await eventually('the agent is ready', async () => (await farm.client.get(farm.id)).agent === 'ready');
        await startGuestServer(farm.client, farm.id, PORT);
    },
});
const options = { skip: farm.skip, timeout: 120000 };

const sha = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');
const portHost = (port = PORT) => `${port}-${farm.id}.localhost:${farm.daemon.port}`;

/** A way to the guest's port: path, host or header. */
const ways = {
    path: (path, port = PORT) => [`/v1/sandboxes/${farm.id}/proxy/${port}${path}`, {}],
    host: (path, port = PORT) => [path, { host: portHost(port) }],
    header: (path, port = PORT) => [path, { 'opensandbox-ingress-to': `${farm.id}-${port}` }],
};

function ask(way, path, { method = 'GET', headers = {}, ...rest } = {}, port = PORT) {
    const [target, more] = ways[way](path, port);
    return farm.client.send(method, target, { ...rest, headers: { ...more, ...headers } });
}

/** The request's head as the guest got it: line and fields, names in lower case. */
async function headInGuest(way, path, options) {
    const lines = (await ask(way, path, options)).body.toString().trim().split('\r\n');
    const fields = lines.slice(1).map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]);
    return { line: lines[0], fields: Object.fromEntries(fields) };
}

/** A raw connection; `text` grows. */
function connect(where = { port: farm.daemon.port, host: '127.0.0.1' }) {
    const socket = net.connect({ ...where, allowHalfOpen: true });
    socket.text = '';
    socket.size = 0;
    socket.on('data', (data) => {
        socket.size += data.length;
        if (socket.text.length < 100000)
            socket.text += data.toString('latin1');
    });
    socket.on('error', () => {});
    return socket;
}

async function tunnel(port, socket = connect()) {
    socket.write(`GET /v1/sandboxes/${farm.id}/tcp/${port} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: deskfarm-tcp\r\n\r\n`);
    await eventually('the tunnel opens', async () => socket.text.includes('\r\n\r\n'));
    assert.match(socket.text, /^HTTP\/1.1 101 /);
    socket.text = socket.text.slice(socket.text.indexOf('\r\n\r\n') + 4);
    return socket;
}

const ended = (socket) => eventually('the connection ends', async () => socket.readableEnded || socket.destroyed, { every: 5 });

/* --- HTTP ------------------------------------------------------------------------------------- */

for (const way of Object.keys(ways)) {
    test(`${way}: bodies are exact, however their end is told`, options, async () => {
        const want = guestBytes(3000000);
        for (const kind of ['bytes', 'chunked', 'close']) {
            const answer = await ask(way, `/${kind}/${want.length}`);
            assert.equal(answer.status, 200, kind);
            assert.equal(sha(answer.body), sha(want), kind);
        }
    });

    test(`${way}: a large body both ways`, options, async () => {
        const body = crypto.randomBytes(5000000);
        const answer = await ask(way, '/echo', { method: 'POST', body, headers: { 'content-type': 'text/plain' } });
        assert.equal(answer.status, 200);
        assert.equal(sha(answer.body), sha(body));
    });

    test(`${way}: a closed port and a guest that is not HTTP`, options, async () => {
        const closed = await ask(way, '/', {}, 9);
        assert.deepEqual([closed.status, closed.json.code], [502, 'port_closed']);
        for (const path of ['/garbage', '/nothing', '/bighead']) {
            const answer = await ask(way, path);
            assert.deepEqual([answer.status, answer.json?.code], [502, 'bad_answer'], path);
        }
    });

    test(`${way}: WebSocket`, options, async () => {
        const [path, headers] = ways[way]('/ws');
        const socket = await WebSocketClient.open(farm.daemon.port, path, { headers: { 'opensandbox-ingress-to': headers['opensandbox-ingress-to'] ?? null }, host: headers.host });
        socket.send(1, 'hello');
        await socket.until('the echo', ({ opcode, data }) => opcode === 1 && `${data}` === 'hello');
        const big = crypto.randomBytes(1000000);
        socket.send(2, big);
        const back = await socket.until('the large echo', ({ opcode }) => opcode === 2);
        assert.equal(sha(back.data), sha(big));
        socket.send(8, Buffer.from([3, 232]));
        assert.equal(await socket.ended(), 1000);
        socket.destroy();
    });
}

test('the guest gets its own path, and nothing that is ours', options, async () => {
    const secrets = {
        authorization: 'Bearer df_x', 'open-sandbox-api-key': 'df_y', 'x-execd-access-token': 'df_z', cookie: 'deskfarm=abc; other=1',
        'x-forwarded-for': '1.2.3.4', 'x-real-ip': '1.2.3.4', forwarded: 'for=1.2.3.4', te: 'trailers', 'x-own': 'kept', 'keep-alive': 'x',
    };
    for (const way of ['path', 'header']) {
        const { line, fields } = await headInGuest(way, '/head?a=%20b', { headers: secrets });
        assert.equal(line, 'GET /head?a=%20b HTTP/1.1');
        assert.equal(fields['x-own'], 'kept');
        assert.equal(fields['x-forwarded-for'], '127.0.0.1');
        assert.equal(fields['x-forwarded-proto'], 'http');
        assert.equal(fields.connection, 'close');
        for (const name of ['authorization', 'cookie', 'open-sandbox-api-key', 'x-execd-access-token', 'x-real-ip', 'forwarded', 'te', 'keep-alive', 'opensandbox-ingress-to'])
            assert.equal(fields[name], undefined, `${way}: ${name}`);
    }
    const byPath = await headInGuest('path', '/head');
    assert.equal(byPath.fields.host, `localhost:${PORT}`);
    assert.equal(byPath.fields['x-forwarded-prefix'], `/v1/sandboxes/${farm.id}/proxy/${PORT}`);
    const byHost = await headInGuest('host', '/head', { headers: { ...secrets, authorization: 'Basic Zm9v' } });
    assert.equal(byHost.fields.host, portHost());
    assert.equal(byHost.fields.cookie, 'deskfarm=abc; other=1', 'cookies of that origin are the guest\'s');
    assert.equal(byHost.fields.authorization, 'Basic Zm9v');
    assert.equal(byHost.fields['open-sandbox-api-key'], undefined);
    const withKey = await headInGuest('host', '/head', { headers: { authorization: 'Bearer df_x', cookie: 'deskfarm-port=1; a=2' } });
    assert.equal(withKey.fields.authorization, undefined, 'a key of ours');
    assert.equal(withKey.fields.cookie, 'a=2', 'our own cookie');
});

test('on our origin the guest is nobody', options, async () => {
    for (const way of ['path', 'header']) {
        const { headers } = await ask(way, '/cookies');
        assert.equal(headers['set-cookie'], undefined, way);
        assert.equal(headers['access-control-allow-origin'], undefined);
        assert.equal(headers['clear-site-data'], undefined);
        assert.match(headers['content-security-policy'], /(^|, )sandbox(?!.*allow-same-origin)/);
        assert.equal(headers['x-content-type-options'], 'nosniff');
        assert.equal(headers['x-kept'], 'yes');
    }
    const { headers } = await ask('host', '/cookies');
    assert.deepEqual(headers['set-cookie'], ['plain=1', 'wide=2; Path=/', 'deskfarm=stolen; Path=/'], 'on its own origin, without Domain');
    assert.equal(headers['content-security-policy'], 'default-src *');
});

test('a redirect stays below the prefix', options, async () => {
    assert.equal((await ask('path', '/redirect')).headers.location, `/v1/sandboxes/${farm.id}/proxy/${PORT}/head?x=1`);
    assert.equal((await ask('host', '/redirect')).headers.location, '/head?x=1');
});

test('interim answers pass, and HEAD has no body', options, async () => {
    const answer = await ask('path', '/interim');
    assert.equal(`${answer.body}`, 'last');
    const head = await ask('path', '/bytes/100000', { method: 'HEAD' });
    assert.equal(head.headers['content-length'], '100000');
    assert.equal(head.body.length, 0);
});

test('an answer that is cut short is seen to be', options, async () => {
    await assert.rejects(ask('path', '/cut'), /aborted|reset|hang up/i);
});

test('what is malformed is refused', options, async () => {
    for (const [target, headers, status] of [
        [`/v1/sandboxes/${farm.id}/proxy/0/`, {}, 400], [`/v1/sandboxes/${farm.id}/proxy/65536/`, {}, 400], [`/v1/sandboxes/${farm.id}/proxy/x/`, {}, 400],
        ['/', { 'opensandbox-ingress-to': farm.id }, 400], ['/', { 'opensandbox-ingress-to': `-${PORT}` }, 400],
        ['/v1/sandboxes/sb-nobody/proxy/80/', {}, 404], ['/', { host: `80-sb-nobody.localhost:${farm.daemon.port}` }, 404],
        ['/', { host: `x-${farm.id}.localhost` }, 403], ['/', { host: `80-${farm.id}.evil.example` }, 403], [`/v1/sandboxes/${farm.id}/tcp/80`, {}, 400],
        [`/v1/sandboxes/${farm.id}/proxy/${PORT}/`, { 'transfer-encoding': 'gzip, chunked' }, 400],
        ['/', { host: portHost(44772) }, 501],
    ]) {
        const answer = await farm.client.send('GET', target, { headers });
        assert.equal(answer.status, status, `${target} ${JSON.stringify(headers)}: ${answer.body}`);
    }
});

/* --- Connections ------------------------------------------------------------------------------ */

test('100 at once', options, async () => {
    const want = sha(guestBytes(200000)), client = farm.daemon.client();
    client.agent.maxSockets = 200;
    const path = ways.path('/bytes/200000')[0];
    const answers = await Promise.all(Array.from({ length: 100 }, () => client.call('GET', path)));
    assert.ok(answers.every(({ body }) => sha(body) === want));
});

test('a request whose sender has ended its side is answered', options, async () => {
    const socket = connect();
    socket.end(`GET ${ways.path('/bytes/100000')[0]} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await ended(socket);
    assert.match(socket.text, /^HTTP\/1.1 200 OK/);
    assert.ok(socket.size > 100000);
    socket.destroy();
});

test('a head in pieces, and a body behind 100 Continue', options, async () => {
    const socket = connect();
    const text = `POST ${ways.path('/echo')[0]} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`;
    for (let at = 0; at < text.length; at += 50) {
        socket.write(text.slice(at, at + 50));
        await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually('100 Continue', async () => /^HTTP\/1.1 100 /.test(socket.text));
    socket.write('12345');
    await eventually('the echo', async () => /12345$/.test(socket.text));
    socket.destroy();
});

test('a connection goes on with the next request, for the guest or for us', options, async () => {
    const socket = connect(), get = (target) => `GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    /** Sends text and waits until as many answers have come as it has requests. */
    let answers = 0;
    const say = async (text, count, body) => {
        socket.text = '';
        socket.write(text);
        await eventually('the answers', async () => socket.text.split('HTTP/1.1 200').length - 1 === count && socket.text.endsWith(body), { every: 2 });
        answers += count;
    };
    const bytes = guestBytes(3000).toString('latin1');
    for (let i = 0; i < 3; i++) {
        await say(get(ways.path('/bytes/3000')[0]), 1, bytes);
        await say(get('/healthz'), 1, 'ok\n');
        await say(get(ways.path('/chunked/3000')[0]), 1, '\r\n0\r\n\r\n');
        await say(`POST ${ways.path('/echo')[0]} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello`, 1, 'hello');
        await say(get(ways.path('/bytes/3000')[0]) + get(ways.path('/bytes/10')[0]) + get('/healthz'), 3, 'ok\n');
    }
    assert.equal(answers, 21);
    assert.ok(!socket.destroyed && !socket.readableEnded);
    await say(get(ways.path('/close/3000')[0]), 1, bytes);
    await ended(socket);
    socket.destroy();
    const last = connect();
    last.write(`GET ${ways.path('/bytes/3000')[0]} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    await ended(last);
    assert.match(last.text, /\r\nConnection: close\r\n/);
});

test('a reader that stops holds the guest back, not the daemon', options, async () => {
    const before = ownMemory(farm.daemon.pid);
    const slow = connect();
    slow.write(`GET ${ways.path('/bytes/30000000')[0]} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await eventually('it begins', async () => slow.size > 0);
    slow.pause();
    const answer = await ask('path', '/bytes/1000000');
    assert.equal(answer.body.length, 1000000, 'others are served meanwhile');
    assert.ok(ownMemory(farm.daemon.pid) - before < 8 << 20, 'nothing piles up');
    slow.resume();
    await eventually('all of it', async () => slow.size > 30000000, { ms: 90000 });
    slow.destroy();
});

test('a caller that goes away ends the guest\'s side', options, async () => {
    const count = async () => Number(await run(farm.client, farm.id, 'ps | grep -c "[g]uest-server"'));
    const before = await count();
    const request = http.get({ port: farm.daemon.port, host: '127.0.0.1', path: ways.path('/ticks')[0] });
    await new Promise((resolve, reject) => request.on('response', (response) => response.once('data', resolve)).on('error', reject));
    assert.equal(await count(), before + 1);
    request.destroy();
    await eventually('its process is gone', async () => await count() === before);
});

test('tunnel: bytes both ways and half-closes in both orders', options, async () => {
    const back = await tunnel(PORT + 1), body = crypto.randomBytes(2000000);
    let got = Buffer.alloc(0);
    back.on('data', (data) => {
        got = Buffer.concat([got, data]);
    });
    back.end(body);
    await ended(back);
    assert.equal(sha(got.subarray(0, body.length)), sha(body));
    assert.equal(`${got.subarray(body.length)}`, `[${body.length}]`);

    const first = await tunnel(PORT + 2);
    await ended(first);
    assert.equal(first.text, 'first\n', 'the guest ended its side');
    first.end(Buffer.alloc(1234567));
    const counted = async () => (await run(farm.client, farm.id, 'cat /tmp/counted 2>/dev/null; true')).trim();
    await eventually('the guest got all of it', async () => await counted() === '1234567');
});

test('tunnel: the same over the unix socket', options, async () => {
    const socket = await tunnel(PORT + 1, connect({ path: join(farm.daemon.stateDir, 'api.sock') }));
    socket.end(Buffer.alloc(1000000));
    await ended(socket);
    assert.ok(socket.size > 1000000);
    const answer = await new Client({ socketPath: join(farm.daemon.stateDir, 'api.sock') }).call('GET', ways.path('/bytes/1000')[0]);
    assert.equal(answer.body.length, 1000);
});

test('a tunnel to a closed port is refused in HTTP', options, async () => {
    const answer = await farm.client.send('GET', `/v1/sandboxes/${farm.id}/tcp/9`, { headers: { connection: 'Upgrade', upgrade: 'deskfarm-tcp' } });
    assert.deepEqual([answer.status, answer.json.code], [502, 'port_closed']);
});

test('connections of a sandbox are counted and bounded', options, async () => {
    const sockets = [];
    for (let i = 0; i < 128; i++)
        sockets.push(await tunnel(PORT + 1));
    const answer = await ask('path', '/head');
    assert.deepEqual([answer.status, answer.json.code], [429, 'quota_exceeded']);
    const { body } = await farm.client.call('GET', '/metrics');
    assert.match(`${body}`, /^deskfarm_http_port_connections 128$/m);
    sockets.forEach((socket) => socket.destroy());
    await eventually('they are given back', async () => (await ask('path', '/head')).status === 200);
});

/* --- Who may ---------------------------------------------------------------------------------- */

test('other sites may link to a port, and nothing else', options, async () => {
    const far = { 'sec-fetch-site': 'cross-site' };
    assert.equal((await ask('host', '/head', { headers: { ...far, 'sec-fetch-mode': 'navigate' } })).status, 200);
    for (const [way, headers, method] of [
        ['host', { ...far, 'sec-fetch-mode': 'no-cors' }, 'GET'], ['host', { ...far, 'sec-fetch-mode': 'navigate' }, 'POST'],
        ['host', { origin: 'http://evil.example' }, 'POST'], ['host', { origin: `http://localhost:${farm.daemon.port}` }, 'POST'], ['host', { origin: 'null' }, 'POST'],
        ['path', { ...far, 'sec-fetch-mode': 'navigate' }, 'GET'], ['path', { origin: 'http://evil.example' }, 'POST'], ['path', { origin: 'null' }, 'GET'],
        ['header', { origin: `http://${portHost()}` }, 'GET'],
    ]) {
        const answer = await ask(way, '/head', { method, headers });
        assert.deepEqual([answer.status, answer.json?.code], [403, 'bad_origin'], `${way} ${method} ${JSON.stringify(headers)}`);
    }
});

test('a port needs an operator\'s key; a link turns into a cookie for that port alone', options, async () => {
    const { client, daemon } = farm;
    const key = async (role) => (await client.call('POST', '/v1/keys', { body: { name: role, role } })).json;
    const admin = await key('admin'), asAdmin = daemon.client({ key: admin.key });
    const viewer = (await asAdmin.call('POST', '/v1/keys', { body: { name: 'viewer', role: 'viewer' } })).json;
    const stranger = (await asAdmin.call('POST', '/v1/keys', { body: { name: 'stranger', role: 'operator' } })).json;
    try {
        const send = (way, path, headers = {}, port = PORT) => {
            const [target, more] = ways[way](path, port);
            return new Client({ port: daemon.port }).send('GET', target, { headers: { ...more, ...headers } });
        };
        for (const way of Object.keys(ways)) {
            assert.equal((await send(way, '/head')).status, 401, way);
            assert.equal((await send(way, '/head', { 'open-sandbox-api-key': viewer.key })).status, 401 + (viewer.role ? 2 : 0), way);
            assert.equal((await send(way, '/head', { 'open-sandbox-api-key': stranger.key })).status, 404, way);
            assert.equal((await send(way, '/head', { authorization: `Bearer ${admin.key}` })).status, 200, way);
        }
        const { url } = (await asAdmin.call('POST', `/v1/sandboxes/${farm.id}/endpoints/${PORT}/ticket`, { body: { path: '/head?a=b c' } })).json;
        const link = new URL(url);
        assert.equal(link.host, portHost());
        const login = await send('host', link.pathname + link.search);
        assert.deepEqual([login.status, login.headers.location], [303, '/head?a=b c']);
        const cookie = login.headers['set-cookie'][0];
        assert.match(cookie, /^deskfarm-port=\w{40}; Path=\/; HttpOnly; SameSite=Lax/);
        const shown = { cookie: cookie.split(';')[0] };
        assert.equal((await send('host', link.pathname + link.search)).status, 401, 'a link works once');
        assert.equal((await send('host', '/head', shown)).status, 200);
        assert.equal((await send('host', '/head', shown, PORT + 1)).status, 401, 'another port');
        assert.equal((await send('path', '/head', shown)).status, 401, 'another mode');
        assert.equal((await send('path', '/head', { cookie: `deskfarm=${shown.cookie.split('=')[1]}` })).status, 401);
        const far = (await asAdmin.call('POST', `/v1/sandboxes/${farm.id}/endpoints/${PORT}/ticket`, { body: { path: '//evil.example/' } })).json;
        const away = new URL(far.url);
        assert.equal((await send('host', away.pathname + away.search)).headers.location, '/', 'no open redirect');
        const tunnelled = await WebSocketClient.open(daemon.port, '/ws', { host: portHost(), headers: { Cookie: shown.cookie, Origin: `http://${portHost()}` } });
        tunnelled.destroy();
        const endpoint = (await asAdmin.call('GET', `/v1/sandboxes/${farm.id}/endpoints/44772?use_server_proxy=true`)).json;
        assert.equal(endpoint.endpoint, `localhost:${daemon.port}/v1/sandboxes/${farm.id}/proxy/44772`);
        assert.equal((await new Client({ port: daemon.port }).send('GET', `/v1/sandboxes/${farm.id}/proxy/44772/ping`, { headers: endpoint.headers })).status, 200);
    } finally {
        for (const { id } of [viewer, stranger, admin])
            await asAdmin.call('DELETE', `/v1/keys/${id}`);
    }
});

test('endpoints tell each way', options, async () => {
    const endpoint = async (query, port = PORT) => (await farm.client.call('GET', `/v1/sandboxes/${farm.id}/endpoints/${port}`, { query })).json;
    const own = `localhost:${farm.daemon.port}`;
    assert.deepEqual(await endpoint({}), { endpoint: `${own}/v1/sandboxes/${farm.id}/proxy/${PORT}`, headers: {} });
    assert.deepEqual(await endpoint({ mode: 'host' }), { endpoint: portHost(), headers: {} });
    assert.deepEqual(await endpoint({ mode: 'header' }), { endpoint: own, headers: { 'OpenSandbox-Ingress-To': `${farm.id}-${PORT}` } });
    assert.deepEqual(await endpoint({ mode: 'host' }, 6080), { endpoint: `${own}/desktops/${farm.id}`, headers: {} });
});

test('deleting the sandbox ends its connections', options, async () => {
    const socket = await tunnel(PORT + 1);
    await farm.client.delete(farm.id);
    await ended(socket);
    socket.destroy();
    const answer = await ask('path', '/head');
    assert.ok([404, 410].includes(answer.status), `${answer.status}`);
});
