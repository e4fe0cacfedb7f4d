/**
 * Commands and files in a running guest, beside what one would otherwise use: ssh into the same guest,
 * and the QEMU guest agent (guest-exec, guest-file-*) in the same guest. One guest, one run, the ways in turns.
 *
 *   node tests/bench/bench-exec.mjs [ROUNDS] [MIB]                   DESKFARM_BUILD names the build
 *
 * A command is `sh -c "echo hello"`, or the login shell's own where the way has one (execd, ssh). Its clock
 * starts before the request is written or the client program is spawned, and stops when its exit status is
 * known and its output is here; an answer without that output counts as WRONG.
 *
 * Whom the rows favour. ssh goes through the daemon (`deskfarm ssh --config`), for a guest has no way in
 * otherwise: what ssh takes beyond "deskfarm exec" is its key exchange and encryption, under TCG by an emulated
 * CPU. The row with a connection that is there already is ssh at its best. The guest agent is spoken to
 * straight at QEMU's socket, without our daemon, and its status is asked for again as soon as it has answered; it has
 * no event for the end of a command.
 *
 * A file of MIB random MiB is written to the guest's /dev/shm, so that no disk is measured, and read back from
 * there; the SHA-256 that the guest sees must be ours. The guest agent moves a sixteenth of it, in chunks of
 * 48 KiB, as its own documentation has it.
 */
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { percentile } from '../integration/lib/counts.mjs';
import { buildDir, lacksImage } from '../integration/lib/daemon.mjs';
import { eventually, within } from '../integration/lib/wait.mjs';
import { WebSocketClient } from '../integration/lib/websocket.mjs';
import { measure, printHead, printMachine, runWithDaemon, Samples } from './report.mjs';

const rounds = Number(process.argv[2] ?? 100);
const mib = Number(process.argv[3] ?? 32);
const copies = 5;
const CHUNK = 49152;
const STEP_MS = 120000;
const line = 'echo hello', wanted = 'hello\n';
const cli = path.join(buildDir, 'cli/deskfarm');

/* --- The ways in --------------------------------------------------------------------------------- */

class Guest {
    constructor(daemon, client, id, home) {
        Object.assign(this, { daemon, client, id, home, config: path.join(home, 'ssh_config'), master: path.join(home, `m-${id}`) });
        this.env = { ...process.env, HOME: home, XDG_CONFIG_HOME: home, DESKFARM_URL: daemon.url };
    }

    execd(method, rest, request) {
        return this.client.send(method, `/v1/sandboxes/${this.id}/proxy/44772${rest}`, { ms: STEP_MS, ...request });
    }

    /** A program of this machine. @returns {Promise<{code: number, out: string}>} */
    async program(command, ...args) {
        const child = spawn(command, args, { env: this.env, stdio: ['ignore', 'pipe', 'inherit'] });
        let out = '';
        child.stdout.on('data', (part) => {
            out += part;
        });
        const code = await within(STEP_MS, command, new Promise((resolve) => child.on('close', resolve)));
        return { code, out };
    }

    async good(command, ...args) {
        const { code, out } = await this.program(command, ...args);
        if (code !== 0)
            throw new Error(`${command} ${args.join(' ')} ended with ${code}`);
        return out;
    }

    ssh(...args) {
        return this.program('ssh', '-F', this.config, ...args);
    }

    /** The Host block of the command line, and one connection that stays. */
    async openSsh() {
        fs.writeFileSync(this.config, await this.good(cli, 'ssh', '--config', this.id));
        this.kept = spawn('ssh', ['-F', this.config, '-M', '-N', '-S', this.master, this.id], { env: this.env, stdio: 'inherit' });
        await eventually('ssh is there', async () => fs.existsSync(this.master), { ms: STEP_MS });
    }

    async openGuestAgent() {
        this.qga = net.connect(path.join(this.daemon.sandboxDir(this.id), 'qga.sock'));
        const lines = readline.createInterface({ input: this.qga })[Symbol.asyncIterator]();
        this.nextLine = async () => JSON.parse((await lines.next()).value.replace(/^\u{ff}/u, ''));
        const id = crypto.randomInt(1 << 30);
        this.qga.write(`${JSON.stringify({ execute: 'guest-sync', arguments: { id } })}\n`);
        await within(STEP_MS, 'the QEMU guest agent', (async () => {
            while ((await this.nextLine()).return !== id)
                ;
        })());
    }

    /** A command of the QEMU guest agent. */
    async ask(name, args) {
        this.qga.write(`${JSON.stringify({ execute: name, arguments: args })}\n`);
        const answer = await within(STEP_MS, name, this.nextLine());
        if (answer.error)
            throw new Error(`${name}: ${answer.error.desc}`);
        return answer.return;
    }

    close() {
        this.qga?.destroy();
        this.kept?.kill();
    }
}

/** Looks after each piece that came, for a test's own way of waiting looks every 5 ms. */
const arrives = (socket, look) => within(STEP_MS, 'an answer', new Promise((resolve) =>
    socket.socket.on('data', () => look() && resolve(look()))));

/* Each does the command once and says whether its output came. */

async function post(guest, what) {
    const { body } = await guest.execd('POST', '/command', { body: what, headers: { accept: 'application/x-ndjson' } });
    const events = body.toString().split('\n').filter(Boolean).map((text) => JSON.parse(text));
    return events.filter(({ type }) => type === 'stdout').map(({ text }) => text).join('') === wanted
        && events.at(-1).type === 'execution_complete';
}

const commands = {
    'deskfarm: POST /command, connection kept, bash': (guest) => post(guest, { command: line }),
    'deskfarm: POST /command, connection kept, sh': (guest) => post(guest, { argv: ['sh', '-c', line] }),
    'deskfarm: WebSocket /exec, a connection each': async (guest) => {
        const socket = new WebSocketClient(guest.daemon.port, `/v1/sandboxes/${guest.id}/exec`);
        await arrives(socket, () => socket.status);
        socket.json({ argv: ['sh', '-c', line] });
        const end = await arrives(socket, () => socket.messages.find(({ opcode, data }) => opcode === 1 && /"exit"/.test(data)));
        socket.destroy();
        const out = socket.messages.filter(({ opcode, data }) => opcode === 2 && data[0] === 1).map(({ data }) => data.subarray(1));
        return JSON.parse(end.data).exit === 0 && Buffer.concat(out).toString() === wanted;
    },
    '`deskfarm exec`, a process each': async (guest) =>
        (await guest.program(cli, 'exec', '-n', guest.id, '--', 'sh', '-c', line)).out === wanted,
    'ssh, connection kept (ControlMaster), a process each': async (guest) =>
        (await guest.ssh('-S', guest.master, guest.id, line)).out === wanted,
    'ssh, a connection and a process each': async (guest) => (await guest.ssh(guest.id, line)).out === wanted,
    'QEMU guest agent: guest-exec, then status until it ended': async (guest) => {
        const { pid } = await guest.ask('guest-exec', { path: '/bin/sh', arg: ['-c', line], 'capture-output': true });
        for (;;) {
            const status = await guest.ask('guest-exec-status', { pid });
            if (status.exited)
                return status.exitcode === 0 && Buffer.from(status['out-data'] ?? '', 'base64').toString() === wanted;
        }
    },
};

const inGuest = '/dev/shm/bench';

/** Each moves the file once. share: the part of it that is moved. */
const transfers = {
    'deskfarm: POST /files/upload': { up: true, move: async (guest, file) => {
        const form = new FormData();
        form.append('metadata', new Blob([JSON.stringify({ path: inGuest })], { type: 'application/json' }));
        form.append('file', new Blob([file.bytes]));
        const answer = await fetch(`${guest.daemon.url}/v1/sandboxes/${guest.id}/proxy/44772/files/upload`, { method: 'POST', body: form });
        if (!answer.ok)
            throw new Error(await answer.text());
    } },
    '`deskfarm cp` to the guest': { up: true, move: (guest, file) => guest.good(cli, 'cp', file.path, `${guest.id}:${inGuest}`) },
    'scp to the guest': { up: true, move: (guest, file) => guest.good('scp', '-q', '-F', guest.config, file.path, `${guest.id}:${inGuest}`) },
    'scp to the guest, connection kept': { up: true, move: (guest, file) =>
        guest.good('scp', '-q', '-F', guest.config, '-o', `ControlPath=${guest.master}`, file.path, `${guest.id}:${inGuest}`) },
    'QEMU guest agent: guest-file-write': { up: true, share: 16, move: async (guest, file) => {
        const handle = await guest.ask('guest-file-open', { path: inGuest, mode: 'w' });
        for (let at = 0; at < file.bytes.length; at += CHUNK)
            await guest.ask('guest-file-write', { handle, 'buf-b64': file.bytes.subarray(at, at + CHUNK).toString('base64') });
        await guest.ask('guest-file-close', { handle });
    } },
    'deskfarm: GET /files/download': { move: async (guest, file) => {
        file.back = (await guest.execd('GET', '/files/download', { query: { path: inGuest } })).body;
    } },
    '`deskfarm cp` from the guest': { move: (guest, file) => guest.good(cli, 'cp', `${guest.id}:${inGuest}`, file.copy) },
    'scp from the guest': { move: (guest, file) => guest.good('scp', '-q', '-F', guest.config, `${guest.id}:${inGuest}`, file.copy) },
    'scp from the guest, connection kept': { move: (guest, file) =>
        guest.good('scp', '-q', '-F', guest.config, '-o', `ControlPath=${guest.master}`, `${guest.id}:${inGuest}`, file.copy) },
    'QEMU guest agent: guest-file-read': { share: 16, move: async (guest, file) => {
        const handle = await guest.ask('guest-file-open', { path: inGuest, mode: 'r' }), parts = [];
        for (let isEnd = false; !isEnd;) {
            const part = await guest.ask('guest-file-read', { handle, count: CHUNK });
            parts.push(Buffer.from(part['buf-b64'] ?? '', 'base64'));
            isEnd = part.eof || part.count === 0;
        }
        await guest.ask('guest-file-close', { handle });
        file.back = Buffer.concat(parts);
    } },
};

/* --- The run ------------------------------------------------------------------------------------- */

const rows = (table) => Object.entries(table).map(([name, way]) => ({ way, samples: new Samples(name) }));

async function benchCommands(guest) {
    const all = rows(commands), health = new Samples('(GET /healthz, for comparison)'), ping = new Samples('deskfarm: GET /ping');
    for (let i = -1; i < rounds; i++) /* the first warms up */
        for (const { way, samples } of [...all, { samples: health }, { samples: ping }]) {
            const start = performance.now();
            const isRight = way ? await way(guest) : samples === health ? (await guest.client.send('GET', '/healthz')).status === 200
                : (await guest.execd('GET', '/ping')).status === 200;
            if (i >= 0)
                samples.add(performance.now() - start, 0, isRight);
        }
    printHead('a command: its output and its exit status');
    [health, ping, ...all.map(({ samples }) => samples)].forEach((samples) => samples.print());
}

async function prepareFile(home, size) {
    const bytes = crypto.randomBytes(size), name = path.join(home, `file-${size}`);
    fs.writeFileSync(name, bytes);
    return { bytes, path: name, copy: `${name}.back`, sum: crypto.createHash('sha256').update(bytes).digest('hex') };
}

async function sumInGuest(guest) {
    const { body } = await guest.execd('POST', '/command', { body: { command: `sha256sum ${inGuest}` } });
    return body.toString();
}

async function benchFiles(guest) {
    const whole = await prepareFile(guest.home, mib << 20), part = await prepareFile(guest.home, (mib << 20) / 16);
    const all = rows(transfers);
    for (let i = 0; i < copies; i++)
        for (const { way, samples } of all) {
            const file = way.share ? part : whole;
            if (!way.up && !(await sumInGuest(guest)).includes(file.sum))
                await transfers['deskfarm: POST /files/upload'].move(guest, file);
            const removed = way.up && (await guest.execd('POST', '/command', { body: { command: `rm -f ${inGuest}` } }));
            fs.rmSync(file.copy, { force: true });
            file.back = null;
            const start = performance.now();
            await way.move(guest, file);
            const ms = performance.now() - start;
            const isRight = way.up ? removed && (await sumInGuest(guest)).includes(file.sum)
                : (file.back ?? fs.readFileSync(file.copy)).equals(file.bytes);
            samples.add(ms, file.bytes.length, isRight);
        }
    printHead(`a file of ${mib} MiB`, 'MB/s at p50');
    all.forEach(({ way, samples }) => samples.print(({ ms, bytes, name }) =>
        `${(bytes / 1000 / percentile(ms, 0.5)).toFixed(1)}${way.share ? ` (${mib / way.share} MiB)` : ''}`));
}

async function run(daemon) {
    const client = daemon.client(), home = fs.mkdtempSync(path.join(os.tmpdir(), 'df-bench-'));
    const { id } = await client.create('debian-xfce', { network: 'none' });
    const guest = new Guest(daemon, client, id, home);
    try {
        await client.call('POST', `/v1/sandboxes/${id}/desktop/wait`, { body: { for: 'up', max_ms: 300000 }, ms: 310000 });
        await guest.execd('POST', '/command', { body: { command: 'systemctl start qemu-guest-agent' } });
        await guest.openSsh();
        await guest.openGuestAgent();
        await printMachine(client);
        await measure(daemon, id, async () => {
            await benchCommands(guest);
            await benchFiles(guest);
        });
    } finally {
        guest.close();
        fs.rmSync(home, { recursive: true, force: true });
    }
}

await runWithDaemon(lacksImage('debian-xfce'), run);
