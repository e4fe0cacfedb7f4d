/** npm's noVNC in Chromium, as it comes: exact pixels, keys and clicks, and a key that may only look. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { useFarm } from '../integration/lib/farm.mjs';
import { eventually } from '../integration/lib/wait.mjs';
import { lacksBrowser, openBrowser } from './lib.mjs';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../node_modules/@novnc/novnc');
const farm = useFarm();
const lacksNoVnc = fs.existsSync(root) ? false : 'needs @novnc/novnc (npm ci in tests/)';
const options = { skip: farm.skip || lacksBrowser() || lacksNoVnc, timeout: 180000 };
const MS = 60000; /* generous: Chromium, QEMU and the daemon share a machine */
let browser;

const html = `<!doctype html><title>noVNC</title><body style="margin:0"><div id="screen" style="width:1280px;height:800px"></div>
<script type="module">
import RFB from '/novnc/core/rfb.js';
const url = new URL(location.hash.slice(1), location.href.replace(/^http/, 'ws'));
window.rfb = new RFB(document.getElementById('screen'), url.href, { wsProtocols: ['binary'] });
for (const name of ['connect', 'disconnect', 'securityfailure', 'desktopname'])
    rfb.addEventListener(name, (event) => { (window.seen ??= {})[name] = event.detail ?? {}; });
</script>`;

before(async () => {
    if (options.skip)
        return;
    /* A page that a route answers has no address, and may not speak to loopback. */
    browser = await openBrowser({ args: ['--disable-features=LocalNetworkAccessChecks'], viewport: { width: 1300, height: 850 } });
    await browser.context.route('**/novnc/**', (route) => {
        const name = new URL(route.request().url()).pathname.slice('/novnc/'.length);
        if (name === 'page')
            return route.fulfill({ contentType: 'text/html', body: html });
        return route.fulfill({ contentType: 'text/javascript', body: fs.readFileSync(path.join(root, name)) });
    });
}, { timeout: 60000 });
after(() => browser?.close(), { timeout: 30000 });

async function openViewer(address = `/v1/sandboxes/${farm.id}/vnc`) {
    const page = await browser.context.newPage(), problems = [];
    page.on('pageerror', (error) => problems.push(`${error}`));
    page.on('console', (message) => problems.push(message.text()));
    await page.goto(`${farm.daemon.url}/novnc/page#${address}`);
    await eventually('noVNC is connected', () => page.evaluate(() => !!window.seen?.connect), { ms: MS })
        .catch((error) => assert.fail(`${error.message}: ${problems.join('; ')}`));
    return page;
}

/** How many pixels of noVNC's canvas differ from the server's own screenshot. */
function countWrong(page) {
    const url = `${farm.daemon.url}/v1/sandboxes/${farm.id}/desktop/screenshot?format=png&cursor=false`;
    return page.evaluate(async (from) => {
        const bitmap = await createImageBitmap(await (await fetch(from)).blob());
        const canvas = new OffscreenCanvas(bitmap.width, bitmap.height), context = canvas.getContext('2d');
        context.drawImage(bitmap, 0, 0);
        const shown = document.querySelector('#screen canvas');
        if (shown.width !== bitmap.width || shown.height !== bitmap.height)
            return -1;
        const a = new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
        const b = new Uint32Array(shown.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
        return a.reduce((n, v, i) => n + (v !== b[i]), 0);
    }, url);
}

const isExact = (page) => eventually('every pixel is the guest\'s', async () => await countWrong(page) === 0, { ms: MS, every: 200 });

test('noVNC shows the guest to the pixel', options, async () => {
    const page = await openViewer();
    assert.equal(await page.evaluate(() => window.seen.desktopname.name), farm.id);
    await isExact(page);
    for (let i = 0; i < 5; i++) {
        await farm.probe.fill(17 + 110 * i, 40 + 90 * i, 200, 130, `#${i}f0${i}9c`);
        await isExact(page);
    }
    await page.close();
});

test('keys and clicks of noVNC arrive in the guest', options, async () => {
    const page = await openViewer();
    await isExact(page);
    const from = farm.probe.mark(), ms = MS;
    await page.mouse.click(321, 234);
    await farm.probe.until((e) => e.ev === 'button' && !e.down && e.x === 321 && e.y === 234, { from, ms, what: 'a click' });
    await page.evaluate(() => rfb.focus());
    await page.keyboard.press('KeyA');
    await farm.probe.until((e) => e.ev === 'key' && e.code === 30 && !e.down, { from, ms, what: 'the key' });
    assert.deepEqual(await farm.probe.held().then(({ keys, buttons }) => [keys, buttons]), [[], []]);
    await page.close();
});

test('a link to watch lets noVNC watch alone', options, async () => {
    const link = (await farm.client.call('POST', `/v1/sandboxes/${farm.id}/desktop/vnc`,
        { body: { listen: 'websocket', role: 'view' } })).json;
    const page = await openViewer(link.address);
    await isExact(page);
    const from = farm.probe.mark();
    await page.mouse.click(400, 300);
    await page.evaluate(() => rfb.focus());
    await page.keyboard.press('KeyB');
    await farm.probe.fill(0, 0, 50, 50, '#123456');
    await isExact(page);
    assert.deepEqual((await farm.probe.received(farm.client, from)).filter((e) => e.ev !== 'ok' && e.ev !== 'painted'), []);
    await page.close();
});
