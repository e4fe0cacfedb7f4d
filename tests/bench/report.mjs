/** What the benchmarks of the daemon print: tables, the machine, and whether it was quiet. */
import fs from 'node:fs';
import os from 'node:os';
import { percentile } from '../integration/lib/counts.mjs';
import { Daemon, findProcesses } from '../integration/lib/daemon.mjs';

export const SKIPPED = 77;
const QUIET_PERCENT = 5;

export class Samples {
    constructor(name) {
        Object.assign(this, { name, ms: [], bytes: 0, wrong: 0 });
    }

    add(ms, bytes = 0, isRight = true) {
        this.ms.push(ms);
        this.bytes = bytes;
        this.wrong += !isRight;
    }

    p(share) {
        return percentile(this.ms, share);
    }

    /** @param {(samples: Samples) => string} [last] what the last column says; default: the bytes. */
    print(last = ({ bytes }) => bytes || '–') {
        const figures = [Math.min(...this.ms), ...[0.5, 0.95, 0.99].map((p) => percentile(this.ms, p))];
        console.log(`| ${this.name} | ${this.ms.length} | ${figures.map((ms) => ms.toFixed(3)).join(' | ')} `
            + `| ${last(this)} |${this.wrong ? ` WRONG: ${this.wrong}` : ''}`);
    }
}

export function printHead(what, last = 'bytes') {
    console.log(`\n| ${what} | n | min ms | p50 | p95 | p99 | ${last} |\n|---|---:|---:|---:|---:|---:|---:|`);
}

/** A table of any columns; numbers to the right. */
export function printTable(heads, rows) {
    console.log(`\n| ${heads.join(' | ')} |\n|${heads.map((_, i) => (i ? '---:' : '---')).join('|')}|`);
    for (const row of rows)
        console.log(`| ${row.join(' | ')} |`);
}

/* --- The machine --------------------------------------------------------------------------------- */

const ticks = (text, from, n) => text.split(/\s+/).slice(from, from + n).map(Number);

/** CPU time in ms that neither we, nor what we have waited for, nor these processes used. */
function othersMs(pids) {
    const [user, nice, system, , , irq, softirq, steal] = ticks(fs.readFileSync('/proc/stat', 'latin1').split('\n')[0], 1, 8);
    const theirs = pids.map((pid) => {
        const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\)/, '').trim().split(' ');
        return Number(fields[11]) + Number(fields[12]);
    });
    const mine = fs.readFileSync('/proc/self/stat', 'latin1').replace(/^.*\)/, '').trim().split(' ').slice(11, 15);
    return 10 * [...theirs, ...mine].reduce((rest, n) => rest - Number(n), user + nice + system + irq + softirq + steal);
}

/** Share of the CPUs that is used while we wait: where processes come and go, that is told of before and after. */
export async function usedPercent(ms = 1000) {
    const read = () => ticks(fs.readFileSync('/proc/stat', 'latin1').split('\n')[0], 1, 8);
    const before = read();
    await new Promise((resolve) => setTimeout(resolve, ms));
    const spent = read().map((n, i) => n - before[i]);
    const all = spent.reduce((a, b) => a + b, 0);
    return 100 * (all - spent[3] - spent[4]) / Math.max(1, all);
}

export async function printMachine(client) {
    const cpus = os.cpus(), info = (await client.call('GET', '/v1/info')).json;
    console.log(`CPU: ${cpus[0].model}, ${cpus.length} used\nKernel: ${os.release()}\nNode: ${process.version}\n`
        + `deskfarm ${info.version}, accelerator ${info.accel}`);
}

/** Runs the work and tells how much of the CPUs others used meanwhile. id: of the guest that is part of it. */
export async function measure(daemon, id, work) {
    const pids = [daemon.pid, ...findProcesses(id)];
    const start = performance.now(), others = othersMs(pids);
    await work();
    const percent = Math.max(0, 100 * (othersMs(pids) - others) / ((performance.now() - start) * os.cpus().length));
    console.log(`\nOther programs used ${percent.toFixed(1)} % of the CPUs meanwhile`
        + `${percent > QUIET_PERCENT ? ': NOT QUIET, take these figures again' : ''}.`);
}

/** Runs a benchmark against a daemon of its own, which ends with it. skip: why it cannot run, or false. args: the daemon's. */
export async function runWithDaemon(skip, run, args = ['--log-level', 'info']) {
    if (skip) {
        console.log(`skipped: ${skip}`);
        process.exit(SKIPPED);
    }
    const daemon = await Daemon.start({ args });
    for (const signal of ['SIGINT', 'SIGTERM'])
        process.once(signal, () => daemon.destroy().finally(() => process.exit(1)));
    try {
        await run(daemon);
    } catch (error) {
        error.message += `\n${daemon.lastLog()}`;
        throw error;
    } finally {
        await daemon.destroy();
    }
}
