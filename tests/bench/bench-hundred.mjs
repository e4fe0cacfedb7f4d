/**
 * A hundred forks of one desktop alive at once, each answering a screenshot and a click.
 *
 *   node tests/bench/bench-hundred.mjs [probe | desktop] [COUNT]        DESKFARM_BUILD names the build
 *
 * All are forks of one sandbox out of the template (the kept one, tests/bake-templates, or one that is baked here), made
 * by calls for ten at a time. A row per call says what
 * the host has given by then; "each" is per fork since the first row. Then every fork is asked for a whole PNG
 * and gets a right click, which must change its screen: on debian-xfce the desktop's menu opens. Nothing is
 * said to be alive that did not do both.
 */
import fs from 'node:fs';
import os from 'node:os';
import { lacksImage } from '../integration/lib/daemon.mjs';
import { haveTemplate } from '../integration/lib/templates.mjs';
import { printHead, printMachine, printTable, runWithDaemon, Samples, usedPercent } from './report.mjs';

const scenario = process.argv[2] ?? 'desktop';
const count = Number(process.argv[3] ?? 100);
const TEN = 10;
const image = scenario === 'desktop' ? 'debian-xfce' : 'probe';
const now = () => performance.now();
const gib = (bytes) => (bytes / 2 ** 30).toFixed(2);
const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);

function meminfo() {
    const text = fs.readFileSync('/proc/meminfo', 'latin1');
    const read = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)[1]) * 1024;
    return { available: read('MemAvailable'), anonymous: read('AnonPages'), shared: read('Shmem'),
        kernel: read('SUnreclaim') + read('PageTables') + read('KernelStack') };
}

async function run(daemon) {
    const client = daemon.client();
    await printMachine(client);
    const post = async (where, body = {}) => (await client.call('POST', where, { body, ms: 600000 })).json;
    await haveTemplate(client, image);
    const parent = (await client.create(image, { boot: 'template' })).id;
    await client.shot(parent);
    const made = new Samples('fork, ten at a time: request → it runs'), calls = new Samples('… request → all ten run'), paused = new Samples('… of that, the parent stands still');
    const first = meminfo(), ids = [];
    /* Printed as it comes: what was measured stays when the machine is too small. */
    const row = (what) => {
        const info = meminfo(), each = (a, b) => (ids.length ? mib((a - b) / ids.length) : '–');
        console.log(`| ${[`${ids.length}${what}`, gib(info.available), each(first.available, info.available),
            each(info.anonymous, first.anonymous), each(info.shared, first.shared), each(info.kernel, first.kernel),
            os.loadavg()[0].toFixed(1)].join(' | ')} |`);
    };
    printTable([`${image}: forks alive`, 'MemAvailable, GiB', 'each, MiB', '… anonymous', '… shared', '… kernel', 'load'], []);
    row('');
    while (ids.length < count) {
        const begin = now();
        const answer = await post(`/v1/sandboxes/${parent}/fork`, { count: Math.min(TEN, count - ids.length) });
        calls.add(now() - begin);
        paused.add(answer.pause_ms);
        for (const { id, times } of answer.items) {
            made.add(times.running_ms);
            ids.push(id);
            daemon.ids.add(id);
        }
        row('');
    }
    const used = await usedPercent(5000);
    row(', idle');
    const shots = new Samples('screenshot of each, nobody looked before'), clicks = new Samples('right click → its screen has changed');
    let alive = 0;
    for (const id of ids) {
        const shot = await client.shot(id, {}, { ms: 120000 });
        shots.add(shot.ms, shot.body.length);
        const begin = now();
        const { frame } = shot.result.image;
        await client.act(id, { type: 'click', button: 'right', x: 900, y: 300 });
        const after = image === 'probe' ? shot : await client.shot(id, { if_changed_since: frame, wait_ms: 60000 });
        clicks.add(now() - begin);
        alive += image === 'probe' || after.status === 200 && after.result.changed !== false;
    }
    row(', clicked');
    printHead(`${count} forks of ${image} at once`);
    [made, calls, paused, shots, clicks].forEach((samples) => samples.print());
    console.log(`\n${alive} of ${count} answered a screenshot and a click; `
        + `in the 5 s after the last fork all of them used ${used.toFixed(1)} % of the CPUs.`);
    process.exitCode = alive === count ? 0 : 1;
}

await runWithDaemon(lacksImage(image), run, ['--log-level', 'warn', '--pool', '2', '--max-cpus', '10000', '--max-sandboxes', '1000',
    '--max-memory-mib', '10000000']);
