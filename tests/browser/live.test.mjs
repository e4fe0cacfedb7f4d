/** The live view in Chromium against a guest: exact pixels, hands, roles, and a daemon that restarts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useFarm } from '../integration/lib/farm.mjs';
import { eventually } from '../integration/lib/wait.mjs';
import { WebSocketClient, frame } from '../integration/lib/websocket.mjs';
import { useBrowser } from './lib.mjs';

const farm = useFarm({ daemon: { keepGuests: true } });
const browser = useBrowser(farm);
const { options, shot } = browser;

/* Playwright's own waiting evaluates strings, which the pages' policy forbids. */
const waitFor = (page, fn, argument, ms) => eventually(`${fn}`, () => page.evaluate(fn, argument), ms ? { ms } : undefined);
const isExact = () => document.querySelector('#frame').dataset.exact === 'true';

async function openDesktop(url = farm.daemon.url) {
    const page = await browser.context.newPage();
    page.problems = [];
    page.on('pageerror', (error) => page.problems.push(`${error}`));
    page.on('console', (message) => message.type() === 'error' && page.problems.push(message.text()));
    await page.goto(`${url}/desktops/${farm.id}`);
    await waitFor(page, () => document.querySelector('#screen').width === 1280);
    await waitFor(page, isExact);
    return page;
}

async function takeControl(page) {
    await page.locator('#control').click();
    await waitFor(page, () => document.querySelector('#role').dataset.role === 'control');
}

/** How many pixels of the canvas differ from the server's own screenshot. */
async function countWrong(page) {
    const url = `${farm.daemon.url}/v1/sandboxes/${farm.id}/desktop/screenshot?format=png&cursor=false`;
    return page.evaluate(async (from) => {
        const bitmap = await createImageBitmap(await (await fetch(from)).blob());
        const canvas = new OffscreenCanvas(bitmap.width, bitmap.height), context = canvas.getContext('2d');
        context.drawImage(bitmap, 0, 0);
        const a = new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
        const b = new Uint32Array(document.querySelector('#screen').getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
        return a.length === b.length ? a.reduce((n, v, i) => n + (v !== b[i]), 0) : -1;
    }, url);
}

/** Clicks at a native pixel of the desktop. */
async function clickAt(page, x, y, button = 'left') {
    const box = await page.locator('#screen').boundingBox();
    await page.mouse.click(box.x + ((x + 0.5) * box.width) / 1280, box.y + ((y + 0.5) * box.height) / 800, { button });
}

test('the canvas is the guest\'s screen to the pixel, before and after changes', options, async (t) => {
    await farm.probe.clear();
    const page = await openDesktop();
    await shot(page, 'live');
    assert.equal(await countWrong(page), 0);
    for (let i = 0; i < 10; i++) {
        const before = await page.locator('#frame').textContent();
        const painted = await farm.probe.fill(100 + i * 50, 200, 40, 40 + i, '#c80000');
        await waitFor(page, (old) => document.querySelector('#frame').textContent !== old, before);
        t.diagnostic(`shown ${(performance.now() - painted.hostMs).toFixed(0)} ms after the guest said so`);
        assert.equal(await countWrong(page), 0);
    }
    assert.deepEqual(page.problems, []);
    await page.close();
    await farm.probe.clear();
});

test('a click, the wheel and keys arrive in the guest', options, async () => {
    const page = await openDesktop();
    await takeControl(page);
    const mark = farm.probe.mark();
    await clickAt(page, 321, 123);
    const down = await farm.probe.until((e) => e.ev === 'button' && e.down, { from: mark });
    assert.ok(Math.abs(down.x - 321) <= 1 && Math.abs(down.y - 123) <= 1, JSON.stringify(down));
    await farm.probe.until((e) => e.ev === 'button' && !e.down, { from: mark });
    await page.keyboard.press('KeyA');
    assert.equal((await farm.probe.until((e) => e.ev === 'key' && e.down, { from: mark })).keysym, 'a');
    await page.keyboard.down('ShiftLeft');
    await page.keyboard.press('KeyB');
    await page.keyboard.up('ShiftLeft');
    await farm.probe.until((e) => e.ev === 'key' && e.down && e.keysym === 'B', { from: mark });
    await page.mouse.wheel(0, 100);
    assert.equal((await farm.probe.until((e) => e.ev === 'wheel', { from: mark })).dy, 1);
    await eventually('all is up', async () => {
        const { keys, buttons } = await farm.probe.held();
        return keys.length + buttons.length === 0;
    });
    await waitFor(page, () => !Number.isNaN(window.deskfarm.link.stats.latency) || window.deskfarm.link.stats.rtt > 0);
    await shot(page, 'live-control');
    assert.deepEqual(page.problems, []);
    await page.close();
});

test('what is held goes up when the page goes', options, async () => {
    const page = await openDesktop();
    await takeControl(page);
    const mark = farm.probe.mark();
    await page.keyboard.down('KeyQ');
    await farm.probe.until((e) => e.ev === 'key' && e.down && e.keysym === 'q', { from: mark });
    await page.close();
    await farm.probe.until((e) => e.ev === 'key' && !e.down && e.keysym === 'q', { from: mark });
});

function record(type, flags = 0, payload = Buffer.alloc(0)) {
    const head = Buffer.alloc(8);
    head[0] = type;
    head[1] = flags;
    head.writeUInt32LE(payload.length, 4);
    return Buffer.concat([head, payload]);
}

const hello = record(64, 0, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]));
const keyDown = record(66, 1, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 30, 0]));

/** A hand-made client with a link for that role. */
async function connect(role) {
    const { json } = await farm.client.call('POST', `/v1/sandboxes/${farm.id}/desktop/stream`, { body: { role } });
    const url = new URL(json.url);
    return { url, socket: await WebSocketClient.open(farm.daemon.port, url.pathname + url.search, { headers: { 'Sec-WebSocket-Protocol': 'deskfarm.stream.1' } }) };
}

test('who may only look injects nothing, whatever it sends', options, async () => {
    const { socket, url } = await connect('view');
    const mark = farm.probe.mark();
    for (const wish of [1, 2])
        socket.socket.write(frame(2, Buffer.concat(wish === 1 ? [hello, record(73, 1), keyDown] : [record(73, 2), keyDown])));
    await eventually('it is told', async () => socket.messages.some(({ data }) => data.includes('watching only') || data.includes('does not control')));
    assert.deepEqual((await farm.probe.received(farm.client, mark)).filter((e) => e.ev === 'key'), []);
    const again = new WebSocketClient(farm.daemon.port, url.pathname + url.search);
    await again.answered();
    assert.equal(again.status, 401, 'a link works once');
    socket.socket.destroy();
});

test('a client that breaks the protocol is closed', options, async () => {
    for (const bad of [keyDown, record(200), Buffer.from([1, 2, 3])]) {
        const { socket } = await connect('control');
        socket.socket.write(frame(2, bad));
        await eventually('it is closed', async () => socket.close?.code);
        assert.equal(socket.close.code, 1002);
        socket.socket.destroy();
    }
});

test('a person takes over from an agent, who is told, and gives back', options, async () => {
    const page = await openDesktop();
    const long = farm.client.call('POST', `/v1/sandboxes/${farm.id}/desktop/actions`,
        { body: { actions: [{ type: 'hold_key', keys: 'w', duration_ms: 20000 }], settle: false, screenshot: false } })
        .catch((error) => error);
    await waitFor(page, () => document.querySelector('#control').textContent === 'Take over');
    await shot(page, 'live-agent');
    await takeControl(page);
    const ended = await long;
    assert.equal(ended.code, 'conflict');
    assert.match(ended.message, /took over/);
    const act = (queue_ms) => farm.client.call('POST', `/v1/sandboxes/${farm.id}/desktop/actions`,
        { body: { actions: [{ type: 'move', x: 5, y: 5 }], queue_ms, settle: false, screenshot: false } }).catch((error) => error);
    const refused = await act(0);
    assert.equal(refused.code, 'conflict');
    assert.match(refused.message, /controls the desktop/);
    const waits = act(20000);
    await page.locator('#control').click();
    assert.ok((await waits).json.results, 'it waited and was done');
    await page.close();
});

test('two people: the second takes over, the first is told', options, async () => {
    const first = await openDesktop(), second = await openDesktop();
    await takeControl(first);
    await waitFor(second, () => document.querySelector('#control').textContent === 'Take over');
    await second.locator('#control').click();
    await waitFor(second, () => document.querySelector('#role').dataset.role === 'control');
    await waitFor(first, () => document.querySelector('#role').dataset.role === 'other');
    await first.close();
    await second.close();
});

test('the view is live again after the connection was lost', options, async (t) => {
    const page = await openDesktop();
    await page.evaluate(() => window.deskfarm.link.socket.close());
    const start = performance.now();
    await waitFor(page, () => window.deskfarm.link.stats.connects === 2 && window.deskfarm.link.socket?.readyState === 1);
    t.diagnostic(`connected again after ${(performance.now() - start).toFixed(0)} ms`);
    await waitFor(page, isExact);
    assert.equal(await countWrong(page), 0);
    await page.close();
});

/** Keeps the daemon's port, which the page knows. */
async function restartDaemon(end) {
    const { daemon } = farm, { port } = daemon;
    daemon.options.args = ['--port', `${port}`];
    await end(daemon);
    await daemon.start();
    farm.client = daemon.client();
}

for (const [how, end] of [['ended', (daemon) => daemon.stop()], ['killed', (daemon) => daemon.kill()]])
    test(`the view is live again, and in control, after the daemon was ${how} and started`, options, async (t) => {
        const page = await openDesktop();
        await takeControl(page);
        await page.evaluate(() => {
            const { link } = window.deskfarm;
            link.wasOpen = link.stats.connects;
            window.problemsAreExpected = true;
        });
        const said = [];
        await restartDaemon(async (daemon) => {
            await end(daemon);
            await waitFor(page, () => document.querySelector('#frame-box').classList.contains('is-lost'));
            said.push(await page.locator('#note').textContent());
            await shot(page, `live-lost-${how}`);
        });
        const back = performance.now();
        await waitFor(page, () => window.deskfarm.link.stats.connects > window.deskfarm.link.wasOpen && !document.querySelector('#frame-box').classList.contains('is-lost'), undefined, 30000);
        await waitFor(page, isExact, undefined, 30000);
        t.diagnostic(`live ${(performance.now() - back).toFixed(0)} ms after the daemon was ready; while it was away: ${said[0]}`);
        await waitFor(page, () => document.querySelector('#role').dataset.role === 'control');
        assert.equal(await countWrong(page), 0);
        const mark = farm.probe.mark();
        await page.keyboard.press('KeyK');
        await farm.probe.until((e) => e.ev === 'key' && e.down && e.keysym === 'k', { from: mark });
        await farm.probe.fill(300, 300, 77, 55, how === 'ended' ? '#00c800' : '#0000c8');
        await eventually('the change shows', async () => await countWrong(page) === 0);
        await page.close();
    });
