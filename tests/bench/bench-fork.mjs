/**
 * Five clocks of a sandbox that is made of a template, forked from a running one, or put back; from the
 * pool and without it.
 *
 *   node tests/bench/bench-fork.mjs [probe | desktop] [quick] [clocks | pause | memory | others]…
 *
 * DESKFARM_BUILD names the build. quick: fewer rounds.
 *
 * clocks  All begin when the client hands the request to Node's http client:
 *           ready    (the daemon's) disk and memory of the new machine are in place
 *           running  (the daemon's) its processors run: QEMU's RESUME event
 *           answer   of the fork or the restore; a create answers at once
 *           shot     the last byte of the first screenshot, a whole PNG of what the guest shows, is here
 *           trip     the guest's agent has answered a question over HTTP, asked after the screenshot
 *           changed  a screenshot that shows what the guest painted on a command given after that
 *         The last three come one after the other, so each holds the ones before it. "1": with a full pool,
 *         nothing else under way. "10 in a row", "50 in a row": each begins when the one before has shown its
 *         change, while that one is deleted and the pool fills again. "4 at once": four requests together;
 *         of a fork one request for four; a rewind is of one sandbox, so there is none.
 * pause   How long the parent of a fork stands still, by how much memory is its own.
 * memory  What the host gives for each idle fork: MemAvailable before and after, and where it went.
 * others  What one would use otherwise, in the same run: QEMU's savevm and loadvm, and a cold boot.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { cacheDir, Daemon, findProcesses, lacksImage } from '../integration/lib/daemon.mjs';
import { haveTemplate } from '../integration/lib/templates.mjs';
import { eventually } from '../integration/lib/wait.mjs';
import { printHead, printMachine, printTable, Samples, SKIPPED, usedPercent } from './report.mjs';

const POOL = 4;
const parts = ['clocks', 'pause', 'memory', 'others'];
const scenario = process.argv[2] ?? 'probe';
const isQuick = process.argv.includes('quick');
const named = parts.filter((part) => process.argv.includes(part));
const wanted = named.length > 0 ? named : parts;
const isDesktop = scenario === 'desktop';
const image = isDesktop ? 'debian-xfce' : 'probe';
const rounds = isQuick ? { single: 10, ten: 1, fifty: 1, four: 2 } : isDesktop ? { single: 20, ten: 2, fifty: 1, four: 4 } : { single: 30, ten: 3, fifty: 1, four: 5 };
const megabytes = isDesktop ? [0, 50, 100, 200] : [0, 10, 25, 50, 100, 200];
const FORKS = 8;

const now = () => performance.now();
const mib = (bytes) => (bytes / (1 << 20)).toFixed(1);

/* --- Sandboxes ----------------------------------------------------------------------------------- */

class Bench {
    constructor(daemon, pool) {
        Object.assign(this, { daemon, client: daemon.client(), pool, deletions: [] });
    }

    post(where, body = {}) {
        return this.client.call('POST', where, { body, ms: 600000 }).then(({ json }) => json);
    }

    async bake() {
        const begin = now();
        /* Others want to know how long a boot takes. */
        this.template = await (wanted.includes('others') ? this.post('/v1/templates', { image: { uri: image }, network: 'none' })
            : haveTemplate(this.client, image));
        return now() - begin;
    }

    poolIsFull() {
        return eventually('the pool is full', async () => {
            const { body } = await this.client.call('GET', '/metrics');
            return Number(/^deskfarm_spares (\d+)$/m.exec(body)?.[1] ?? 0) >= this.pool;
        }, { ms: 60000, every: 20 });
    }

    /** Nothing is under way any more. */
    async settle() {
        await Promise.all(this.deletions.splice(0));
        await this.poolIsFull();
        await setTimeout(100);
    }

    remove(id) {
        this.deletions.push(this.client.delete(id).then(() => eventually(`${id} is gone`, async () =>
            (await this.client.send('GET', `/v1/sandboxes/${id}`)).status === 404)));
    }

    /** A running sandbox out of the template, with its screen looked at and its agent there. */
    async create() {
        const { id } = await this.client.create(image, { boot: 'template' });
        this.daemon.ids.add(id);
        await this.client.shot(id);
        await this.trip(id);
        return id;
    }

    shell(id, command) {
        return this.post(`/v1/sandboxes/${id}/proxy/44772/command`, { command });
    }

    async trip(id) {
        for (;;) {
            const { status } = await this.client.send('GET', `/v1/sandboxes/${id}/proxy/44772/files/info`, { query: { path: '/' } });
            if (status === 200)
                return;
            if (status < 400)
                throw new Error(`files/info: ${status}`);
            await setTimeout(1);
        }
    }

    /** Lets the guest paint: the probe on a command, the desktop opens its menu. */
    async change(id) {
        if (isDesktop) {
            await this.client.act(id, { type: 'click', button: 'right', x: 900, y: 300 });
            return;
        }
        const socket = net.connect(path.join(this.daemon.sandboxDir(id), 'console.sock'));
        socket.on('error', () => {});
        socket.end(`\n${JSON.stringify({ cmd: 'fill', id: 1, x: 100, y: 100, w: 200, h: 200, color: '#123456' })}\n`);
    }

    /** From the answer on; begin is when it was asked for. */
    async watch(id, begin) {
        const clocks = { answer: now() - begin };
        const first = await this.client.shot(id);
        clocks.shot = now() - begin;
        await this.trip(id);
        clocks.trip = now() - begin;
        await this.change(id);
        await this.client.shot(id, { if_changed_since: first.result.image.frame, wait_ms: 20000 });
        clocks.changed = now() - begin;
        const { times } = (await this.client.get(id));
        return { ...clocks, ready: times.ready_ms, running: times.running_ms, pooled: times.pooled };
    }

    async ofTemplate() {
        const begin = now();
        const { id } = await this.client.create(image, { boot: 'template' });
        this.daemon.ids.add(id);
        const clocks = await this.watch(id, begin);
        this.remove(id);
        return clocks;
    }

    async fork(count = 1) {
        const begin = now();
        const { items } = await this.post(`/v1/sandboxes/${this.parent}/fork`, { count });
        items.forEach(({ id }) => this.daemon.ids.add(id));
        const clocks = await Promise.all(items.map(({ id }) => this.watch(id, begin)));
        items.forEach(({ id }) => this.remove(id));
        return clocks;
    }

    async rewind() {
        const begin = now();
        await this.post(`/v1/sandboxes/${this.back}/restore`, { checkpoint: this.kept.id });
        return this.watch(this.back, begin);
    }
}

/* --- Clocks -------------------------------------------------------------------------------------- */

const clockNames = { ready: 'VM ready', running: 'first guest instruction', answer: 'answered',
    shot: 'first screenshot', trip: 'first guest round trip', changed: 'first changed frame' };

class Clocks {
    constructor(name) {
        this.name = name;
        this.samples = Object.fromEntries(Object.keys(clockNames).map((key) => [key, new Samples(key)]));
        this.n = this.nPooled = 0;
    }

    add(clocks) {
        for (const [key, samples] of Object.entries(this.samples))
            samples.add(clocks[key]);
        this.n++;
        this.nPooled += clocks.pooled;
    }

    row() {
        const cell = (samples) => [0.5, 0.95, 0.99].map((p) => samples.p(p).toFixed(0)).join(' / ');
        return [this.name, this.n, this.nPooled, ...Object.values(this.samples).map(cell)];
    }
}

async function single(bench, name, work, n) {
    const clocks = new Clocks(`${name}, 1`);
    for (let i = 0; i < n; i++) {
        await bench.settle();
        [await work()].flat().forEach((it) => clocks.add(it));
    }
    return clocks;
}

async function inRow(bench, name, work, length, n) {
    const clocks = new Clocks(`${name}, ${length} in a row`);
    for (let i = 0; i < n; i++) {
        await bench.settle();
        for (let j = 0; j < length; j++)
            [await work()].flat().forEach((it) => clocks.add(it));
    }
    return clocks;
}

async function atOnce(bench, name, work, n) {
    const clocks = new Clocks(`${name}, 4 at once`);
    for (let i = 0; i < n; i++) {
        await bench.settle();
        (await work()).flat().forEach((it) => clocks.add(it));
    }
    return clocks;
}

async function benchClocks(bench) {
    bench.parent = await bench.create();
    bench.back = await bench.create();
    bench.kept = await bench.post(`/v1/sandboxes/${bench.back}/checkpoints`, { name: 'kept' });
    const works = { 'template restore': () => bench.ofTemplate(), 'live fork': () => bench.fork(), rewind: () => bench.rewind() };
    const rows = [];
    for (const [name, work] of Object.entries(works)) {
        await work(); /* warm: the first of a daemon loads what it needs */
        rows.push(await single(bench, name, work, rounds.single));
        rows.push(await inRow(bench, name, work, 10, rounds.ten));
        rows.push(await inRow(bench, name, work, 50, rounds.fifty));
        if (name === 'template restore')
            rows.push(await atOnce(bench, name, () => Promise.all([1, 2, 3, 4].map(work)), rounds.four));
        if (name === 'live fork')
            rows.push(await atOnce(bench, name, () => bench.fork(4), rounds.four));
    }
    await bench.settle();
    printTable([`${image}, ${bench.pool ? `pool of ${bench.pool}` : 'no pool'}; ms, p50 / p95 / p99`, 'n', 'from pool',
        ...Object.values(clockNames)], rows.map((row) => row.row()));
}

/* --- Pause --------------------------------------------------------------------------------------- */

async function benchPause(bench) {
    const rows = [];
    for (const size of megabytes) {
        const id = await bench.create();
        if (size > 0)
            await bench.shell(id, `yes deskfarm | head -c ${size * 1000000} > /tmp/ballast`);
        const pauses = new Samples(), copies = new Samples(), devices = new Samples();
        let dirty = 0;
        for (let i = 0; i < 7; i++) {
            const fork = await bench.post(`/v1/sandboxes/${id}/fork`);
            bench.daemon.ids.add(fork.items[0].id);
            bench.remove(fork.items[0].id);
            pauses.add(fork.pause_ms);
            copies.add(fork.copy_ms);
            devices.add(fork.devices_ms);
            dirty = fork.dirty_bytes;
            await bench.settle();
        }
        bench.remove(id);
        await bench.settle();
        const aim = 30 + dirty / (1 << 20);
        rows.push([size, mib(dirty), pauses.p(0.5).toFixed(1), Math.max(...pauses.ms).toFixed(1), devices.p(0.5).toFixed(1),
            copies.p(0.5).toFixed(1), aim.toFixed(0), pauses.p(0.5) <= aim ? 'yes' : 'NO']);
    }
    printTable([`${image}: MB written in the guest`, 'own memory, MiB', 'pause ms p50', 'max of 7', 'devices and disk', 'pages',
        '30 ms + 1 per MiB', 'kept'], rows);
}

/* --- Memory -------------------------------------------------------------------------------------- */

function meminfo() {
    return Object.fromEntries(fs.readFileSync('/proc/meminfo', 'latin1').split('\n').filter(Boolean).map((line) => {
        const [, name, kb] = /^(\S+):\s+(\d+)/.exec(line);
        return [name, Number(kb) * 1024];
    }));
}

const kernelBytes = (info) => info.SUnreclaim + info.PageTables + info.KernelStack;

function pss(pid) {
    try {
        return Number(/^Pss:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))[1]) * 1024;
    } catch {
        return 0;
    }
}

/** Of all QEMUs, spares too. */
const pssOfAll = () => findProcesses('qemu-system-x86_64').map(pss).reduce((a, b) => a + b, 0);

async function benchMemory(bench) {
    const id = await bench.create();
    const read = async () => {
        await bench.settle();
        await setTimeout(3000); /* idle, and what is freed late is freed */
        return { ...meminfo(), pss: pssOfAll() };
    };
    const before = await read();
    const ids = [];
    while (ids.length < FORKS) {
        const { items } = await bench.post(`/v1/sandboxes/${id}/fork`);
        ids.push(items[0].id);
        bench.daemon.ids.add(items[0].id);
    }
    const after = await read();
    const idle = await usedPercent(5000);
    const each = (bytes) => mib(bytes / FORKS);
    printTable([`${image}: memory per idle fork, MiB, mean of ${FORKS}`, ''], [
        ['less MemAvailable on the host', each(before.MemAvailable - after.MemAvailable)],
        ['… of that anonymous (guest pages, QEMU, translated code under TCG)', each(after.AnonPages - before.AnonPages)],
        ['… shared memory (the daemon\'s copy of its pages and screen)', each(after.Shmem - before.Shmem)],
        ['… kernel: slab, page tables, stacks', each(kernelBytes(after) - kernelBytes(before))],
        ['Pss of the QEMUs', each(after.pss - before.pss)],
        [`CPU of all ${FORKS + 2} idle, % of the machine`, idle.toFixed(1)],
    ]);
    ids.forEach((it) => bench.remove(it));
    bench.remove(id);
    await bench.settle();
}

/* --- What one would use otherwise ------------------------------------------------------------------ */

class Qemu {
    /** @param {string} disk a qcow2 that takes the snapshots */
    static async start(folder, disk, extra = []) {
        const self = new Qemu();
        const manifest = JSON.parse(fs.readFileSync(path.join(folder, 'image.json')));
        const socketPath = path.join(path.dirname(disk), 'qmp.sock');
        const args = ['-nodefaults', '-no-user-config', '-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max',
            '-smp', String(manifest.cpus), '-m', `${manifest.memory_mib}M`, '-kernel', path.join(folder, manifest.kernel),
            '-initrd', path.join(folder, manifest.initrd), '-append', manifest.cmdline,
            '-blockdev', `driver=qcow2,node-name=disk,file.driver=file,file.filename=${disk}`, '-device', 'virtio-blk-pci,drive=disk',
            '-device', 'virtio-gpu-pci,xres=1280,yres=800', '-device', 'virtio-keyboard-pci', '-device', 'virtio-tablet-pci',
            '-device', 'virtio-serial-pci', '-device', 'virtio-rng-pci', '-serial', 'null', '-display', 'none',
            '-qmp', `unix:${socketPath},server=on,wait=off`, ...extra];
        self.begin = now();
        self.process = spawn('qemu-system-x86_64', args, { stdio: ['ignore', 'ignore', 'inherit'] });
        self.ended = new Promise((resolve) => self.process.on('exit', resolve));
        await self.connect(socketPath);
        await self.execute('qmp_capabilities');
        return self;
    }

    async connect(socketPath) {
        this.socket = await eventually('QMP', () => new Promise((resolve, reject) => {
            const socket = net.connect(socketPath, () => resolve(socket));
            socket.on('error', reject);
        }), { every: 2, ms: 20000 });
        let rest = '';
        this.answers = [];
        this.socket.on('data', (part) => {
            const lines = (rest + part).split('\n');
            rest = lines.pop();
            for (const message of lines.filter(Boolean).map((line) => JSON.parse(line)))
                if (message.return !== undefined || message.error)
                    this.answers.shift()(message);
        });
    }

    async execute(command, parameters) {
        const message = await new Promise((resolve) => {
            this.answers.push(resolve);
            this.socket.write(`${JSON.stringify({ execute: command, arguments: parameters })}\n`);
        });
        if (message.error)
            throw new Error(`${command}: ${message.error.desc}`);
        return message.return;
    }

    async hmp(line) {
        const text = await this.execute('human-monitor-command', { 'command-line': line });
        if (text)
            throw new Error(`${line}: ${text}`);
    }

    screendump(file) {
        return this.execute('screendump', { filename: file, format: 'png' });
    }

    async end() {
        this.process.kill('SIGKILL');
        await this.ended;
    }
}

function qemuImg(...args) {
    return new Promise((resolve, reject) => spawn('qemu-img', args, { stdio: ['ignore', 'ignore', 'inherit'] })
        .on('exit', (code) => (code ? reject(new Error(`qemu-img ${args.join(' ')}: ${code}`)) : resolve())));
}

/** The same image without deskfarm, saved and loaded by QEMU's own means. bootMs: how long a boot takes. */
async function benchOthers(bench, bootMs) {
    const folder = fs.realpathSync(path.join(cacheDir, 'images', image));
    const { disk } = JSON.parse(fs.readFileSync(path.join(folder, 'image.json')));
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-bench-'));
    const shot = path.join(dir, 'shot.png'), top = path.join(dir, 'top.qcow2');
    const save = new Samples('QEMU savevm: the guest stands still'), load = new Samples('QEMU loadvm in place → first screendump');
    const anew = new Samples('QEMU started anew with -loadvm → first screendump');
    const boot = new Samples('deskfarm, boot: cold → the desktop is up and still, screenshot');
    let qemu;
    try {
        await (disk ? qemuImg('create', '-q', '-f', 'qcow2', '-b', path.join(folder, disk), '-F', 'qcow2', top)
            : qemuImg('create', '-q', '-f', 'qcow2', top, '64M'));
        qemu = await Qemu.start(folder, top);
        await setTimeout(bootMs);
        const n = isDesktop ? 3 : 8;
        for (let i = 0; i < n; i++) {
            let begin = now();
            await qemu.hmp('savevm it');
            save.add(now() - begin);
            begin = now();
            await qemu.hmp('loadvm it');
            await qemu.screendump(shot);
            load.add(now() - begin);
        }
        await qemu.end();
        for (let i = 0; i < n; i++) {
            qemu = await Qemu.start(folder, top, ['-loadvm', 'it']);
            await qemu.screendump(shot);
            anew.add(now() - qemu.begin);
            await qemu.end();
        }
    } finally {
        await qemu?.end();
        fs.rmSync(dir, { recursive: true, force: true });
    }
    for (let i = 0; i < (isDesktop ? 1 : 3); i++) {
        const begin = now();
        const { id } = await bench.client.create(image, { boot: 'cold' });
        bench.daemon.ids.add(id);
        await bench.client.call('POST', `/v1/sandboxes/${id}/desktop/wait`, { body: { for: 'up', max_ms: 300000 }, ms: 310000 });
        await bench.client.shot(id);
        boot.add(now() - begin);
        bench.remove(id);
        await bench.settle();
    }
    const rows = { restore: new Samples('deskfarm, template restore → first screenshot'), fork: new Samples('deskfarm, live fork → first screenshot'),
        pause: new Samples('… of that, the parent stands still'), rewind: new Samples('deskfarm, rewind → first screenshot') };
    bench.parent = await bench.create();
    bench.back = await bench.create();
    bench.kept = await bench.post(`/v1/sandboxes/${bench.back}/checkpoints`, { name: 'kept' });
    for (let i = 0; i < 8; i++) {
        await bench.settle();
        rows.restore.add((await bench.ofTemplate()).shot);
        await bench.settle();
        const begin = now();
        const fork = await bench.post(`/v1/sandboxes/${bench.parent}/fork`);
        await bench.client.shot(fork.items[0].id);
        rows.fork.add(now() - begin);
        rows.pause.add(fork.pause_ms);
        bench.daemon.ids.add(fork.items[0].id);
        bench.remove(fork.items[0].id);
        await bench.settle();
        rows.rewind.add((await bench.rewind()).shot);
    }
    printHead(`${image}: instead of a fork; ${bench.pool ? `pool of ${bench.pool}` : 'no pool'}`);
    [rows.restore, rows.fork, rows.pause, rows.rewind, save, load, anew, boot].forEach((samples) => samples.print());
}

/* --- All of it ----------------------------------------------------------------------------------- */

async function withDaemon(pool, work) {
    const daemon = await Daemon.start({ args: ['--log-level', 'info', '--pool', String(pool), '--max-cpus', '1000',
        '--max-memory-mib', '1000000', '--max-sandboxes', '1000'] });
    const end = () => daemon.destroy().finally(() => process.exit(1));
    process.once('SIGINT', end).once('SIGTERM', end);
    const bench = new Bench(daemon, pool);
    try {
        const bootMs = await bench.bake();
        await work(bench, bootMs);
        await bench.settle();
    } catch (error) {
        error.message += `\n${daemon.lastLog()}`;
        throw error;
    } finally {
        process.off('SIGINT', end).off('SIGTERM', end);
        await daemon.destroy();
    }
}

const skip = lacksImage(image);
if (skip) {
    console.log(`skipped: ${skip}`);
    process.exit(SKIPPED);
}
const others = await usedPercent();
for (const pool of wanted.includes('clocks') ? [POOL, 0] : [POOL])
    await withDaemon(pool, async (bench, bootMs) => {
        if (pool === POOL) {
            await printMachine(bench.client);
            console.log(`Before the start ${others.toFixed(1)} % of the CPUs were used by others.`);
        }
        if (wanted.includes('clocks'))
            await benchClocks(bench);
        if (pool === 0)
            return;
        if (wanted.includes('pause'))
            await benchPause(bench);
        if (wanted.includes('memory'))
            await benchMemory(bench);
        if (wanted.includes('others'))
            await benchOthers(bench, bootMs);
    });
