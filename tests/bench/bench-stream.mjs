// The live view's figures: a painter instead of a guest, the daemon's own display and stream code, a headless Chromium
// with the pages' own decoder.
//
//   node bench-stream.mjs STREAM-HOST [--beside-vnc] [--link NAME] [--seconds N] [--size WxH] [SCENARIO…]
//
// --beside-vnc: the painter paints on the virtio-gpu of a real QEMU, and each scenario runs twice in the same Chromium:
// by our stream from QEMU's D-Bus display, and by QEMU's own VNC server with npm's noVNC. --link: a worse network
// (relay.mjs) before the browser.
//
// Clocks. paint→draw: from the painter's stamp, which is in the picture, to the draw call that brought it onto the
// canvas; each picture once. capture→draw (ours): from the update's arrival in the daemon. click→pixel: from the page's
// call to the first picture that was painted after it; the painter paints at once, so a guest's own time is not in it.
// join: from the page's script to its first picture. CPU: of the server's side (our process and QEMU's; with a painter
// as D-Bus peer ours alone), and of all of Chromium's processes.
import { openBrowser, lacksBrowser } from '../browser/lib.mjs';
import { browserCpu, captureToDraw, machine, openPage, paintToDraw, quantile, serveNoVnc, shown, sleep, startHost } from './stream-rig.mjs';

const SCENARIOS = ['idle', 'caret', 'typing', 'terminal', 'page', 'drag', 'video', 'full', 'switch', 'single', 'click'];
const CLICKS = 40;
const SINGLE_S = 31;

function parseArguments([program, ...rest]) {
    const options = { program, link: 'loopback', size: '1280x800', seconds: 5, besideVnc: false, scenarios: [] };
    while (rest.length) {
        const word = rest.shift();
        if (word === '--beside-vnc')
            options.besideVnc = true;
        else if (word.startsWith('--'))
            options[word.slice(2)] = word === '--seconds' ? Number(rest.shift()) : rest.shift();
        else
            options.scenarios.push(word);
    }
    options.scenarios = options.scenarios.length ? options.scenarios : SCENARIOS;
    return options;
}

async function measureClicks(page) {
    return page.evaluate(async (n) => {
        const out = [];
        await new Promise((resolve) => setTimeout(resolve, 500));
        for (let i = 0; i < n; i++) {
            await new Promise((resolve) => setTimeout(resolve, 90 + Math.random() * 160));
            out.push(await window.bench.click());
        }
        return out.filter((ms) => !Number.isNaN(ms));
    }, CLICKS);
}

const look = async (browser, rig, page) => ({
    ...await rig.stats(), page: await page.evaluate(() => window.bench.state()), browser: browserCpu(browser.profile),
});

/** One scenario in a fresh page. */
async function measure(browser, rig, options, kind, name) {
    await rig.scenario('idle');
    const page = await openPage(browser.context, rig, kind);
    await sleep(1500); /* the browser's own start */
    await rig.scenario(name === 'click' ? 'idle' : name);
    await sleep(name === 'single' ? 2500 : 700);
    await page.evaluate(() => window.bench.clear());
    const before = await look(browser, rig, page);
    const clicks = name === 'click' ? await measureClicks(page) : [];
    if (name !== 'click')
        await sleep((name === 'single' ? SINGLE_S : options.seconds) * 1000);
    const after = await look(browser, rig, page);
    const samples = await page.evaluate(() => window.bench.samples), { offset, first } = after.page;
    await rig.scenario('idle');
    await sleep(options.link === 'loopback' ? 600 : 3000);
    const hash = await page.evaluate(() => window.bench.hash());
    await page.close();
    const seconds = (after.now_us - before.now_us) / 1e6;
    const percent = (from, to) => (to - from) / 1e4 / seconds;
    const paint = paintToDraw(samples, offset);
    return {
        kind, name, hash, join: first, n: paint.length, rate: paint.length / seconds, paint: name === 'click' ? clicks : paint,
        draw: captureToDraw(samples, offset), kbits: ((after.page.bytes - before.page.bytes) * 8) / 1000 / seconds,
        cpu: percent(before.qemu_us, after.qemu_us) + (kind === 'vnc' ? 0 : percent(before.cpu_us, after.cpu_us)),
        browser: ((after.browser - before.browser) / seconds) * 100,
        coding: (after.coding_us - before.coding_us) / Math.max(after.jobs - before.jobs, 1) / 1000,
    };
}

const NAMES = { deskfarm: 'deskfarm', vnc: 'QEMU VNC + noVNC' };

function printHead(options) {
    console.log(`${machine()}; ${options.size}, ${options.link}, ${options.seconds} s each; ms, kbit/s, % of a core\n`);
    console.log(`| scenario | ${options.besideVnc ? 'by | ' : ''}n | pictures/s | paint→draw p50 | p95 | p99 | ` +
        `${options.besideVnc ? '' : 'capture→draw p50 | p95 | '}kbit/s | CPU server | CPU browser | join |${options.besideVnc ? '' : ' ms/job |'}`);
    console.log(`|---|${options.besideVnc ? '---|' : ''}---:|---:|---:|---:|---:|${options.besideVnc ? '' : '---:|---:|'}---:|---:|---:|---:|${options.besideVnc ? '' : '---:|'}`);
}

function print(options, r) {
    const name = r.name === 'click' ? 'click→pixel' : r.name, q = (values, at) => shown(quantile(values, at));
    console.log(`| ${name} | ${options.besideVnc ? `${NAMES[r.kind]} | ` : ''}${r.paint.length} | ${shown(r.rate)} | ` +
        `${q(r.paint, 0.5)} | ${q(r.paint, 0.95)} | ${q(r.paint, 0.99)} | ` +
        `${options.besideVnc ? '' : `${q(r.draw, 0.5)} | ${q(r.draw, 0.95)} | `}${shown(r.kbits, 0)} | ${shown(r.cpu, 2)} | ` +
        `${shown(r.browser, 0)} | ${shown(r.join, 0)} |${options.besideVnc ? '' : ` ${shown(r.coding, 2)} |`}`);
}

async function main() {
    const options = parseArguments(process.argv.slice(2)), lack = lacksBrowser();
    if (!options.program || lack) {
        console.log(lack || 'usage: bench-stream.mjs STREAM-HOST [--beside-vnc] [--link NAME] [--seconds N] [--size WxH] [SCENARIO…]');
        process.exit(lack ? 77 : 2);
    }
    const rig = await startHost(options.program, { ...options, hasQemu: options.besideVnc });
    const browser = await openBrowser({ args: ['--disable-features=LocalNetworkAccessChecks'] });
    await serveNoVnc(browser.context);
    let wrong = 0;
    printHead(options);
    for (const name of options.scenarios) {
        const results = [];
        for (const kind of options.besideVnc ? ['deskfarm', 'vnc'] : ['deskfarm']) {
            results.push(await measure(browser, rig, options, kind, name));
            print(options, results.at(-1));
        }
        wrong += new Set(results.map((r) => r.hash)).size - 1;
    }
    if (options.besideVnc)
        console.log(wrong ? `\n${wrong} scenarios ended with different pictures` : '\nEach scenario ended with the same picture to the pixel.');
    await browser.close();
    rig.close();
}

await main();
