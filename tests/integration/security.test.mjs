/** Who is served: hosts, origins, keys, roles, limits. The hostile page in a real browser is in tests/browser. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { buildDir, Daemon } from './lib/daemon.mjs';
import { raw } from './lib/client.mjs';
import { useFarm } from './lib/farm.mjs';

const farm = useFarm({ withProbe: false });
const options = { skip: farm.skip, timeout: 60000 };
const OWN = () => `http://localhost:${farm.daemon.port}`;
const statusOf = (text) => Number(/^HTTP\/1\.[01] (\d+)/.exec(text)?.[1]);

async function assertRefused(headers, code, { method = 'GET', path = '/v1/sandboxes', body } = {}) {
    const answer = await farm.client.send(method, path, { headers, body });
    assert.deepEqual([answer.status, answer.json?.code], [code === 'media_type' ? 415 : 403, code], JSON.stringify(headers));
    assert.equal(answer.headers['access-control-allow-origin'], undefined);
}

test('a name that was rebound to us is refused, whatever it asks for', options, async () => {
    const port = farm.daemon.port;
    for (const host of ['evil.example', `evil.example:${port}`, 'localhost.evil.example', '127.0.0.1.evil.example', 'evil.example.', '192.168.1.5',
        `localhost@evil.example`, 'localhost:99999', '[::1', 'localhost evil.example', '127.1', '0x7f000001', '0.0.0.0'])
        for (const path of ['/v1/sandboxes', '/', '/openapi.json', '/metrics', '/login'])
            await assertRefused({ host }, 'bad_host', { path });
});

test('no Host, or an empty one, is no name of ours', options, async () => {
    for (const line of ['', 'Host:\r\n', 'Host: \r\n']) {
        const text = await raw(farm.daemon.port, `GET /v1/sandboxes HTTP/1.1\r\n${line}Connection: close\r\n\r\n`);
        assert.ok([undefined, 400, 403].includes(statusOf(text)), text.slice(0, 200));
    }
});

test('our own names are taken', options, async () => {
    const port = farm.daemon.port;
    for (const host of ['localhost', `localhost:${port}`, 'LOCALHOST', '127.0.0.1', `127.0.0.1:${port}`, '[::1]', `[::1]:${port}`])
        assert.equal((await farm.client.send('GET', '/v1/sandboxes', { headers: { host } })).status, 200, host);
});

test('another site\'s Origin is refused, also for reading', options, async () => {
    for (const origin of ['http://evil.example', 'null', 'https://localhost.evil.example', `http://localhost:${farm.daemon.port + 1}`, 'file://', 'http://'])
        for (const method of ['GET', 'POST'])
            await assertRefused({ host: `localhost:${farm.daemon.port}`, origin }, 'bad_origin', { method, body: method === 'POST' ? {} : undefined });
});

test('our own Origin is taken', options, async () => {
    const headers = { host: `localhost:${farm.daemon.port}`, origin: OWN() };
    assert.equal((await farm.client.send('GET', '/v1/sandboxes', { headers })).status, 200);
    assert.equal((await farm.client.send('POST', '/v1/sandboxes', { headers, body: {} })).json.code, 'missing_field');
});

test('what a browser says about where a request comes from is believed', options, async () => {
    for (const site of ['cross-site', 'same-site'])
        await assertRefused({ 'sec-fetch-site': site }, 'bad_origin');
});

test('a cross-site form: no Origin, a form\'s content type', options, async () => {
    for (const type of ['application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'text/plain'])
        await assertRefused({ 'content-type': type }, 'media_type', { method: 'POST', body: '{"image":{"uri":"probe"}}' });
});

test('a preflight is not answered with a permission', options, async () => {
    const answer = await farm.client.send('OPTIONS', '/v1/sandboxes', { headers: { origin: 'http://evil.example', 'access-control-request-method': 'POST' } });
    assert.ok(answer.status >= 400);
    for (const name of Object.keys(answer.headers))
        assert.doesNotMatch(name, /^access-control/);
});

test('a cross-site WebSocket is refused', options, async () => {
    for (const path of ['/', '/v1/sandboxes', '/v1/sandboxes/x/desktop/stream']) {
        const text = await raw(farm.daemon.port, `GET ${path} HTTP/1.1\r\nHost: localhost:${farm.daemon.port}\r\nOrigin: http://evil.example\r\n`
            + 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
        { isDone: (t) => t.includes('\r\n\r\n'), ms: 5000 });
        assert.notEqual(statusOf(text), 101, text);
        assert.ok(statusOf(text) === undefined || statusOf(text) >= 400, text);
    }
});

test('pages forbid being framed and running foreign scripts', options, async () => {
    for (const path of ['/', '/desktops/sb-x']) {
        const { headers } = await farm.client.send('GET', path);
        assert.match(headers['content-security-policy'], /frame-ancestors 'none'/);
        assert.doesNotMatch(headers['content-security-policy'], /unsafe/);
        assert.equal(headers['x-content-type-options'], 'nosniff');
    }
});

test('nothing outside of the pages\' folder is served', options, async () => {
    for (const path of ['/ui/../../../../etc/passwd', '/ui/%2e%2e/%2e%2e/etc/passwd', '/ui//etc/passwd', '/ui/..%5c..%5cetc%5cpasswd', '/ui/']) {
        const text = await raw(farm.daemon.port, `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
        assert.equal(statusOf(text), 404, path);
        assert.doesNotMatch(text, /root:/);
    }
});

test('the daemon listens on loopback only', options, () => {
    const out = execFileSync('ss', ['-Htlnp']).toString().split('\n').filter((line) => line.includes(`pid=${farm.daemon.pid},`));
    assert.ok(out.length > 0);
    for (const line of out)
        assert.match(line.split(/\s+/)[3], /^(127\.0\.0\.1|\[::1\]):/);
});

test('the state directory is the daemon\'s alone', options, () => {
    assert.equal(fs.statSync(farm.daemon.stateDir).mode & 0o077, 0);
    for (const name of fs.readdirSync(farm.daemon.stateDir))
        assert.equal(fs.lstatSync(path.join(farm.daemon.stateDir, name)).mode & 0o077, 0, name);
});

/* --- Keys ------------------------------------------------------------------------------------- */

async function addKey(client, name, role, limits) {
    return (await client.call('POST', '/v1/keys', { body: { name, role, ...(limits && { limits }) } })).json;
}

test('keys: roles, own sandboxes, limits', { ...options, timeout: 180000 }, async (t) => {
    const daemon = await Daemon.start();
    try {
        const local = daemon.client();
        const admin = await addKey(local, 'root', 'admin');
        const asAdmin = daemon.client({ key: admin.key });
        const keys = {
            alice: await addKey(asAdmin, 'alice', 'operator', { sandboxes: 1 }),
            bob: await addKey(asAdmin, 'bob', 'operator', { memory_mib: 256 }),
            vera: await addKey(asAdmin, 'vera', 'viewer'),
        };
        const as = Object.fromEntries(Object.entries(keys).map(([name, { key }]) => [name, daemon.client({ key })]));
        const status = async (client, method, path, body) => (await client.send(method, path, { body })).status;

        await t.test('without a key nobody is served any more, except for health', async () => {
            for (const path of ['/v1/sandboxes', '/v1/info', '/v1/keys', '/openapi.json', '/metrics'])
                assert.equal(await status(local, 'GET', path), 401, path);
            assert.equal((await local.send('GET', '/v1/info')).headers['www-authenticate'], 'Bearer');
            assert.equal(await status(local, 'GET', '/healthz'), 200);
            assert.equal(await status(local, 'GET', '/readyz'), 200);
        });
        await t.test('both headers are taken, wrong keys are not', async () => {
            assert.equal((await local.send('GET', '/v1/info', { headers: { 'open-sandbox-api-key': keys.vera.key } })).status, 200);
            for (const authorization of ['Bearer ', 'Bearer x', `Bearer ${keys.vera.key}x`, `Bearer ${keys.vera.key.slice(0, -1)}`, `Basic ${keys.vera.key}`,
                keys.vera.key, `Bearer ${'x'.repeat(4000)}`, `Bearer ${keys.vera.id}`])
                assert.equal((await local.send('GET', '/v1/info', { headers: { authorization } })).status, 401, authorization.slice(0, 30));
            assert.equal(await status(local, 'GET', `/v1/info?key=${keys.vera.key}`), 401, 'never in the address');
        });
        await t.test('a viewer may look, an operator may act, an admin may do all', async () => {
            assert.equal(await status(as.vera, 'GET', '/v1/sandboxes'), 200);
            for (const [method, path, body] of [['POST', '/v1/sandboxes', { image: { uri: 'probe' } }], ['POST', '/v1/drain'], ['GET', '/v1/keys'], ['GET', '/metrics']])
                assert.equal(await status(as.vera, method, path, body), 403, path);
            for (const [method, path, body] of [['POST', '/v1/drain'], ['GET', '/v1/keys'], ['POST', '/v1/keys', { name: 'x', role: 'admin' }], ['DELETE', `/v1/keys/${admin.id}`]])
                assert.equal(await status(as.alice, method, path, body), 403, path);
            assert.equal(await status(asAdmin, 'GET', '/v1/keys'), 200);
        });
        await t.test('secrets are shown once and stored hashed', async () => {
            const list = (await asAdmin.call('GET', '/v1/keys')).body.toString();
            const stored = fs.readdirSync(daemon.stateDir).filter((name) => name.startsWith('journal'))
                .map((name) => fs.readFileSync(path.join(daemon.stateDir, name), 'latin1')).join('');
            for (const { key, id } of Object.values(keys)) {
                assert.ok(list.includes(id) && !list.includes(key));
                assert.ok(stored.includes(id) && !stored.includes(key) && !daemon.log.includes(key));
            }
        });
        const { id } = await as.alice.create('probe');
        await t.test('a key sees only its own sandboxes; others do not exist', async () => {
            assert.equal(await status(as.alice, 'GET', `/v1/sandboxes/${id}`), 200);
            for (const [method, rest, body] of [['GET', ''], ['DELETE', ''], ['GET', '/desktop/screenshot'], ['GET', '/desktop/display'], ['GET', '/endpoints/6080'],
                ['POST', '/desktop/actions', { actions: [{ type: 'click', x: 1, y: 1 }] }], ['POST', '/renew-expiration', { expiresAt: '2099-01-01T00:00:00Z' }]]) {
                const answer = await as.bob.send(method, `/v1/sandboxes/${id}${rest}`, { body });
                const unknown = await as.bob.send(method, `/v1/sandboxes/sb-none${rest}`, { body });
                assert.deepEqual([answer.status, answer.json.code], [404, 'not_found'], rest);
                assert.equal(answer.json.message.replaceAll(id, ''), unknown.json.message.replaceAll('sb-none', ''), 'and do not differ from none');
            }
            assert.equal((await as.bob.call('GET', '/v1/sandboxes')).json.pagination.totalItems, 0);
            assert.equal((await asAdmin.call('GET', '/v1/sandboxes')).json.pagination.totalItems, 1);
        });
        await t.test('a key\'s limits are errors before anything starts', async () => {
            for (const client of [as.alice, as.bob]) {
                const answer = await client.send('POST', '/v1/sandboxes', { body: { image: { uri: 'probe' }, network: 'none' } });
                assert.deepEqual([answer.status, answer.json.code], [429, 'quota_exceeded']);
            }
            assert.equal((await asAdmin.call('GET', '/v1/sandboxes')).json.pagination.totalItems, 1);
        });
        await t.test('an Idempotency-Key is its caller\'s own', async () => {
            const request = { headers: { 'idempotency-key': 'same' }, body: { actions: [{ type: 'wait', duration_ms: 0 }] } };
            await as.alice.send('POST', `/v1/sandboxes/${id}/desktop/actions`, request);
            assert.equal((await as.bob.send('POST', `/v1/sandboxes/${id}/desktop/actions`, request)).status, 404);
        });
        await t.test('the login cookie: HttpOnly, same site, ends with its key', async () => {
            assert.equal(await status(local, 'POST', '/login', { key: 'df_wrong' }), 401);
            const login = await local.call('POST', '/login', { body: { key: keys.vera.key } });
            const [cookie] = login.headers['set-cookie'];
            assert.match(cookie, /HttpOnly/i);
            assert.match(cookie, /SameSite=Strict/i);
            assert.ok(!cookie.includes(keys.vera.key));
            const headers = { cookie: cookie.split(';')[0] };
            assert.equal((await local.send('GET', '/v1/sandboxes', { headers })).status, 200);
            await local.call('POST', '/logout', { headers });
            assert.equal((await local.send('GET', '/v1/sandboxes', { headers })).status, 401);
            const again = (await local.call('POST', '/login', { body: { key: keys.vera.key } })).headers['set-cookie'][0].split(';')[0];
            assert.equal(await status(asAdmin, 'DELETE', `/v1/keys/${keys.vera.id}`), 204);
            assert.equal((await local.send('GET', '/v1/sandboxes', { headers: { cookie: again } })).status, 401);
            assert.equal(await status(as.vera, 'GET', '/v1/sandboxes'), 401);
        });
        await t.test('keys outlive the daemon', async () => {
            await as.alice.delete(id);
            await daemon.stop();
            await daemon.start();
            assert.equal((await daemon.client().send('GET', '/v1/info')).status, 401);
            assert.equal((await daemon.client({ key: keys.alice.key }).send('GET', '/v1/info')).status, 200);
        });
    } finally {
        await daemon.destroy();
    }
});

test('`deskfarm keys add` makes the first key', { skip: farm.skip || (fs.existsSync(path.join(buildDir, 'cli/deskfarm')) ? false : 'needs the command line') }, async () => {
    const daemon = await Daemon.start();
    const home = fs.mkdtempSync(path.join(os.tmpdir(), 'df-'));
    try {
        const env = { ...process.env, HOME: home, DESKFARM_URL: daemon.url };
        const out = execFileSync(path.join(buildDir, 'cli/deskfarm'), ['keys', 'add', 'first', '--json', '--role', 'admin'], { env }).toString();
        const { key } = JSON.parse(out);
        assert.equal((await daemon.client().send('GET', '/v1/info')).status, 401);
        assert.equal((await daemon.client({ key }).send('GET', '/v1/info')).status, 200);
    } finally {
        fs.rmSync(home, { recursive: true });
        await daemon.destroy();
    }
});
