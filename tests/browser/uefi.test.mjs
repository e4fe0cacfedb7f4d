/** The live page follows the modes of a guest that sets them itself, with picture and pointer. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Daemon, lacksImage } from '../integration/lib/daemon.mjs';
import { pattern } from '../integration/lib/probe.mjs';
import { UefiGuest } from '../integration/lib/uefi.mjs';
import { eventually } from '../integration/lib/wait.mjs';
import { lacksBrowser, openBrowser } from './lib.mjs';

const options = { skip: lacksImage('uefi') || lacksBrowser(), timeout: 180000 };
let daemon, client, guest, browser;

before(async () => {
    if (options.skip)
        return;
    daemon = await Daemon.start();
    client = daemon.client();
    [browser, guest] = await Promise.all([openBrowser(), UefiGuest.create(daemon, client)]);
}, { timeout: 180000 });
after(async () => {
    guest?.close();
    await browser?.close();
    await daemon?.destroy();
}, { timeout: 60000 });

/** What the canvas shows: its size, and how many pixels are not the pattern's. */
const look = (page) => page.evaluate(() => {
    const canvas = document.querySelector('#screen'), { width, height } = canvas;
    const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
    let wrong = 0;
    for (let y = 0, i = 0; y < height; y++)
        for (let x = 0; x < width; x++, i += 4)
            wrong += data[i] !== (x & 255) || data[i + 1] !== (y & 255) || data[i + 2] !== ((x >> 8 & 15) << 4 | (y >> 8 & 15));
    return { width, height, wrong };
});

test('the canvas is the screen in each mode, and a click lands where it was made', options, async () => {
    assert.deepEqual(pattern(256, 1), [0, 1, 16]);
    const page = await browser.context.newPage();
    await page.goto(`${daemon.url}/desktops/${guest.id}`);
    await page.locator('#control').click();
    await eventually('in control', () => page.evaluate(() => document.querySelector('#role').dataset.role === 'control'));
    for (const [width, height] of [[1280, 800], [640, 480], [1920, 1080], [800, 600]]) {
        await guest.setMode(width, height);
        let seen;
        await eventually('the canvas shows the mode', async () => {
            seen = await look(page);
            return seen.width === width && seen.height === height && seen.wrong === 0;
        }).catch((error) => {
            throw new Error(`${error.message}: ${JSON.stringify(seen)}`);
        });
        const box = await page.locator('#screen').boundingBox(), at = [width >> 2, (height >> 2) * 3];
        const from = guest.mark();
        await page.mouse.click(box.x + (at[0] + 0.5) * box.width / width, box.y + (at[1] + 0.5) * box.height / height);
        const click = await guest.until((e) => e.ev === 'button' && e.down, { from, what: 'the click' });
        assert.ok(Math.abs(click.x - at[0]) <= 1 && Math.abs(click.y - at[1]) <= 1, `${click.x},${click.y} and not ${at}`);
        await guest.until((e) => e.ev === 'button' && !e.down, { from, what: 'the release' });
    }
    await page.close();
});
