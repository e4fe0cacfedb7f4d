/**
 * A page of another origin, open in the browser of somebody whose daemon runs on the same host, tries
 * what browsers let pages try. It may neither read anything nor change anything.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { useFarm } from '../integration/lib/farm.mjs';
import { lacksBrowser, openBrowser } from './lib.mjs';

const farm = useFarm();
const options = { skip: farm.skip || lacksBrowser(), timeout: 120000 };
let browser, page, server;

before(async () => {
    if (options.skip)
        return;
    /* Plays the foreign site, and a proxy-free way to a rebound name: Chromium resolves it to us. */
    server = http.createServer((request, response) => {
        response.setHeader('content-type', 'text/html');
        response.end('<!doctype html><title>evil</title><body></body>');
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    browser = await openBrowser();
    page = await browser.context.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/`); /* another port is another origin */
}, { timeout: 60000 });
after(async () => {
    await browser?.close();
    server?.close();
}, { timeout: 30000 });

const inPage = (fn, more = {}) => page.evaluate(fn, { url: farm.daemon.url, id: farm.id, ...more });
const sandboxes = async () => (await farm.client.call('GET', '/v1/sandboxes')).json.pagination.totalItems;

/** Nothing of it may reach the guest or make a sandbox. */
async function assertHarmless(attempt) {
    const mark = farm.probe.mark(), before = await sandboxes();
    const result = await attempt();
    assert.equal(await sandboxes(), before, 'no sandbox was made or deleted');
    const events = await farm.probe.received(farm.client, mark);
    assert.deepEqual(events.filter((e) => e.ev !== 'ok'), [], 'the guest received nothing');
    return result;
}

const body = () => JSON.stringify({ actions: [{ type: 'click', x: 5, y: 5 }], settle: false, screenshot: false });

test('fetch cannot read', options, async () => {
    const result = await inPage(({ url }) => fetch(`${url}/v1/sandboxes`).then((r) => r.text(), (e) => `blocked: ${e.name}`));
    assert.match(result, /^blocked/);
});

test('fetch cannot act: JSON, text, no-cors, beacon', options, async () => {
    await assertHarmless(() => inPage(async ({ url, id, text }) => {
        const target = `${url}/v1/sandboxes/${id}/desktop/actions`;
        const tries = [
            { method: 'POST', body: text, headers: { 'content-type': 'application/json' } },
            { method: 'POST', body: text, headers: { 'content-type': 'text/plain' }, mode: 'no-cors' },
            { method: 'POST', body: text, mode: 'no-cors', credentials: 'include' },
            { method: 'POST', body: new Blob([text], { type: 'text/plain' }), mode: 'no-cors' },
        ];
        await Promise.all(tries.map((request) => fetch(target, request).catch(() => {})));
        await fetch(`${url}/v1/sandboxes/${id}`, { method: 'DELETE' }).catch(() => {});
        navigator.sendBeacon(target, new Blob([text], { type: 'text/plain' }));
        await fetch(`${url}/healthz`, { mode: 'no-cors' }).catch(() => {}); /* queued behind the beacon */
    }, { text: body() }));
});

test('a form cannot act', options, async () => {
    await assertHarmless(() => inPage(({ url, id, text }) => Promise.all(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data'].map((enctype) =>
        new Promise((resolve) => {
            const frame = Object.assign(document.createElement('iframe'), { name: `f-${enctype}`, onload: resolve });
            document.body.append(frame);
            const form = Object.assign(document.createElement('form'), { action: `${url}/v1/sandboxes/${id}/desktop/actions`, method: 'post', enctype, target: frame.name });
            form.append(Object.assign(document.createElement('input'), { name: text.slice(0, -1) + ',"x":"', value: '"}' }));
            document.body.append(form);
            form.submit();
            setTimeout(resolve, 3000); /* a refused frame may not load */
        }))), { text: body() }));
});

test('an image, a script and a frame of it show nothing', options, async () => {
    const results = await inPage(({ url, id }) => Promise.all([
        ['img', { src: `${url}/v1/sandboxes/${id}/desktop/screenshot` }], ['script', { src: `${url}/v1/sandboxes` }], ['script', { src: `${url}/openapi.json` }],
    ].map(([tag, properties]) => new Promise((resolve) => {
        const element = Object.assign(document.createElement(tag), { ...properties, onload: () => resolve('loaded'), onerror: () => resolve('blocked') });
        document.body.append(element);
    }))));
    assert.deepEqual(results, ['blocked', 'blocked', 'blocked']);
    const framed = await inPage(({ url }) => new Promise((resolve) => {
        const frame = Object.assign(document.createElement('iframe'), { src: url });
        frame.onload = () => {
            try {
                resolve(frame.contentDocument ? 'readable' : 'opaque');
            } catch {
                resolve('opaque');
            }
        };
        document.body.append(frame);
    }));
    assert.equal(framed, 'opaque');
});

test('a WebSocket is refused', options, async () => {
    const results = await inPage(({ url, id }) => Promise.all(['/', `/v1/sandboxes/${id}/desktop/stream`].map((path) => new Promise((resolve) => {
        const socket = new WebSocket(url.replace('http', 'ws') + path);
        socket.onopen = () => resolve('open');
        socket.onerror = () => resolve('refused');
    }))));
    assert.deepEqual(results, ['refused', 'refused']);
});

test('a name rebound to the daemon is refused', options, async () => {
    const rebound = await openBrowser({ args: ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
        '--host-resolver-rules=MAP evil.example 127.0.0.1', '--no-proxy-server'] });
    try {
        const evil = await rebound.context.newPage();
        const response = await evil.goto(`http://evil.example:${farm.daemon.port}/v1/sandboxes`);
        assert.equal(response.status(), 403);
        assert.equal((await response.json()).code, 'bad_host');
        const result = await evil.evaluate(async (text) => {
            const answer = await fetch('/v1/sandboxes', { method: 'POST', body: text, headers: { 'content-type': 'application/json' } });
            return [answer.status, (await answer.json()).code];
        }, '{"image":{"uri":"probe"}}');
        assert.deepEqual(result, [403, 'bad_host']);
    } finally {
        await rebound.close();
    }
});
