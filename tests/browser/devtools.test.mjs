/**
 * The guest's own Chromium, driven from outside over its DevTools port: playwright's connectOverCDP through
 * each way to a port. Chromium takes only requests for localhost or an address, and tells its WebSocket's
 * address by the Host that it was asked by.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { lacksImage } from '../integration/lib/daemon.mjs';
import { createDesktop } from '../integration/lib/templates.mjs';
import { useFarm } from '../integration/lib/farm.mjs';
import { eventually } from '../integration/lib/wait.mjs';
import { lacksBrowser, playwright } from './lib.mjs';

const PORT = 9222;
const farm = useFarm({ withProbe: false });
/* Without KVM a desktop and its first browser take minutes. */
const options = { skip: lacksImage('debian-xfce') || lacksBrowser(), timeout: 600000 };
let browser;
after(() => browser?.close(), { timeout: 30000 });

test('Chromium listens', options, async () => {
    const { client } = farm;
    farm.id = (await createDesktop(client)).id;
    const path = `/v1/sandboxes/${farm.id}/desktop`;
    await client.waitState(farm.id, 'Running');
    await client.call('POST', `${path}/wait`, { body: { for: 'up', max_ms: 300000 }, ms: 310000 });
    await client.call('POST', `${path}/launch`, { body: { entry: 'chromium', wait_ms: 0 } });
    await eventually('DevTools answers', async () =>
        (await client.send('GET', `/v1/sandboxes/${farm.id}/proxy/${PORT}/json/version`)).status === 200, { ms: 240000, every: 500 });
});

/** Opens a page in the guest's Chromium and reads it back. */
async function drive(endpoint, headers = {}) {
    browser = await playwright.chromium.connectOverCDP(endpoint, { headers, timeout: 120000 });
    const page = await (browser.contexts()[0] ?? await browser.newContext()).newPage();
    page.setDefaultTimeout(180000);
    await page.goto('data:text/html,<title>driven</title><p id=p>6 times 7');
    assert.equal(await page.title(), 'driven');
    assert.equal(await page.evaluate(() => 6 * 7), 42);
    assert.match(await page.evaluate(() => navigator.userAgent), /Linux/);
    const picture = await page.screenshot();
    assert.equal(picture.subarray(1, 4).toString(), 'PNG');
    await page.close();
    await browser.close();
}

test('by header: the endpoint and its headers, as they are answered', options, async () => {
    const { endpoint, headers } = (await farm.client.call('GET', `/v1/sandboxes/${farm.id}/endpoints/${PORT}?mode=header`)).json;
    await drive(`http://${endpoint}`, headers);
});

test('by path: the WebSocket\'s own address below it', options, async () => {
    const { endpoint } = (await farm.client.call('GET', `/v1/sandboxes/${farm.id}/endpoints/${PORT}`)).json;
    const version = (await farm.client.call('GET', `/v1/sandboxes/${farm.id}/proxy/${PORT}/json/version`)).json;
    assert.equal(new URL(version.webSocketDebuggerUrl).host, `localhost:${PORT}`);
    await drive(`ws://${endpoint}${new URL(version.webSocketDebuggerUrl).pathname}`);
});

test('by host: DevTools names its WebSocket by the host it was asked by', options, async () => {
    const { endpoint } = (await farm.client.call('GET', `/v1/sandboxes/${farm.id}/endpoints/${PORT}?mode=host`)).json;
    const answer = await farm.client.call('GET', '/json/version', { headers: { host: endpoint } });
    assert.match(answer.json.webSocketDebuggerUrl, new RegExp(`^ws://${endpoint}/devtools/browser/`));
});
