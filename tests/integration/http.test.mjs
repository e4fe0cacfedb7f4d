/** HTTP itself, good and hostile, on bare sockets. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { Random, isFull } from './lib/counts.mjs';
import { Client, hasResponses, raw } from './lib/client.mjs';
import { countFds } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { eventually } from './lib/wait.mjs';

const farm = useFarm({ withProbe: false });
const options = { skip: farm.skip, timeout: 60000 };
const get = (path, headers = '') => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`;
const statusOf = (text) => Number(/^HTTP\/1\.[01] (\d+)/.exec(text)?.[1]);

async function assertAlive() {
    assert.equal((await farm.client.send('GET', '/healthz', { ms: 5000 })).status, 200);
}

test('many requests on one connection', options, async () => {
    const socket = net.connect(farm.daemon.port, '127.0.0.1');
    let text = '';
    socket.on('data', (part) => (text += part));
    for (let i = 1; i <= 20; i++) {
        socket.write(get('/healthz'));
        await eventually(`answer ${i}`, async () => hasResponses(i)(text), { every: 5 });
    }
    socket.destroy();
});

test('pipelined requests are answered in order', options, async () => {
    const text = await raw(farm.daemon.port, get('/healthz') + get('/nothing') + get('/v1/info'), { isDone: hasResponses(3) });
    assert.deepEqual([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((m) => m[1]), ['200', '404', '200']);
});

/** Seconds of CPU time that the daemon has used. */
function cpuSeconds() {
    const fields = fs.readFileSync(`/proc/${farm.daemon.pid}/stat`, 'latin1').replace(/^.*\)/, '').trim().split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
}

test('idle connections cost no CPU', options, async () => {
    const agent = new http.Agent({ keepAlive: true });
    const body = '{}';
    const sendOne = (method, path) => new Promise((resolve, reject) => {
        const headers = { 'content-type': 'application/json', 'content-length': method === 'POST' ? body.length : 0 };
        const request = http.request({ port: farm.daemon.port, agent, method, path, headers }, (answer) => answer.resume().on('end', resolve));
        request.on('error', reject).end(method === 'POST' ? body : undefined);
    });
    for (let round = 0; round < 3; round++)
        await Promise.all([sendOne('GET', '/healthz'), sendOne('GET', '/v1/sandboxes'), sendOne('POST', '/v1/sandboxes'), sendOne('GET', '/nothing')]);
    const before = cpuSeconds();
    await setTimeout(1000); // the window of a measurement
    const used = cpuSeconds() - before;
    agent.destroy();
    assert.ok(used < 0.2, `${used} s of CPU in one second`);
});

test('HEAD is GET without the body', options, async () => {
    for (const path of ['/healthz', '/openapi.json', '/v1/info', '/', '/nothing']) {
        const [head, full] = [await farm.client.send('HEAD', path), await farm.client.send('GET', path)];
        assert.equal(head.status, full.status, path);
        assert.equal(head.headers['content-length'], full.headers['content-length'], path);
        assert.equal(head.body.length, 0);
    }
});

test('an empty query is no query', options, async () => {
    for (const path of ['/v1/sandboxes?', '/v1/info?', '/healthz?', '/v1/sandboxes?&', '/v1/sandboxes?page=1&'])
        assert.equal((await farm.client.send('GET', path)).status, 200, path);
});

test('Connection: close is obeyed', options, async () => {
    const text = await raw(farm.daemon.port, get('/healthz', 'Connection: close\r\n'));
    assert.equal(statusOf(text), 200);
});

test('a chunked body is refused with 411', options, async () => {
    const text = await raw(farm.daemon.port, 'POST /v1/sandboxes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
        + 'Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n', { isDone: hasResponses(1) });
    assert.equal(statusOf(text), 411);
});

test('a body without Content-Length is refused or taken as empty', options, async () => {
    const text = await raw(farm.daemon.port, 'POST /v1/sandboxes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\r\n',
        { isDone: hasResponses(1) });
    assert.ok([400, 411].includes(statusOf(text)), text);
});

test('Expect: 100-continue does not hang', options, async () => {
    const text = await raw(farm.daemon.port, 'POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
        + 'Content-Length: 11\r\nExpect: 100-continue\r\n\r\n{"key":"x"}', { isDone: (t) => /HTTP\/1\.1 [2345]/.test(t) });
    assert.match(text, /HTTP\/1\.1 [4]/);
});

test('bodies need application/json', options, async () => {
    for (const type of [null, 'text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/jsonx'])
        assert.equal((await farm.client.send('POST', '/v1/sandboxes', { body: '{}', headers: { 'content-type': type ?? '' } })).status, 415, type);
    const ok = await farm.client.send('POST', '/v1/sandboxes', { body: '{}', headers: { 'content-type': 'Application/JSON; charset=utf-8' } });
    assert.equal(ok.json.code, 'missing_field');
});

const hostile = {
    'an empty line first': '\r\n\r\n' + get('/healthz', 'Connection: close\r\n'),
    'no method': '/healthz HTTP/1.1\r\n\r\n',
    'an unknown method': 'BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'no version': 'GET /healthz\r\n\r\n',
    'HTTP/9': 'GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n',
    'TLS': Buffer.from('16030100c8010000c40303', 'hex'),
    'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'a NUL in the path': 'GET /heal\0thz HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'a NUL in a header': 'GET /healthz HTTP/1.1\r\nHost: local\0host\r\n\r\n',
    'a bare LF': 'GET /healthz HTTP/1.1\nHost: localhost\n\n',
    'bad percent-encoding': get('/v1/sandboxes/%zz'),
    'half a percent-encoding': get('/v1/sandboxes/%'),
    'an encoded NUL': get('/v1/sandboxes/%00'),
    'an encoded slash': get('/v1/sandboxes/..%2f..%2f..%2fetc%2fpasswd'),
    'dots': get('/../../../../etc/passwd'),
    'an absolute URI': 'GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'two hosts': 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n',
    'no host': 'GET /v1/info HTTP/1.1\r\n\r\n',
    'HTTP/1.0 without a host': 'GET /v1/info HTTP/1.0\r\n\r\n',
    'a header without a colon': 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n',
    'a folded header': 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n',
    'a negative length': 'POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: -5\r\n\r\n{}',
    'a length that is no number': 'POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: x\r\n\r\n{}',
    'two lengths': 'POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\n{}',
    'a length of 2^64': 'POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 18446744073709551617\r\n\r\n{}',
    'length and chunks': 'POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'a long path': get(`/${'x'.repeat(60000)}`),
    'a long query': get(`/v1/sandboxes?${'a=b&'.repeat(20000)}`),
    'a long header': get('/healthz', `X-Long: ${'x'.repeat(100000)}\r\n`),
    'many headers': get('/healthz', Array.from({ length: 5000 }, (_, i) => `X-${i}: ${i}\r\n`).join('')),
    'a long cookie': get('/healthz', `Cookie: ${'a=b; '.repeat(5000)}\r\n`),
};
for (const [name, bytes] of Object.entries(hostile)) {
    test(`hostile: ${name}`, options, async () => {
        const text = await raw(farm.daemon.port, bytes, { half: true, ms: 8000 });
        assert.notEqual(statusOf(text), 500, text.slice(0, 200));
        assert.doesNotMatch(text, /root:/);
        await assertAlive();
    });
}

test('a request smuggled behind another is not believed', options, async () => {
    const text = await raw(farm.daemon.port, 'POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
        + `Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${get('/v1/info')}`, { half: true });
    const answers = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((m) => m[1]);
    assert.ok(answers.length <= 1 && answers[0] !== '200', `${answers}`);
});

test('random bytes', options, async (t) => {
    const random = new Random();
    t.diagnostic(`seed ${random.seed}`);
    for (let i = 0; i < (isFull ? 500 : 40); i++)
        await raw(farm.daemon.port, random.bytes(random.int(1, 3000)), { half: true, ms: 8000 });
    await assertAlive();
});

test('requests cut short at every byte', options, async () => {
    const request = `POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"key":"x"}`;
    for (let size = 1; size < request.length; size += isFull ? 1 : 7)
        await raw(farm.daemon.port, request.slice(0, size), { half: true, ms: 8000 });
    await assertAlive();
});

test('a request that comes byte by byte is answered', options, async () => {
    const socket = net.connect({ port: farm.daemon.port, host: '127.0.0.1', noDelay: true });
    let text = '';
    socket.on('data', (part) => (text += part));
    for (const byte of get('/healthz')) {
        socket.write(byte);
        await new Promise(setImmediate);
    }
    await eventually('an answer', async () => hasResponses(1)(text));
    socket.destroy();
    assert.equal(statusOf(text), 200);
});

test('slow connections do not keep others waiting, and end', { ...options, timeout: 120000 }, async () => {
    const before = countFds(farm.daemon.pid);
    const slow = Array.from({ length: 50 }, () => {
        const socket = net.connect(farm.daemon.port, '127.0.0.1');
        socket.on('error', () => {});
        socket.write('GET /healthz HTTP/1.1\r\nHost: loc');
        socket.isGone = new Promise((resolve) => socket.on('close', resolve));
        return socket;
    });
    await eventually('they are connected', async () => countFds(farm.daemon.pid) >= before + 50);
    const { ms } = await farm.client.send('GET', '/healthz');
    assert.ok(ms < 500, `another caller waited ${ms} ms`);
    if (isFull)
        await Promise.all(slow.map((socket) => socket.isGone));
    slow.forEach((socket) => socket.destroy());
    await eventually('their descriptors are free', async () => countFds(farm.daemon.pid) <= before + 1);
});

test('a flood of connections is bounded and survived', options, async () => {
    const before = countFds(farm.daemon.pid);
    const flood = Array.from({ length: 700 }, () => net.connect(farm.daemon.port, '127.0.0.1').on('error', () => {}));
    await Promise.all(flood.map((socket) => new Promise((resolve) => socket.once('connect', resolve).once('close', resolve))));
    assert.ok(countFds(farm.daemon.pid) - before <= 600, 'connections are limited');
    flood.forEach((socket) => socket.destroy());
    await eventually('the daemon serves again', async () => (await farm.client.send('GET', '/healthz')).status === 200);
    await eventually('descriptors are free', async () => countFds(farm.daemon.pid) <= before + 2);
});

test('the unix socket serves the same, to its owner only', options, async () => {
    const fs = await import('node:fs');
    const socketPath = `${farm.daemon.stateDir}/api.sock`;
    assert.equal(fs.statSync(socketPath).mode & 0o777, 0o600);
    const client = new Client({ socketPath });
    assert.equal((await client.send('GET', '/v1/info')).status, 200);
    client.close();
});
