/** What the stream's benchmarks share: the host program, the pages in Chromium, CPU time, tables. */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { LINKS, startRelay } from './relay.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const novnc = path.join(here, '../node_modules/@novnc/novnc');
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export function quantile(values, q) {
    if (values.length === 0)
        return NaN;
    const sorted = [...values].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
}

export const shown = (value, digits = 1) => (Number.isFinite(value) ? value.toFixed(digits) : '–');

export function machine() {
    const cpus = os.cpus();
    return `${cpus.length} cores of "${cpus[0].model.trim()}", Linux ${os.release()}`;
}

/** link: a name of LINKS, or null. size: "1280x800". */
export async function startHost(program, { size = '1280x800', link = 'loopback', hasQemu = false } = {}) {
    const args = [size, path.join(here, '../../web/ui'), here, ...(hasQemu ? ['qemu'] : [])];
    const host = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const [port, vnc] = await new Promise((resolve, reject) => {
        host.stdout.once('data', (data) => resolve(`${data}`.split(' ').map(Number)));
        host.once('exit', () => reject(new Error('stream-host ended')));
    });
    const relays = LINKS[link] ? await Promise.all([port, vnc].filter((p) => p).map((p) => startRelay(p, LINKS[link]))) : [];
    const base = `http://127.0.0.1:${port}`;
    return {
        host, port, relays,
        pagePort: relays[0]?.port ?? port, vncPort: relays[1]?.port ?? vnc,
        stats: async () => (await fetch(`${base}/stats`)).json(),
        scenario: (name) => fetch(`${base}/scenario/${name}`),
        close() {
            for (const relay of relays)
                relay.close();
            host.stdin.end();
        },
    };
}

/** noVNC as npm has it. */
export async function serveNoVnc(context) {
    await context.route('**/novnc/**', (route) => {
        const name = new URL(route.request().url()).pathname.slice('/novnc/'.length);
        return route.fulfill({ contentType: 'text/javascript', body: fs.readFileSync(path.join(novnc, name)) });
    });
}

/** A page of ours ("deskfarm", "tiles": without video) or of noVNC ("vnc"), with its first picture. */
export async function openPage(context, rig, kind) {
    const page = await context.newPage();
    page.on('console', (message) => message.type() === 'error' && console.error(message.text()));
    page.on('pageerror', (error) => console.error(`${error}`));
    await page.goto(kind === 'vnc' ? `http://127.0.0.1:${rig.port}/vnc-page.html?host=${rig.port}&vnc=${rig.vncPort}`
        : `http://127.0.0.1:${rig.pagePort}/stream-page.html?host=${rig.port}${kind === 'tiles' ? '&video=no' : ''}`);
    await page.waitForFunction(() => window.bench && !Number.isNaN(window.bench.state().first) && window.bench.isExact(),
        undefined, { timeout: 90000 });
    return page;
}

/** CPU seconds of the browser and all that it started. */
export function browserCpu(profile) {
    const parents = new Map(), times = new Map(), roots = [];
    for (const name of fs.readdirSync('/proc').filter((n) => /^\d+$/.test(n))) {
        try {
            const stat = fs.readFileSync(`/proc/${name}/stat`, 'latin1'), fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
            parents.set(name, fields[1]);
            times.set(name, (Number(fields[11]) + Number(fields[12])) / 100);
            if (fs.readFileSync(`/proc/${name}/cmdline`, 'latin1').includes(`--user-data-dir=${profile}`))
                roots.push(name);
        } catch { /* gone */ }
    }
    const isOurs = (pid) => roots.includes(pid) || (parents.has(pid) && isOurs(parents.get(pid)));
    return [...times].reduce((sum, [pid, time]) => sum + (isOurs(pid) ? time : 0), 0);
}

/** Latencies of pictures: drawn, less the stamp that the painter put into them. Each picture once. */
export function paintToDraw(samples, offset) {
    return samples.filter(([, stamp], i) => i > 0 && stamp !== samples[i - 1][1])
        .map(([now, stamp]) => now + offset - stamp / 1000).filter((ms) => ms > 0 && ms < 30000);
}

/** Of ours only: drawn, less when the daemon had the update. */
export const captureToDraw = (samples, offset) => samples.filter(([, , captured]) => captured).map(([now, , captured]) => now + offset - captured / 1000);
