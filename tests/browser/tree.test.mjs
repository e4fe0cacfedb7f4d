/** The page of templates, checkpoints and forks, in Chromium. Pictures for a person go to BUILD_DIR/browser/. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useFarm } from '../integration/lib/farm.mjs';
import { Probe } from '../integration/lib/probe.mjs';
import { haveTemplate } from '../integration/lib/templates.mjs';
import { eventually } from '../integration/lib/wait.mjs';
import { useBrowser } from './lib.mjs';

const farm = useFarm({ withProbe: false });
const browser = useBrowser(farm, { timeout: 180000 });
const { options, shot } = browser;

const items = async () => (await farm.client.call('GET', '/v1/tree')).json.items;
const ofKind = async (kind) => (await items()).filter((item) => item.kind === kind);

/** Waits for what a click brings about, and returns it. */
const eventuallyNew = (what, kind, known) => eventually(what, async () =>
    (await ofKind(kind)).find(({ id, state }) => !known.includes(id) && (kind !== 'sandbox' || state === 'Running')), { ms: 60000 });

/** The colour in the middle of a picture, once it is shown. */
const colour = (page, id) => page.evaluate((it) => {
    const image = document.querySelector(`li[data-id="${it}"] > .node img`);
    if (!image || image.hidden || !image.naturalWidth)
        return null;
    const canvas = Object.assign(document.createElement('canvas'), { width: image.naturalWidth, height: image.naturalHeight });
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    return [...context.getImageData(canvas.width >> 1, canvas.height >> 1, 1, 1).data].slice(0, 3);
}, id);
const isNear = (a, b) => a?.every((v, i) => Math.abs(v - b[i]) < 24);
const shows = (page, id, rgb) => eventually(`the picture of ${id} is ${rgb}`, async () => isNear(await colour(page, id), rgb), { ms: 60000 });
const parentOf = (page, id) => page.evaluate((it) =>
    document.querySelector(`li[data-id="${it}"]`).parentElement.closest('li')?.dataset.id ?? '', id);

test('forks, checkpoints and what comes from them by clicks', options, async () => {
    const template = await haveTemplate(farm.client, 'probe');
    const { id } = await farm.client.create('probe', { boot: 'template' });
    await farm.client.waitState(id, 'Running');
    const probe = await Probe.attach(farm.daemon, id, { isUp: true });
    await probe.fill(0, 0, 1280, 800, '#2080c0');

    const page = await browser.context.newPage();
    const problems = [];
    page.on('pageerror', (error) => problems.push(`${error}`));
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    await page.goto(`${farm.daemon.url}/`);
    await page.getByRole('link', { name: 'Tree' }).click();
    const node = (it) => page.locator(`li[data-id="${it}"] > .node`);
    const press = (it, label) => node(it).getByRole('button', { name: label }).click();
    await node(id).waitFor();
    assert.equal(await parentOf(page, id), template.id);
    await shows(page, id, [0x20, 0x80, 0xc0]);

    await press(id, 'Fork');
    const fork = (await eventuallyNew('a fork', 'sandbox', [id])).id;
    farm.daemon.ids.add(fork);
    await shows(page, fork, [0x20, 0x80, 0xc0]);
    assert.equal(await parentOf(page, fork), id);

    page.on('dialog', (dialog) => dialog.accept(dialog.type() === 'prompt' ? 'blue' : undefined));
    await press(id, 'Checkpoint');
    const kept = await eventuallyNew('a checkpoint', 'checkpoint', []);
    assert.equal(kept.name, 'blue');
    await node(kept.id).waitFor();
    assert.match(await node(kept.id).textContent(), /Checkpoint.*blue/s);
    assert.equal(await parentOf(page, kept.id), id);

    await probe.fill(0, 0, 1280, 800, '#c04020');
    probe.close();
    await shows(page, id, [0xc0, 0x40, 0x20]);
    await shows(page, fork, [0x20, 0x80, 0xc0]);
    await press(kept.id, 'New desktop');
    const made = (await eventuallyNew('a desktop out of the checkpoint', 'sandbox', [id, fork])).id;
    farm.daemon.ids.add(made);
    await shows(page, made, [0x20, 0x80, 0xc0]);
    assert.equal(await parentOf(page, made), kept.id);
    await shot(page, 'tree', { fullPage: true });
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.setViewportSize({ width: 390, height: 800 });
    await shot(page, 'tree-narrow-dark', { fullPage: true });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), 'nothing sticks out on a narrow screen');

    await press(kept.id, 'Go back');
    await shows(page, id, [0x20, 0x80, 0xc0]);
    await press(kept.id, 'Delete');
    await eventually('the checkpoint is gone', async () => (await ofKind('checkpoint')).length === 0);
    await eventually('also from the page', async () => await node(kept.id).count() === 0);
    assert.equal(await parentOf(page, made), ''); /* what it came from is gone */
    assert.deepEqual(problems, []);
    await page.close();
});
