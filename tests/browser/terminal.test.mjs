/**
 * The terminal's page in Chromium, and a server in the guest opened on its own origin. Pictures for a
 * person go to BUILD_DIR/browser/.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useFarm } from '../integration/lib/farm.mjs';
import { startGuestServer } from '../integration/lib/guest-server.mjs';
import { eventually as soon } from '../integration/lib/wait.mjs';
import { useBrowser } from './lib.mjs';

/* A guest without KVM on a machine that others use too. */
const eventually = (what, ask, options) => soon(what, ask, { ms: 40000, ...options });
const farm = useFarm({
    prepare: () => eventually('the agent is ready', async () => (await farm.client.get(farm.id)).agent === 'ready'),
});
const browser = useBrowser(farm);
const { options, shot } = browser;

/** A page that remembers what it complains about, and its WebSockets. */
async function openPage(url) {
    const page = await browser.context.newPage();
    page.problems = [];
    page.on('pageerror', (error) => page.problems.push(`${error}`));
    page.on('console', (message) => message.type() === 'error' && page.problems.push(message.text()));
    await page.addInitScript(() => {
        const Real = WebSocket;
        window.sockets = [];
        window.WebSocket = class extends Real {
            constructor(...args) {
                super(...args);
                window.sockets.push(this);
            }
        };
    });
    await page.goto(url);
    return page;
}

/** What the terminal shows, line by line. */
const shown = (page) => page.evaluate(() => [...document.querySelectorAll('.xterm-rows > div')].map((row) => row.textContent.replaceAll('\u00a0', ' ').trimEnd()).join('\n'));
const untilShown = (page, what, pattern) => eventually(what, async () => pattern.exec(await shown(page)), { every: 50 });
const stateOf = (page, text) => eventually(`the state is ${text}`, async () => await page.locator('#state').textContent() === text, { every: 50 });

test('a terminal is typed into, painted, resized, left and found again', options, async () => {
    const desktop = await openPage(`${farm.daemon.url}/desktops/${farm.id}`);
    await desktop.locator('#open-terminal').click();
    await eventually('the link leads there', async () => new URL(desktop.url()).pathname === `/desktops/${farm.id}/terminal`);
    const page = desktop;
    await stateOf(page, 'Connected');
    await page.keyboard.type('echo type"d"-here; printf "\\033[38;2;255;0;0mre\\033[0md\\n"\n');
    await untilShown(page, 'the output', /^typed-here$/m);
    await untilShown(page, 'the colour', /^red$/m);
    const colour = await page.evaluate(() => getComputedStyle([...document.querySelectorAll('.xterm-rows span')].find((e) => e.textContent === 're')).color);
    assert.equal(colour, 'rgb(255, 0, 0)', 'colours need style attributes, which the policy forbids');
    await shot(page, 'terminal');

    await page.setViewportSize({ width: 800, height: 500 });
    await page.keyboard.type('clear; stty size\n');
    const size = await eventually('the new size', async () => {
        const [, columns, rows] = /(\d+) × (\d+)/.exec(await page.locator('#size').textContent()) ?? [];
        return columns < 100 && new RegExp(`^${rows} ${columns}$`, 'm').exec(await shown(page));
    }, { every: 50 });
    assert.ok(size);

    await page.keyboard.type('sleep 0.5; echo after-"t"he-gap\n');
    await page.evaluate(() => window.sockets.at(-1).close());
    await untilShown(page, 'what came meanwhile', /^after-the-gap$/m);
    await stateOf(page, 'Connected');
    assert.equal(await page.evaluate(() => window.sockets.length), 2);

    await page.reload();
    await untilShown(page, 'the same terminal', /^after-the-gap$/m);
    const other = await openPage(page.url());
    await untilShown(other, 'the same in another window', /^after-the-gap$/m);
    await stateOf(page, 'Taken over');
    await other.keyboard.type('exit 3\n');
    await stateOf(other, 'Ended with 3');
    await shot(other, 'terminal-ended');
    await other.locator('#again').click();
    await stateOf(other, 'Connected');
    assert.deepEqual([...page.problems, ...other.problems], []);
    await page.close();
    await other.close();
});

test('copy and paste', options, async () => {
    await browser.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: farm.daemon.url });
    const page = await openPage(`${farm.daemon.url}/desktops/${farm.id}/terminal`);
    await stateOf(page, 'Connected');
    await page.evaluate(() => navigator.clipboard.writeText('echo pas"t"ed-ä€\n'));
    await page.locator('#paste').click();
    await page.keyboard.press('Enter');
    const row = await eventually('the output', async () => {
        const index = (await shown(page)).split('\n').findIndex((line) => /^pasted/.test(line));
        return index >= 0 && page.locator('.xterm-rows > div').nth(index).boundingBox();
    });
    await page.mouse.dblclick(row.x + 20, row.y + row.height / 2);
    await page.keyboard.press('Control+Shift+C');
    await eventually('it is copied', async () => /pasted/.test(await page.evaluate(() => navigator.clipboard.readText())));
    assert.deepEqual(page.problems, []);
    await page.close();
});

test('a server in the guest on its own origin, with its WebSocket', options, async () => {
    await startGuestServer(farm.client, farm.id);
    const { url } = (await farm.client.call('POST', `/v1/sandboxes/${farm.id}/endpoints/8000/ticket`, { body: {} })).json;
    const page = await openPage(url);
    assert.equal(await page.title(), 'guest page');
    await eventually('the echo', async () => await page.locator('#out').textContent() === 'echo: hello from the page');
    assert.equal(new URL(page.url()).host, `8000-${farm.id}.localhost:${farm.daemon.port}`);
    assert.match(await page.evaluate(() => document.cookie), /mine=1/, 'it has cookies of its own');
    assert.doesNotMatch(await page.evaluate(() => document.cookie), /deskfarm/, 'and cannot see ours');
    const reach = await page.evaluate((api) => fetch(`${api}/v1/sandboxes`, { credentials: 'include' }).then(() => 'reached', () => 'blocked'), farm.daemon.url);
    assert.equal(reach, 'blocked', 'our API is another origin');
    await shot(page, 'guest-page');
    await page.close();
});

test('by path a page of the guest has no origin', options, async () => {
    const page = await browser.context.newPage();
    await page.goto(`${farm.daemon.url}/v1/sandboxes/${farm.id}/proxy/8000/`);
    assert.equal(await page.title(), 'guest page');
    assert.equal(await page.evaluate(() => self.origin), 'null');
    assert.equal(await page.evaluate(() => fetch('/v1/sandboxes').then(() => 'reached', () => 'blocked')), 'blocked');
    await page.close();
});


test('with keys: the terminal asks for one, a link to a port needs none', options, async () => {
    const { client, daemon } = farm;
    const key = (await client.call('POST', '/v1/keys', { body: { name: 'admin', role: 'admin' } })).json;
    const asAdmin = daemon.client({ key: key.key });
    try {
        const page = await openPage(`${daemon.url}/desktops/${farm.id}/terminal`);
        await page.locator('input[name=key]').fill(key.key);
        await page.locator('form.login button').click();
        await stateOf(page, 'Connected');
        await page.keyboard.type('echo as-"a"dmin\n');
        await untilShown(page, 'the output', /^as-admin$/m);
        await page.close();
        const { url } = (await asAdmin.call('POST', `/v1/sandboxes/${farm.id}/endpoints/8000/ticket`, { body: {} })).json;
        const port = await openPage(url);
        await eventually('the echo', async () => await port.locator('#out').textContent() === 'echo: hello from the page');
        await port.reload();
        assert.equal(await port.title(), 'guest page', 'the cookie stays');
        const other = await openPage(url.replace('8000-', '8001-'));
        assert.match(await other.locator('body').textContent(), /unauthorized/);
        await port.close();
        await other.close();
    } finally {
        await browser.context.clearCookies();
        await asAdmin.call('DELETE', `/v1/keys/${key.id}`);
    }
});
