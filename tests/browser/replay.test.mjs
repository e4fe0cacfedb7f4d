/** The replay page in Chromium: every moment it shows is the frame that was recorded. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { count, Random } from '../integration/lib/counts.mjs';
import { buildDir } from '../integration/lib/daemon.mjs';
import { useFarm } from '../integration/lib/farm.mjs';
import { Probe } from '../integration/lib/probe.mjs';
import { eventually } from '../integration/lib/wait.mjs';
import { lacksBrowser, openBrowser } from './lib.mjs';

const pictures = process.env.DESKFARM_PICTURES ?? path.join(buildDir, 'browser');
let browser, recording;

const farm = useFarm({
    prepare: async (it) => {
        if (lacksBrowser())
            return;
        fs.mkdirSync(pictures, { recursive: true });
        await perform(it, 'written in the recording');
        recording = (await it.client.get(it.id)).recording.id;
        browser = await openBrowser();
    },
});
const options = { skip: farm.skip || lacksBrowser(), timeout: 180000 };

/** Something to see: typing, a film, a long pause, clicks. */
async function perform({ client, probe, id }, label) {
    const act = (actions) => client.act(id, actions, { settle: { quiet_ms: 100, max_ms: 2000 } });
    const steps = (color) => [0, 60, 150].map((delay_ms, i) => ({ x: 200 + i * 150, y: 200, w: 120, h: 300, color, delay_ms }));
    await probe.command('on_input', { on: 'key', steps: steps('#c03030') });
    await act({ type: 'type', text: label });
    await probe.command('animate', { on: true, x: 700, y: 100, w: 480, h: 360, fps: 20 });
    await act([{ type: 'wait', duration_ms: 1500 }]);
    await probe.command('animate', { on: false });
    await act([{ type: 'wait', duration_ms: 3500 }]);
    await probe.command('on_input', { on: 'button', steps: steps('#30c060') });
    await act({ type: 'click', x: 320, y: 240 });
    await probe.clear();
    await act([{ type: 'move', x: 20, y: 20 }]);
}

after(() => browser?.close(), { timeout: 30000 });

const waitFor = (page, fn, argument, ms) => eventually(`${fn}`, () => page.evaluate(fn, argument), ms ? { ms } : undefined);

async function open(id = recording, rest = '') {
    const page = await browser.context.newPage();
    page.problems = [];
    page.on('pageerror', (error) => page.problems.push(`${error}`));
    page.on('console', (message) => message.type() === 'error' && page.problems.push(message.text()));
    await page.goto(`${farm.daemon.url}/recordings/${id}${rest}`);
    await waitFor(page, async () => window.deskfarm && (await window.deskfarm.isReady) && window.deskfarm.main.replayer.shown >= 0);
    return page;
}

async function close(page) {
    assert.deepEqual(page.problems, []);
    await page.close();
}

/** Pixels of a canvas that differ from the picture at an address; -1 for another size. */
const countWrong = (page, selector, url) => page.evaluate(async ([canvasSelector, from]) => {
    const response = await fetch(from);
    const bitmap = await createImageBitmap(await response.blob());
    const own = document.querySelector(canvasSelector), copy = new OffscreenCanvas(bitmap.width, bitmap.height), context = copy.getContext('2d');
    context.drawImage(bitmap, 0, 0);
    if (own.width !== copy.width || own.height !== copy.height)
        return -1;
    const a = new Uint32Array(context.getImageData(0, 0, copy.width, copy.height).data.buffer);
    const b = new Uint32Array(own.getContext('2d').getImageData(0, 0, copy.width, copy.height).data.buffer);
    return a.reduce((n, v, i) => n + (v !== b[i]), 0);
}, [selector, url]);

const frameUrl = (id, time) => `${farm.daemon.url}/v1/recordings/${id}/frame?time_us=${Math.floor(time)}`;

/** Goes to a time; returns whether the frame there is recorded exact. */
const seek = (page, time) => page.evaluate(async (to) => {
    await window.deskfarm.seek(to);
    const { recording: it, main } = window.deskfarm;
    return { frame: it.frames[main.replayer.shown].id, isExact: it.frames[main.replayer.shown].isExact };
}, time);

const spanOf = (page) => page.evaluate(() => ({ first: window.deskfarm.recording.first, last: window.deskfarm.recording.last }));

test('any moment is the frame of that moment, to the pixel', options, async (t) => {
    const random = new Random();
    const page = await open();
    const { first, last } = await spanOf(page);
    let exact = 0;
    for (let i = 0; i < count('seeks') || exact < 10; i++) {
        assert.ok(i < 200, 'enough exact moments');
        const time = first + random.int(0, Math.floor((last - first) / 1000)) * 1000;
        const { isExact, frame } = await seek(page, time);
        if (!isExact)
            continue;
        exact++;
        assert.equal(await countWrong(page, '#screen', frameUrl(recording, time)), 0, `frame ${frame} at ${time - first} µs`);
    }
    t.diagnostic(`seed ${random.seed}; ${exact} exact moments`);
    await page.screenshot({ path: path.join(pictures, 'replay.png') });
    await close(page);
});

test('the list jumps to an action, and keys step over frames', options, async () => {
    const page = await open();
    const item = page.locator('#notes li', { hasText: 'click 320, 240' });
    await item.locator('button').click();
    const at = await page.evaluate(() => window.deskfarm.recording.notes.find((it) => it.action?.type === 'click').at_us);
    await waitFor(page, (want) => window.deskfarm.time === want, at);
    await waitFor(page, () => document.querySelector('#notes .is-now')?.textContent.includes('click 320'));
    const number = () => page.evaluate(() => window.deskfarm.main.replayer.shown);
    await seek(page, at); /* the time is there at once, its frame when it is decoded */
    const before = await number();
    await page.locator('#forward').click();
    await eventually('one frame on', async () => await number() === before + 1);
    await page.keyboard.press(',');
    await eventually('one frame back', async () => await number() === before);
    await page.keyboard.press('p');
    await waitFor(page, (was) => window.deskfarm.time < was, at);
    await close(page);
});

test('typed text is found, and shown when it was typed', options, async () => {
    const page = await open();
    await page.locator('#search').fill('WRITTEN in');
    await eventually('one is left', async () => await page.locator('#notes li').count() === 1);
    await page.locator('#notes button').click();
    await eventually('the caption', async () => (await page.locator('.caption').textContent()).includes('written in the recording'));
    await close(page);
});

/** How far a picture of the page is from one at an address, on average per colour; both at 1280x800. */
const distance = (page, url) => page.evaluate(async (from) => {
    const pixels = (image) => {
        const context = new OffscreenCanvas(1280, 800).getContext('2d');
        context.drawImage(image, 0, 0, 1280, 800);
        return context.getImageData(0, 0, 1280, 800).data;
    };
    const picture = await createImageBitmap(await (await fetch(from)).blob());
    const a = pixels(document.querySelector('video')), b = pixels(picture);
    return a.reduce((sum, v, i) => sum + Math.abs(v - b[i]), 0) / a.length;
}, url);

test('the exported page replays without a network', options, async () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-page-')), file = path.join(dir, 'page.html');
    execFileSync(path.join(buildDir, 'cli/deskfarm'), ['--url', farm.daemon.url, 'export', recording, '--format', 'html', '-o', file]);
    const page = await browser.context.newPage();
    const asked = [];
    page.on('request', (request) => /^https?:/.test(request.url()) && asked.push(request.url()));
    await page.goto(`file://${file}`);
    await waitFor(page, () => document.querySelector('video').readyState >= 2);
    const { json: { items } } = await farm.client.call('GET', `/v1/recordings/${recording}/actions`, { query: { q: 'written in the recording' } });
    const label = page.getByRole('button', { name: 'written in the recording' });
    await label.click();
    await waitFor(page, () => !document.querySelector('video').seeking && document.querySelector('li.now')?.textContent.includes('written'));
    const at = await page.evaluate(() => document.querySelector('video').currentTime);
    assert.deepEqual(asked, []);
    const { json: { segments } } = await farm.client.call('GET', `/v1/recordings/${recording}/index`);
    const first = segments.flatMap(({ frames }) => frames)[0][0];
    const shot = await farm.client.call('GET', `/v1/recordings/${recording}/frame`, { query: { time_us: Math.floor(first + at * 1e6) } });
    assert.ok(items.length === 1 && await distance(page, `data:image/png;base64,${shot.body.toString('base64')}`) < 6, 'it shows the frame of that moment');
    await page.evaluate(() => document.querySelector('video').play());
    await waitFor(page, (from) => document.querySelector('video').currentTime > from + 0.5, at);
    await page.screenshot({ path: path.join(pictures, 'exported-page.png') });
    await page.close();
    fs.rmSync(dir, { recursive: true });
});

test('playing skips what is idle', options, async () => {
    const page = await open();
    const jumped = await page.evaluate(async () => {
        const gaps = [];
        let before = window.deskfarm.time;
        document.querySelector('#speed').value = '16';
        document.querySelector('#play').click();
        const end = performance.now() + 30000;
        while (performance.now() < end && document.querySelector('#play').textContent === 'Pause') {
            await new Promise((resolve) => requestAnimationFrame(resolve));
            const now = window.deskfarm.time;
            gaps.push(now - before);
            before = now;
            if (now >= window.deskfarm.recording.last - 1000)
                break;
        }
        return Math.max(...gaps);
    });
    assert.ok(jumped > 1500000, `the longest step was ${jumped} µs`);
    await close(page);
});

test('a link leads to its moment', options, async () => {
    const page = await open(recording, '#t=2.5');
    assert.equal(await page.evaluate(() => Math.round((window.deskfarm.time - window.deskfarm.recording.first) / 1000)), 2500);
    const frame = await page.evaluate(() => window.deskfarm.recording.frames.findLast((it) => it.isExact).id);
    await close(page);
    const other = await open(recording, `#frame=${frame}`);
    assert.equal(await other.locator('#frame').textContent(), String(frame));
    await close(other);
});

test('a recording that is being written goes on', options, async () => {
    const page = await open();
    const before = (await spanOf(page)).last;
    await page.locator('#live').click();
    await farm.probe.fill(400, 400, 200, 100, '#4060ff');
    await waitFor(page, (was) => window.deskfarm.recording.last > was, before);
    await eventually('the newest frame', async () => {
        const url = `${farm.daemon.url}/v1/sandboxes/${farm.id}/desktop/screenshot?format=png&cursor=false`;
        return await countWrong(page, '#screen', url) === 0;
    });
    await close(page);
});

/* What the probe paints was asked for beside the actions, so a new one paints nothing. */
test('a button does the same again, and leads to where it differs', options, async () => {
    const page = await open();
    await page.locator('#rerun').click();
    await eventually('what came of it', async () => /differ after request \d+: \d+ pixels/.test(await page.locator('#rerun-note').textContent()), { ms: 150000 });
    await page.locator('#rerun-note a').click();
    await waitFor(page, async () => window.deskfarm && (await window.deskfarm.isReady) && window.deskfarm.second?.replayer.shown >= 0);
    assert.match(page.url(), new RegExp(`/recordings/${recording}\\?with=rc-\\w+&align=action#`));
    await close(page);
});

test('a fork\'s recording hangs below its parent\'s; two are shown side by side, by time and by action', options, async () => {
    const [fork] = (await farm.client.call('POST', `/v1/sandboxes/${farm.id}/fork`, { body: {} })).json.items;
    const probe = await Probe.attach(farm.daemon, fork.id, { isUp: true });
    await perform({ client: farm.client, probe, id: fork.id }, 'in the fork');
    probe.close();
    const other = (await farm.client.get(fork.id)).recording.id;
    const page = await open(recording, `?with=${other}`);
    await waitFor(page, () => document.querySelectorAll('.view').length === 2 && window.deskfarm.second.replayer.shown >= 0);
    await eventually('the tree', async () => (await page.locator('#tree').textContent()).includes(fork.id));
    for (const align of ['time', 'action']) {
        await page.locator('#align').selectOption(align);
        const { first } = await spanOf(page);
        await seek(page, first + 3000000);
        const pair = await page.evaluate(() => ({ time: window.deskfarm.second.at, is: window.deskfarm.second.recording.frames[window.deskfarm.second.replayer.shown].isExact,
            first: window.deskfarm.second.recording.first }));
        if (align === 'time')
            assert.equal(pair.time - pair.first, 3000000);
        if (pair.is)
            assert.equal(await countWrong(page, '.view:nth-child(2) .picture', frameUrl(other, pair.time)), 0);
    }
    /* At the same action both stand at theirs. */
    const times = await page.evaluate(async () => {
        const click = (it) => it.notes.find((n) => n.action?.type === 'click').at_us;
        await window.deskfarm.seek(click(window.deskfarm.recording));
        return [window.deskfarm.second.at, click(window.deskfarm.second.recording)];
    });
    assert.ok(Math.abs(times[0] - times[1]) < 2, `${times}`);
    await page.screenshot({ path: path.join(pictures, 'replay-two.png') });
    await close(page);
    const list = await browser.context.newPage();
    await list.goto(`${farm.daemon.url}/recordings`);
    await eventually('both are listed', async () => await list.locator('#rows tr').count() >= 2);
    await list.screenshot({ path: path.join(pictures, 'recordings.png') });
    await list.close();
    await farm.client.delete(fork.id);
});
