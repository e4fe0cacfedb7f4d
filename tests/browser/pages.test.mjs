/** The daemon's own pages, in Chromium. Pictures for a person go to BUILD_DIR/browser/. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Daemon } from '../integration/lib/daemon.mjs';
import { useFarm } from '../integration/lib/farm.mjs';
import { eventually } from '../integration/lib/wait.mjs';
import { useBrowser } from './lib.mjs';

const farm = useFarm();
const browser = useBrowser(farm);
const { options, shot } = browser;

/** A page that fails the test when it logs an error or loads anything from elsewhere. */
async function openPage(url) {
    const page = await browser.context.newPage();
    page.problems = [];
    page.on('pageerror', (error) => page.problems.push(`${error}`));
    page.on('console', (message) => message.type() === 'error' && !/status of 401/.test(message.text()) && page.problems.push(message.text()));
    page.on('request', (request) => new URL(request.url()).port !== `${farm.daemon.port}` && /^http/.test(request.url())
        && !page.isForeign && page.problems.push(`asks for ${request.url()}`));
    await page.goto(url);
    return page;
}


/** The colour of a canvas at a place. */
function colorAt(page, selector, x, y) {
    return page.evaluate(([sel, px, py]) => {
        const context = document.querySelector(sel).getContext('2d');
        return [...context.getImageData(px, py, 1, 1).data].slice(0, 3);
    }, [selector, x, y]);
}

/** Playwright's own waiting evaluates strings, which the pages' policy forbids. */
const waitFor = (page, fn, argument) => eventually(`${fn}`, () => page.evaluate(fn, argument));

const isNear = (a, b) => a.every((v, i) => Math.abs(v - b[i]) < 24);

test('the list shows the sandbox with its picture', options, async () => {
    const page = await openPage(`${farm.daemon.url}/`);
    const card = page.locator('.card');
    await card.first().waitFor();
    assert.equal(await card.count(), 1);
    await page.locator(`.card:has-text("${farm.id}") img:not([hidden])`).waitFor();
    await waitFor(page, () => document.querySelector('.card img').naturalWidth > 100);
    assert.match(await card.textContent(), /Running/);
    await shot(page, 'list');
    await page.emulateMedia({ colorScheme: 'dark' });
    await shot(page, 'list-dark');
    await page.setViewportSize({ width: 390, height: 800 });
    await shot(page, 'list-narrow');
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), 'nothing sticks out on a narrow screen');
    assert.deepEqual(page.problems, []);
    await page.close();
});

test('dark and light differ', options, async () => {
    const page = await openPage(`${farm.daemon.url}/`);
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.emulateMedia({ colorScheme: 'light' });
    const light = await background();
    await page.emulateMedia({ colorScheme: 'dark' });
    assert.notEqual(await background(), light);
    await page.close();
});

test('a desktop\'s page shows the guest\'s screen and follows it', options, async (t) => {
    await farm.probe.clear();
    const page = await openPage(`${farm.daemon.url}/`);
    await page.locator('.card .name').click();
    await page.waitForURL(`**/desktops/${farm.id}`);
    await waitFor(page, () => document.querySelector('#screen').width === 1280 && document.querySelector('#frame').dataset.exact === 'true');
    assert.ok(isNear(await colorAt(page, '#screen', 250, 40), [250, 40, 0]), 'the pattern');
    await shot(page, 'desktop');
    const before = await page.locator('#frame').textContent();
    const painted = await farm.probe.fill(400, 300, 200, 150, '#00c800');
    await waitFor(page, (old) => document.querySelector('#frame').textContent !== old, before);
    t.diagnostic(`the page showed a change ${(performance.now() - painted.hostMs).toFixed(0)} ms after it`);
    assert.ok(isNear(await colorAt(page, '#screen', 500, 370), [0, 200, 0]), `the change: ${await colorAt(page, '#screen', 500, 370)}`);
    await shot(page, 'desktop-changed');
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.locator('#mode').selectOption('exact');
    await shot(page, 'desktop-dark-exact');
    assert.deepEqual(page.problems, []);
    await page.close();
    await farm.probe.clear();
});

test('a desktop that does not exist says so', options, async () => {
    const page = await openPage(`${farm.daemon.url}/desktops/sb-none`);
    await waitFor(page, () => /sb-none|no such|not/i.test(document.querySelector('#note').textContent) && !/Waiting/.test(document.querySelector('#note').textContent));
    await shot(page, 'desktop-missing');
    await page.close();
});

test('everything can be reached and is named for those who do not see it', options, async () => {
    const page = await openPage(`${farm.daemon.url}/`);
    await page.locator('.card').first().waitFor();
    const nameless = await page.evaluate(() => [...document.querySelectorAll('button, a[href], input, select')]
        .filter((e) => !e.closest('[hidden], [aria-hidden=true]') && !e.textContent.trim() && !e.getAttribute('aria-label') && !e.labels?.length).map((e) => e.outerHTML));
    assert.deepEqual(nameless, []);
    assert.ok(await page.evaluate(() => document.documentElement.lang && document.title));
    await page.close();
});

test('a key logs in, and is in no storage that scripts can read', options, async () => {
    const daemon = await Daemon.start();
    try {
        const { json } = await daemon.client().call('POST', '/v1/keys', { body: { name: 'person', role: 'operator' } });
        const page = await browser.context.newPage();
        await page.goto(`${daemon.url}/`);
        const input = page.locator('input[name=key]');
        await input.waitFor();
        await shot(page, 'login');
        await input.fill('df_wrong');
        await page.locator('.login button').click();
        await page.locator('.login [role=alert]:not([hidden])').waitFor();
        await input.fill(json.key);
        await page.locator('.login button').click();
        await page.locator('.login').waitFor({ state: 'detached' });
        await page.locator('#empty:not([hidden])').waitFor();
        await shot(page, 'empty');
        const readable = await page.evaluate(() => document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage));
        assert.ok(!readable.includes(json.key) && !readable.includes('deskfarm'), readable);
        await page.close();
    } finally {
        await daemon.destroy();
    }
});
