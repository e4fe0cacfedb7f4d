// Settling against fixed sleeps, in a real browser: node bench-settle.mjs [TRIALS] (DESKFARM_BUILD names the build; 300).
//
// Chromium in debian-xfce shows a page over the whole screen: a text field with a blinking caret (not masked), a film of 15
// pictures a second (masked), and a place for results. A trial presses a key. Half of the trials show nothing until the
// result comes, 50 to 2000 ms later; the other half answer at once with a spinner that turns (which counts as change) and
// with steps at most 250 ms apart, and end with the result after 50 to 2000 ms. The result is a colour of its own.
//
// deskfarm: POST …/desktop/actions with first_ms 2500 and the defaults for the rest; the picture in its answer. Sleeps: a
// screenshot so long after the key went out, in the same trial. A wrong frame lacks the result. Time lost: from the moment
// at which the host had the result on the screen (told by …/desktop/watch for that pixel) until the picture was there; only
// of right frames. A trial whose page, by its own clock, was later with a step than it promised is done again.
import { lacksImage } from '../integration/lib/daemon.mjs';
import { createDesktop } from '../integration/lib/templates.mjs';
import { percentile, Random } from '../integration/lib/counts.mjs';
import { decodePng } from '../integration/lib/png.mjs';
import { eventually } from '../integration/lib/wait.mjs';
import { lacksBrowser, playwright } from '../browser/lib.mjs';
import { printMachine, printTable, runWithDaemon, usedPercent } from './report.mjs';

const TRIALS = Number(process.argv[2] ?? 300), PORT = 9222, SLEEPS = [200, 500, 1000, 2000], LATE_MS = 250;
const FILM = { x: 900, y: 100, width: 160, height: 120 }, RESULT = { x: 200, y: 500 };

const page = `<!doctype html><meta charset=utf-8><style>
*{margin:0} body{background:#fff;overflow:hidden;font:16px sans-serif}
input{position:absolute;left:100px;top:100px;width:300px;height:30px;font-size:20px}
canvas{position:absolute;left:${FILM.x}px;top:${FILM.y}px}
#result{position:absolute;left:180px;top:480px;width:120px;height:60px}
#steps{position:absolute;left:400px;top:480px;width:400px;height:60px}
#spinner{position:absolute;left:120px;top:495px;width:24px;height:24px;border:4px solid #ccc;border-top-color:#06c;border-radius:50%;display:none}
#spinner.on{display:block;animation:turn .8s linear infinite} @keyframes turn{to{transform:rotate(360deg)}}
</style><input autofocus><canvas width=${FILM.width} height=${FILM.height}></canvas><div id=spinner></div><div id=result></div><div id=steps></div>
<script>
const $ = (id) => document.getElementById(id), pen = document.querySelector('canvas').getContext('2d');
let picture = 0;
setInterval(() => { picture++; for (let i = 0; i < 8; i++) { pen.fillStyle = 'hsl(' + (picture * 7 + i * 45) % 360 + ',80%,50%)'; pen.fillRect(i * 20, 0, 20, 120); } }, 66);
const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))));
const until = (at) => new Promise((done) => setTimeout(done, Math.max(0, at - performance.now())));
window.arm = ({ hasFeedback, steps, color }) => { window.report = new Promise((tell) => { document.onkeydown = async (event) => {
    event.preventDefault();
    document.onkeydown = null;
    const from = performance.now(), times = [];
    if (hasFeedback) { $('spinner').className = 'on'; times.push(await painted() - from); }
    for (const [i, at] of steps.entries()) {
        await until(from + at);
        if (i === steps.length - 1) { $('spinner').className = ''; $('result').style.background = color; }
        else $('steps').textContent = 'step ' + i;
        times.push(await painted() - from);
    }
    tell(times);
}; }); };
document.querySelector('input').focus();
</script>`;

function trialOf(random, number) {
    const hasFeedback = number % 2 === 0, end = random.int(50, 2000), steps = [end];
    if (hasFeedback)
        for (let at = random.int(30, 250); at < end; at += random.int(30, 250))
            steps.push(at);
    const color = `#${(0x102030 + random.int(0, 0xdfcfbf)).toString(16).padStart(6, '0')}`;
    return { hasFeedback, steps: steps.sort((a, b) => a - b), color };
}

/** Opens the page in the guest's Chromium, over the whole screen. */
async function openPage(client, id, path) {
    await client.call('POST', `${path}/launch`, { body: { argv: ['chromium', '--kiosk'], wait_ms: 0 } });
    const proxy = `/v1/sandboxes/${id}/proxy/${PORT}/json/version`;
    await eventually('DevTools answers', async () => (await client.send('GET', proxy)).status === 200, { ms: 300000, every: 500 });
    const { endpoint, headers } = (await client.call('GET', `/v1/sandboxes/${id}/endpoints/${PORT}?mode=header`)).json;
    const browser = await playwright.chromium.connectOverCDP(`http://${endpoint}`, { headers, timeout: 120000 });
    /* Its first window comes behind DevTools; a second one would share the keyboard with it. */
    const tab = await eventually('its window', async () => browser.contexts()[0].pages()[0], { ms: 120000 });
    tab.setDefaultTimeout(120000);
    await tab.goto(`data:text/html;base64,${Buffer.from(page).toString('base64')}`);
    await eventually('the page covers the screen', () => tab.evaluate(() => innerWidth === 1280 && innerHeight === 800), { ms: 60000, every: 500 });
    /* Chromium drops what comes before its first picture of a page. */
    await eventually('the page has the keyboard', async () => {
        await client.call('POST', `${path}/actions`, { body: { actions: [{ type: 'click', x: 250, y: 117 }, { type: 'key', keys: 'x' }],
            settle: { masks: [FILM] }, screenshot: false }, ms: 30000 });
        return tab.evaluate(() => document.querySelector('input').value !== '');
    }, { ms: 120000, every: 1000 });
    await tab.evaluate(() => { document.querySelector('input').value = ''; });
    return { browser, tab };
}

/** Watches for this colour: `begun` when that runs, `seen` is when the host had it on the screen. */
function sightOf(daemon, path, color) {
    const sight = {};
    sight.begun = new Promise((begin, fail) => {
        sight.seen = (async () => {
            const response = await fetch(`${daemon.url}${path}/watch`, { method: 'POST',
                headers: { 'content-type': 'application/json', accept: 'application/x-ndjson' },
                body: JSON.stringify({ max_ms: 20000, conditions: [{ for: 'pixel', ...RESULT, color, tolerance: 1 }] }) });
            let text = '', at;
            for await (const chunk of response.body) {
                text += Buffer.from(chunk).toString();
                if (text.includes('"begin"'))
                    begin();
                if (text.includes('"fired"'))
                    at ??= performance.now();
            }
            return at;
        })();
        sight.seen.catch(fail);
    });
    return sight;
}

const isRight = (bytes, color) => decodePng(bytes).at(0, 0).every((v, i) => Math.abs(v - parseInt(color.slice(1 + 2 * i, 3 + 2 * i), 16)) <= 1);

async function runTrial({ daemon, client, path, tab }, trial) {
    await tab.evaluate((armed) => { document.getElementById('result').style.background = '#fff'; document.getElementById('steps').textContent = ''; window.arm(armed); }, trial);
    await client.call('POST', `${path}/wait`, { body: { for: 'settled', quiet_ms: 700, masks: [FILM], max_ms: 20000 }, ms: 30000 });
    const sight = sightOf(daemon, path, trial.color);
    await sight.begun;
    const from = performance.now();
    const place = { x: RESULT.x, y: RESULT.y, width: 1, height: 1, cursor: false };
    const sleeps = SLEEPS.map(async (ms) => {
        await new Promise((resolve) => setTimeout(resolve, ms));
        const { body } = await client.call('GET', `${path}/screenshot`, { query: place });
        return { right: isRight(body, trial.color), at: performance.now() };
    });
    const answer = client.call('POST', `${path}/actions`, { body: { actions: [{ type: 'key', keys: 'a' }], settle: { first_ms: 2500, masks: [FILM] },
        screenshot: { cursor: false, region: { ...RESULT, width: 1, height: 1 } } }, ms: 30000 });
    const { json } = await answer, answered = performance.now();
    const taken = await Promise.all(sleeps), seen = await sight.seen;
    const times = await tab.evaluate(() => Promise.race([window.report, new Promise((_, fail) => setTimeout(fail, 30000, 'the page had no key'))]));
    const first = trial.hasFeedback ? times[0] : times[0] - trial.steps[0];
    const isLate = first > LATE_MS || times.some((t, i) => i > 0 && t - times[i - 1] > LATE_MS);
    return { isLate, times, settle: json.settle, seen: seen - from, outcome: json.settle.result, waited: answered - from,
        rows: [{ right: isRight(Buffer.from(json.image.data, 'base64'), trial.color), at: answered }, ...taken].map((r) => ({ right: r.right, lost: r.at - seen })) };
}

await runWithDaemon(lacksImage('debian-xfce') || lacksBrowser(), async (daemon) => {
    const client = daemon.client(), random = new Random();
    await printMachine(client);
    const { id } = await createDesktop(client);
    const path = `/v1/sandboxes/${id}/desktop`;
    await client.call('POST', `${path}/wait`, { body: { for: 'up', max_ms: 300000 }, ms: 310000 });
    console.log(`${TRIALS} trials, seed ${random.seed}; the CPUs were used to ${(await usedPercent()).toFixed(0)} % before`);
    const { browser, tab } = await openPage(client, id, path);
    const done = [], outcomes = {};
    let late = 0;
    while (done.length < TRIALS && late <= TRIALS) {
        const trial = await runTrial({ daemon, client, path, tab }, trialOf(random, done.length));
        if (trial.isLate) {
            late++;
            continue;
        }
        outcomes[trial.outcome] = (outcomes[trial.outcome] ?? 0) + 1;
        done.push(trial);
        if (!trial.rows[0].right)
            process.stderr.write(`\nwrong: painted at ${trial.times.map(Math.round)} ms after the key by the page's clock, the result on the `
                + `host's screen at ${trial.seen.toFixed(0)} ms; ${JSON.stringify(trial.settle)}\n`);
        process.stderr.write(`\r${done.length} of ${TRIALS}, ${late} again `);
    }
    await browser.close();
    const names = ['deskfarm, settled', ...SLEEPS.map((ms) => `sleep of ${ms / 1000} s`)];
    printTable(['how the picture is taken', 'n', 'wrong frames', 'time lost p50', 'p95', 'most, ms'], names.map((name, i) => {
        const lost = done.map(({ rows }) => rows[i]).filter(({ right }) => right).map(({ lost: ms }) => ms);
        const figures = lost.length ? [percentile(lost, 0.5), percentile(lost, 0.95), Math.max(...lost)].map((ms) => ms.toFixed(0)) : ['–', '–', '–'];
        return [name, done.length, done.filter(({ rows }) => !rows[i].right).length, ...figures];
    }));
    console.log(`\n${late} trials done again because the page was late; outcomes ${JSON.stringify(outcomes)}.`);
});
