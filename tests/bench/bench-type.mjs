/**
 * How fast text is typed, and whether any of it is lost: the same random text into a probe that is left alone, and into
 * one that has trouble.
 *
 *   node tests/bench/bench-type.mjs [CHARACTERS]        DESKFARM_BUILD names the build
 *
 * Characters are those that the probe's client received; the clock is the caller's, from request to answer, which
 * comes when the guest's X server has read all. The aim: 200 a second alone, none lost anywhere.
 */
import fs from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { Random } from '../integration/lib/counts.mjs';
import { findProcesses, lacksImage } from '../integration/lib/daemon.mjs';
import { Probe } from '../integration/lib/probe.mjs';
import { printMachine, printTable, runWithDaemon } from './report.mjs';

const n = Number(process.argv[2] ?? 5000);
const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('');
const BUSY = "for i in 1 2 3 4; do setsid sh -c 'echo $$ >> /tmp/busy; while :; do :; done' </dev/null >/dev/null 2>&1 & done";
const IDLE = 'kill $(cat /tmp/busy); rm /tmp/busy';
const STOP = 'kill -STOP $(pidof Xorg); usleep 150000; kill -CONT $(pidof Xorg); usleep 20000';

async function run(daemon) {
    const client = daemon.client(), random = new Random();
    const exec = (id, command) => client.call('POST', `/daytona/toolbox/${id}/process/execute`, { body: { command }, ms: 60000 });
    await printMachine(client);
    console.log(`seed ${random.seed}, ${n} characters`);
    const probe = await Probe.create(daemon, client);
    const [first, second] = [await Probe.create(daemon, client), await Probe.create(daemon, client)];
    printTable(['typing', 'characters/s', 'lost'], []);

    async function type(name) {
        const text = Array.from({ length: n }, () => random.pick(printable)).join('');
        const mark = probe.mark();
        const { ms } = await client.call('POST', `/v1/sandboxes/${probe.id}/desktop/actions`,
            { body: { actions: [{ type: 'type', text }], settle: false, screenshot: false }, ms: 600000 });
        const events = await probe.received(client, mark);
        const typed = events.filter((e) => e.ev === 'key' && e.down && e.text).map((e) => e.text).join('');
        console.log(`| ${name} | ${(n / ms * 1000).toFixed(0)} | ${typed === text ? 0 : `${n - typed.length}, WRONG`} |`);
    }
    /** Again and again until the work is done. */
    async function during(trouble, work) {
        let isOver = false;
        const troubled = (async () => {
            while (!isOver)
                await trouble();
        })();
        try {
            await work();
        } finally {
            isOver = true;
            await troubled;
        }
    }

    await type('alone');
    await exec(probe.id, BUSY);
    await type('4 busy loops in the guest');
    await exec(probe.id, IDLE);
    for (const { id } of [first, second])
        await exec(id, BUSY);
    await type('2 guests with 4 busy loops beside it');
    for (const { id } of [first, second])
        await exec(id, IDLE);
    await during(() => exec(probe.id, STOP), () => type('its X server stopped for 150 ms, again and again'));
    const qemu = findProcesses(probe.id).find((pid) => /qemu/.test(fs.readFileSync(`/proc/${pid}/comm`, 'latin1')));
    await during(async () => {
        process.kill(qemu, 'SIGSTOP');
        await setTimeout(150);
        process.kill(qemu, 'SIGCONT');
        await setTimeout(50);
    }, () => type('all of it stopped for 150 ms of 200'));
    await exec(probe.id, 'mv /bin/deskfarm-desktop /bin/away; kill $(pidof deskfarm-desktop)');
    await type('alone, without a helper in its desktop');
    for (const one of [probe, first, second])
        one.close();
}

await runWithDaemon(lacksImage('probe'), run, ['--log-level', 'warn']);
