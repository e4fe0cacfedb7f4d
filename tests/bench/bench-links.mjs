// The live view on worse networks: node bench-links.mjs STREAM-HOST [links] [stall] [fair]
//
//   links  a film of text (page), a terminal and clicks over links of relay.mjs: how old what is shown is
//   stall  nothing passes for 3 s while a page scrolls: how long after that the picture is live again
//   fair   one viewer on loopback, alone and beside others; the variants take turns, three rounds each
//
// paint→draw as in bench-stream.mjs. Live again: the first picture that is drawn at most 250 ms and a round trip
// after it was painted.
import { openBrowser, lacksBrowser } from '../browser/lib.mjs';
import { WebSocketClient, frame } from '../integration/lib/websocket.mjs';
import { acknowledge, record } from './stream-reader.mjs';
import { machine, openPage, paintToDraw, quantile, shown, sleep, startHost } from './stream-rig.mjs';
import { LINKS, startRelay } from './relay.mjs';

const SECONDS = 4, ROUNDS = 3;
const [program, ...wanted] = process.argv.slice(2);
const wants = (name) => wanted.length === 0 || wanted.includes(name);

/** Pictures of some seconds: how old they are when drawn. */
async function watch(page, seconds = SECONDS) {
    await page.evaluate(() => window.bench.clear());
    const before = await page.evaluate(() => window.bench.state());
    await sleep(seconds * 1000);
    const after = await page.evaluate(() => window.bench.state()), samples = await page.evaluate(() => window.bench.samples);
    const ages = paintToDraw(samples, after.offset);
    return { ages, rate: ages.length / seconds, kbits: ((after.bytes - before.bytes) * 8) / 1000 / seconds, samples, offset: after.offset };
}

/** Several rounds as one. */
const pooled = (rounds) => ({
    ages: rounds.flatMap(({ ages }) => ages),
    rate: rounds.reduce((sum, { rate }) => sum + rate, 0) / rounds.length,
    kbits: rounds.reduce((sum, { kbits }) => sum + kbits, 0) / rounds.length,
});

const cells = ({ ages, rate, kbits }) => `${shown(rate)} | ${[0.5, 0.95, 0.99].map((q) => shown(quantile(ages, q), 0)).join(' | ')} | ${shown(kbits, 0)}`;

async function measureLinks(context) {
    console.log('| link | scenario | pictures/s | paint→draw p50 | p95 | p99 | kbit/s |\n|---|---|---:|---:|---:|---:|---:|');
    for (const link of ['20ms', '60ms-1%', '5mbit', '1mbit']) {
        const rig = await startHost(program, { link });
        for (const name of ['typing', 'terminal', 'page', 'video']) {
            await rig.scenario('idle');
            const page = await openPage(context, rig, 'deskfarm');
            await rig.scenario(name);
            await sleep(1500);
            console.log(`| ${link} | ${name} | ${cells(await watch(page))} |`);
            await page.close();
        }
        await rig.scenario('idle');
        const page = await openPage(context, rig, 'deskfarm');
        await sleep(1500);
        const clicks = await page.evaluate(async () => {
            const out = [];
            for (let i = 0; i < 20; i++) {
                await new Promise((resolve) => setTimeout(resolve, 200 + Math.random() * 200));
                out.push(await window.bench.click());
            }
            return out;
        });
        console.log(`| ${link} | click→pixel | – | ${[0.5, 0.95, 0.99].map((q) => shown(quantile(clicks, q), 0)).join(' | ')} | – |`);
        await page.close();
        rig.close();
    }
}

async function measureStall(context) {
    const times = [];
    const rig = await startHost(program, { link: '20ms' });
    for (let i = 0; i < 4; i++) {
        await rig.scenario('idle');
        const page = await openPage(context, rig, 'deskfarm');
        await rig.scenario('page');
        await sleep(2000);
        await page.evaluate(() => window.bench.clear());
        const end = await page.evaluate(() => performance.now()) + 3000;
        rig.relays[0].stall(3000);
        await sleep(6000);
        const { samples, offset } = await page.evaluate(() => ({ samples: window.bench.samples, offset: window.bench.state().offset }));
        const live = samples.find(([now, stamp]) => now > end && now + offset - stamp / 1000 < 250 + 20);
        times.push(live ? live[0] - end : NaN);
        await page.close();
    }
    rig.close();
    console.log(`\nlive again after a stall of 3 s: ${times.map((ms) => shown(ms, 0)).join(', ')} ms`);
}

/** A viewer that reads and acknowledges, and shows nothing: what it costs others is the daemon's part. */
async function startReader(port) {
    const client = await WebSocketClient.open(port, '/stream');
    client.socket.write(frame(2, record(64, Buffer.from([1, 0, 0, 1, 0, 0, 0, 0]), 1)));
    const timer = setInterval(() => acknowledge(client), 10);
    return {
        close() {
            clearInterval(timer);
            client.socket.destroy();
        },
    };
}

/** Who else looks: what starts it, given the port of the slow link. Each ends with close(). */
const neighbours = {
    alone: async () => ({ close() {} }),
    'beside one on 200 kbit/s that only reads': (port) => startReader(port),
    'beside one on 200 kbit/s in a browser of its own': async (port, rig, other) => openPage(other.context, { ...rig, pagePort: port }, 'deskfarm'),
    'beside one on loopback in a browser of its own': async (port, rig, other) => openPage(other.context, rig, 'deskfarm'),
};

async function measureFairness(context) {
    const rig = await startHost(program), slow = await startRelay(rig.port, LINKS['200kbit']), other = await openLocal();
    console.log('\n| on loopback | scenario | pictures/s | paint→draw p50 | p95 | p99 | kbit/s |\n|---|---|---:|---:|---:|---:|---:|');
    for (const name of ['terminal', 'page', 'video']) {
        const seen = Object.fromEntries(Object.keys(neighbours).map((key) => [key, []]));
        for (let round = 0; round < ROUNDS; round++)
            for (const [key, start] of Object.entries(neighbours)) {
                await rig.scenario('idle');
                const page = await openPage(context, rig, 'deskfarm'), neighbour = await start(slow.port, rig, other);
                await rig.scenario(name);
                await sleep(3000);
                seen[key].push(await watch(page));
                await page.close();
                await neighbour.close();
            }
        for (const [key, rounds] of Object.entries(seen))
            console.log(`| ${key} | ${name} | ${cells(pooled(rounds))} |`);
    }
    slow.close();
    rig.close();
    await other.close();
}

if (!program || lacksBrowser()) {
    console.log(lacksBrowser() || 'usage: bench-links.mjs STREAM-HOST [links] [stall] [fair]');
    process.exit(program ? 77 : 2);
}
const openLocal = () => openBrowser({ args: ['--disable-features=LocalNetworkAccessChecks'] });
const browser = await openLocal();
console.log(`${machine()}; 1280x800, ${SECONDS} s each; ms\n`);
if (wants('links'))
    await measureLinks(browser.context);
if (wants('stall'))
    await measureStall(browser.context);
if (wants('fair'))
    await measureFairness(browser.context);
await browser.close();
