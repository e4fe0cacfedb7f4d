/** Every way to act on a desktop from the page, and the page itself on a phone, in the dark and without a mouse. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { buildDir } from '../integration/lib/daemon.mjs';
import { useFarm } from '../integration/lib/farm.mjs';
import { eventually } from '../integration/lib/wait.mjs';
import { lacksBrowser, openBrowser } from './lib.mjs';

const farm = useFarm();
const options = { skip: farm.skip || lacksBrowser(), timeout: 120000 };
const pictures = path.join(buildDir, 'browser');
let browser, phone;

before(async () => {
    if (options.skip)
        return;
    fs.mkdirSync(pictures, { recursive: true });
    browser = await openBrowser();
    phone = await openBrowser({ viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
}, { timeout: 60000 });
after(async () => {
    await browser?.close();
    await phone?.close();
}, { timeout: 30000 });

const shot = (page, name) => page.screenshot({ path: path.join(pictures, `${name}.png`) });
const waitFor = (page, fn, argument) => eventually(`${fn}`, () => page.evaluate(fn, argument), { ms: 20000 });
const isControl = () => document.querySelector('#role').dataset.role === 'control';

async function open(from = browser, control = true) {
    const page = await from.context.newPage();
    page.problems = [];
    page.on('pageerror', (error) => page.problems.push(`${error}`));
    page.on('console', (message) => message.type() === 'error' && page.problems.push(message.text()));
    await page.goto(`${farm.daemon.url}/desktops/${farm.id}`);
    await waitFor(page, () => document.querySelector('#frame').dataset.exact === 'true');
    if (control) {
        await page.locator('#control').click();
        await waitFor(page, isControl);
    }
    return page;
}

async function close(page) {
    assert.deepEqual(page.problems, []);
    await page.close();
}

/** A native pixel's place on the page. */
async function place(page, x, y) {
    const [box, size] = [await page.locator('#screen').boundingBox(), await page.evaluate(() => {
        const { width, height } = document.querySelector('#screen');
        return { width, height };
    })];
    return [box.x + ((x + 0.5) * box.width) / size.width, box.y + ((y + 0.5) * box.height) / size.height];
}

const isNear = (e, x, y, by) => Math.abs(e.x - x) <= by && Math.abs(e.y - y) <= by;

test('keys are physical, whatever the layout of the browser makes of them', options, async () => {
    const page = await open();
    const from = farm.probe.mark();
    /* What a French keyboard reports for the key that is labelled A there. */
    await page.evaluate(() => {
        for (const type of ['keydown', 'keyup'])
            document.querySelector('#screen').dispatchEvent(new KeyboardEvent(type, { code: 'KeyQ', key: 'a', bubbles: true, cancelable: true }));
    });
    await farm.probe.until((e) => e.ev === 'key' && e.code === 16 && !e.down, { from });
    for (const [name, code] of [['Tab', 15], ['Escape', 1], ['F5', 63], ['ArrowLeft', 105], ['NumpadEnter', 96], ['ShiftRight', 54], ['IntlBackslash', 86]]) {
        const mark = farm.probe.mark();
        await page.evaluate((it) => {
            for (const type of ['keydown', 'keyup'])
                document.querySelector('#screen').dispatchEvent(new KeyboardEvent(type, { code: it, bubbles: true, cancelable: true }));
        }, name);
        await farm.probe.until((e) => e.ev === 'key' && e.code === code && !e.down, { from: mark, what: name });
    }
    await close(page);
});

test('all buttons, a drag, and the wheel both ways', options, async () => {
    const page = await open();
    for (const [button, number] of [['left', 1], ['middle', 2], ['right', 3]]) {
        const from = farm.probe.mark();
        await page.mouse.click(...await place(page, 200 + 50 * number, 100), { button });
        const up = await farm.probe.until((e) => e.ev === 'button' && e.button === number && !e.down, { from });
        assert.ok(isNear(up, 200 + 50 * number, 100, 1), JSON.stringify(up));
    }
    let from = farm.probe.mark();
    await page.mouse.move(...await place(page, 300, 300));
    await page.mouse.down();
    await page.mouse.move(...await place(page, 500, 420), { steps: 8 });
    await page.mouse.up();
    const up = await farm.probe.until((e) => e.ev === 'button' && !e.down, { from });
    assert.ok(isNear(farm.probe.since(from, 'button')[0], 300, 300, 1) && isNear(up, 500, 420, 1));
    assert.ok(farm.probe.since(from, 'motion').some((e) => e.mods & 256), 'it moved while the button was down');
    from = farm.probe.mark();
    await page.mouse.wheel(0, -300);
    await eventually('three notches up', async () => farm.probe.since(from, 'wheel').reduce((sum, e) => sum + e.dy, 0) === -3);
    from = farm.probe.mark();
    await page.mouse.wheel(200, 0);
    await eventually('two notches to the right', async () => farm.probe.since(from, 'wheel').reduce((sum, e) => sum + e.dx, 0) === 2);
    await close(page);
});

test('held keys go up with the control, the focus and the page', options, async () => {
    const page = await open();
    for (const how of ['give back', 'blur']) {
        const from = farm.probe.mark();
        await page.locator('#screen').focus();
        await page.keyboard.down('KeyZ');
        await farm.probe.until((e) => e.ev === 'key' && e.down && e.code === 44, { from });
        if (how === 'blur')
            await page.evaluate(() => document.querySelector('#screen').blur());
        else
            await page.locator('#control').click();
        await farm.probe.until((e) => e.ev === 'key' && !e.down && e.code === 44, { from, what: how });
        await page.keyboard.up('KeyZ');
        if (how === 'give back') {
            await page.locator('#control').click();
            await waitFor(page, isControl);
        }
    }
    await close(page);
});

test('the page works by keyboard alone', options, async () => {
    const page = await open(browser, false);
    for (let i = 0; i < 8 && await page.evaluate(() => document.activeElement.id) !== 'control'; i++)
        await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await waitFor(page, isControl);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'screen', 'keys go to the desktop');
    await shot(page, 'live-keyboard');
    const from = farm.probe.mark();
    await page.keyboard.press('Tab');
    await farm.probe.until((e) => e.ev === 'key' && e.code === 15 && !e.down, { from, what: 'Tab goes to the guest' });
    for (const key of ['ControlLeft', 'AltLeft', 'ShiftLeft'])
        await page.keyboard.down(key);
    for (const key of ['ControlLeft', 'AltLeft', 'ShiftLeft'])
        await page.keyboard.up(key);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'control', 'the chord leads back');
    await eventually('nothing is held', async () => (await farm.probe.held()).keys.length === 0);
    /* On to the menu of keys, and a chord that no browser lets through. */
    for (let i = 0; i < 6 && await page.evaluate(() => document.activeElement.textContent) !== 'Keys'; i++)
        await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await shot(page, 'live-keys');
    await page.keyboard.press('Tab');
    const mark = farm.probe.mark();
    await page.keyboard.press('Enter');
    await farm.probe.until((e) => e.ev === 'key' && e.code === 111 && e.down, { from: mark, what: 'Delete' });
    assert.deepEqual(farm.probe.since(mark, 'key').filter((e) => e.down).map((e) => e.code), [29, 56, 111]);
    await eventually('nothing is held', async () => (await farm.probe.held()).keys.length === 0);
    await close(page);
});

test('the picture fits, is 1:1, or the desktop takes the page\'s size', options, async () => {
    const page = await open();
    const boxOf = async () => (await page.locator('#screen').boundingBox()).width;
    assert.ok(await boxOf() <= 1280);
    await page.selectOption('#mode', 'exact');
    assert.equal(await boxOf(), 1280);
    const from = farm.probe.mark();
    await page.setViewportSize({ width: 1100, height: 700 });
    await page.selectOption('#mode', 'resize');
    const resized = await farm.probe.until((e) => e.ev === 'resized', { from, ms: 20000 });
    await waitFor(page, ([w, h]) => document.querySelector('#screen').width === w && document.querySelector('#screen').height === h, [resized.w, resized.h]);
    const main = await page.locator('#main').boundingBox();
    assert.ok(Math.abs(resized.w - main.width) <= 8 && Math.abs(resized.h - main.height) <= 1, JSON.stringify([resized, main]));
    await shot(page, 'live-resized');
    const back = farm.probe.mark();
    await page.selectOption('#mode', 'fit');
    await page.setViewportSize({ width: 1280, height: 800 });
    await farm.client.resize(farm.id, 1280, 800);
    await farm.probe.until((e) => e.ev === 'resized' && e.w === 1280 && e.h === 800, { from: back, ms: 20000 });
    await close(page);
});

test('full screen keeps in sight who acts', options, async () => {
    const page = await open();
    await page.locator('#full').click();
    await waitFor(page, () => document.body.classList.contains('is-full'));
    assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('#main'), '::after').content), '"In control"');
    await shot(page, 'live-full');
    const from = farm.probe.mark();
    await page.keyboard.press('KeyF');
    await farm.probe.until((e) => e.ev === 'key' && e.code === 33 && !e.down, { from });
    await page.evaluate(() => document.exitFullscreen());
    await waitFor(page, () => !document.body.classList.contains('is-full'));
    await close(page);
});

test('a phone: taps, a long press, two fingers, a keyboard that only has letters', options, async () => {
    const page = await open(phone);
    await shot(page, 'live-phone');
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(overflow <= 0, `the page is ${overflow} pixels too wide`);
    for (const id of ['role', 'control', 'latency'])
        assert.ok(await page.locator(`#${id}`).isVisible(), `${id} is in sight`);
    let from = farm.probe.mark();
    await page.touchscreen.tap(...await place(page, 640, 400));
    const up = await farm.probe.until((e) => e.ev === 'button' && e.button === 1 && !e.down, { from });
    assert.ok(isNear(up, 640, 400, 4), JSON.stringify(up));
    const session = await phone.context.newCDPSession(page);
    const touch = (type, ...points) => session.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });
    const [x, y] = await place(page, 500, 300);
    from = farm.probe.mark();
    await touch('touchStart', [x, y]);
    await farm.probe.until((e) => e.ev === 'button' && e.button === 3 && !e.down, { from, what: 'a long press clicks right' });
    await touch('touchEnd');
    from = farm.probe.mark();
    await touch('touchStart', [x, y], [x + 40, y]);
    for (let i = 1; i <= 6; i++)
        await touch('touchMove', [x, y - 20 * i], [x + 40, y - 20 * i]);
    await touch('touchEnd');
    await farm.probe.until((e) => e.ev === 'wheel' && e.dy === 1, { from, what: 'two fingers scroll' });
    from = farm.probe.mark();
    await page.locator('#keyboard').click();
    await waitFor(page, () => document.activeElement.id === 'typed');
    await page.keyboard.insertText('Hello');
    await page.keyboard.insertText(' again');
    await page.keyboard.press('Backspace');
    await page.keyboard.press('Enter');
    const typed = () => farm.probe.since(from, 'key').filter((e) => e.down).map((e) => e.text || e.keysym)
        .filter((name) => !name.startsWith('Shift')).join('');
    await eventually('the text', async () => typed() === 'Hello againBackSpace\n', { ms: 20000 })
        .catch((error) => assert.fail(`${error.message}: ${JSON.stringify(typed())}`));
    assert.deepEqual(page.problems, []);
    await page.emulateMedia({ colorScheme: 'dark' });
    await shot(page, 'live-phone-dark');
    await page.goto(farm.daemon.url);
    await page.locator('.card img:not([hidden])').waitFor();
    await shot(page, 'wall-phone-dark');
    await close(page);
});

test('dark and light', options, async () => {
    const page = await open();
    await page.emulateMedia({ colorScheme: 'dark' });
    await shot(page, 'live-dark');
    const ground = await page.evaluate(() => getComputedStyle(document.querySelector('header')).backgroundColor);
    await page.emulateMedia({ colorScheme: 'light' });
    assert.notEqual(ground, await page.evaluate(() => getComputedStyle(document.querySelector('header')).backgroundColor));
    await close(page);
});

test('what was copied in the desktop is on the browser\'s clipboard, or a button away', options, async () => {
    const page = await open();
    await browser.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: farm.daemon.url });
    const copied = () => page.evaluate(() => navigator.clipboard.readText());
    await page.evaluate(() => window.deskfarm.link.listener.clipboard('Grüße ✓'));
    await eventually('it is there', async () => await copied() === 'Grüße ✓');
    await page.evaluate(() => {
        const { writeText } = navigator.clipboard;
        navigator.clipboard.writeText = () => Promise.reject(new Error('not now'));
        window.deskfarm.link.listener.clipboard('later');
        window.allow = () => { navigator.clipboard.writeText = writeText; };
    });
    await page.locator('#copied').waitFor();
    await page.evaluate(() => window.allow());
    await page.locator('#copied').click();
    await eventually('it is there', async () => await copied() === 'later');
    await close(page);
});
