/**
 * The probe guest from the host's side: what it received, and what it shall show (the protocol is in
 * images/probe/README.md). Events are kept in order; tests look at what came after a mark.
 */
import net from 'node:net';
import path from 'node:path';
import { createGuest } from './templates.mjs';
import { eventually, Timeout } from './wait.mjs';

export const FENCE_CODE = 119; /* Pause: no other test presses it */

export class Probe {
    constructor(socketPath) {
        this.socketPath = socketPath;
        this.events = [];
        this.waiters = new Set();
        this.nextId = 1;
        this.rest = '';
        this.noise = ''; /* what else the port said: a panic, the X server's log after a death */
    }

    /** Creates a sandbox, waits until its client runs. */
    static async create(daemon, client, options = {}) {
        const sandbox = await createGuest(client, 'probe', options);
        const probe = await Probe.attach(daemon, sandbox.id, { isUp: sandbox.isUp });
        probe.sandbox = sandbox;
        return probe;
    }

    /** Connects to a probe that boots, or (isUp) that has said that it is ready already. */
    static async attach(daemon, id, { isUp = false, ms = 90000 } = {}) {
        const self = new this(path.join(daemon.sandboxDir(id), 'console.sock'));
        self.id = id;
        await eventually('the probe\'s console', () => self.connect(), { ms: 20000 });
        await self.waitReady(isUp, ms);
        return self;
    }

    connect() {
        return new Promise((resolve, reject) => {
            const socket = net.connect(this.socketPath, () => {
                this.socket = socket;
                socket.on('data', (text) => this.feed(text));
                socket.on('close', () => this.handleClose());
                resolve(true);
            });
            socket.setEncoding('utf8');
            socket.on('error', reject);
        });
    }

    handleClose() {
        this.isClosed = true;
        for (const waiter of this.waiters)
            waiter.check();
    }

    close() {
        this.socket?.destroy();
    }

    feed(text) {
        const lines = (this.rest + text).split('\n');
        this.rest = lines.pop();
        for (const line of lines) {
            const at = line.indexOf('{'); /* the kernel's console may precede it */
            this.noise = at < 0 ? `${this.noise}${line}\n` : this.noise;
            if (at < 0)
                continue;
            try {
                const event = JSON.parse(line.slice(at));
                if (event.ev) /* else an echo of ours, from before the client had the port */
                    this.events.push({ ...event, hostMs: performance.now() });
            } catch {
                this.noise += `${line}\n`;
            }
        }
        for (const waiter of this.waiters)
            waiter.check();
    }

    /** A place in the stream of events. */
    mark() {
        return this.events.length;
    }

    /** Events after a mark, of one kind when given. */
    since(mark, kind) {
        return this.events.slice(mark).filter((event) => !kind || event.ev === kind);
    }

    /** The first event after the mark that fits; waits for it. */
    until(predicate, { from = this.mark(), ms = 30000, what = String(predicate) } = {}) {
        return new Promise((resolve, reject) => {
            let at = from;
            const finish = (settle, value) => {
                clearTimeout(timer);
                this.waiters.delete(waiter);
                settle(value);
            };
            const waiter = {
                check: () => {
                    for (; at < this.events.length; at++)
                        if (predicate(this.events[at]))
                            return finish(resolve, this.events[at]);
                    if (this.isClosed)
                        finish(reject, new Error(`the console closed while waiting for ${what}`));
                },
            };
            const timer = setTimeout(() => finish(reject, new Timeout(
                `${what}: not within ${ms} ms; last: ${JSON.stringify(this.events.slice(-3))}`)), ms);
            this.waiters.add(waiter);
            waiter.check();
        });
    }

    /** Sends a command and returns its answer; a refusal is an error. */
    async command(cmd, parameters = {}, ms = 30000) {
        const id = this.nextId++;
        const from = this.mark();
        this.socket.write(`${JSON.stringify({ cmd, id, ...parameters })}\n`);
        const answer = await this.until((e) => e.id === id && (e.ev === 'ok' || e.ev === 'error'),
            { from, ms, what: `answer to ${cmd}` });
        if (answer.ev === 'error')
            throw new Error(`probe: ${cmd}: ${answer.message}`);
        return answer;
    }

    /**
     * A guest that boots says when it is ready, and must not be spoken to before; one that has been up
     * for longer is asked.
     */
    async waitReady(isUp, ms) {
        const first = isUp ? await this.command('hello', {}, 30000) : await this.until((e) => e.ev === 'ready' || e.ev === 'fatal',
            { from: 0, ms, what: 'the probe is ready' });
        if (first.ev === 'fatal') {
            await this.until(() => false, { ms: 500 }).catch(() => {}); /* the log of the X server follows */
            throw new Error(`the probe died: ${first.message}\n${this.noise.slice(-800).replaceAll('# ', '  ')}`);
        }
        this.width = first.w;
        this.height = first.h;
    }

    /** The pattern everywhere, nothing pending. */
    clear() {
        return this.command('clear');
    }

    /** Paints a rectangle and waits until the guest did. */
    async fill(x, y, w, h, color, delayMs = 0) {
        const from = this.mark();
        const answer = await this.command('fill', { x, y, w, h, color, delay_ms: delayMs });
        return this.until((e) => e.ev === 'painted' && e.id === answer.id, { from, ms: delayMs + 30000 });
    }

    held() {
        return this.command('keys_down').then(({ keys, buttons, x, y }) => ({ keys, buttons, x, y }));
    }

    /**
     * Everything that the guest received from the mark on: presses a key after it and waits for its
     * release, so that nothing is still under way. Twice, because the keyboard is not the pointer's device:
     * a key may overtake a button, but only within one turn of the X server. Fence events are left out.
     * A person who gives up control first lets go of the keys, so it waits for that person.
     */
    async received(client, mark) {
        for (let i = 0; i < 2; i++) {
            const from = this.mark();
            await client.act(this.id, { type: 'key', keys: 'pause' }, { queue_ms: 10000 });
            await this.until((e) => e.ev === 'key' && e.code === FENCE_CODE && !e.down,
                { from, what: 'the fence key' });
        }
        return this.since(mark).filter((e) => !(e.ev === 'key' && e.code === FENCE_CODE));
    }
}

/** The pattern's colour at a pixel, as [red, green, blue]. */
export function pattern(x, y) {
    return [x & 255, y & 255, (x >> 8 & 15) << 4 | (y >> 8 & 15)];
}

export function parseColor(text) {
    return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
}
