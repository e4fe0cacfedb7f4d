/** A VNC viewer (tests/integration/vnc-client.c) and what it saw. */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { buildDir } from './daemon.mjs';
import { Picture } from './png.mjs';
import { eventually } from './wait.mjs';

const program = path.join(buildDir, 'tests/integration/vnc-client');

export class VncClient {
    constructor(address, { password, encodings } = {}) {
        this.events = [];
        const args = [address, password ?? '', ...(encodings ? [encodings] : [])];
        this.process = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
        this.process.stdin.on('error', () => {});
        readline.createInterface({ input: this.process.stdout }).on('line', (line) => {
            this.events.push({ ...JSON.parse(line), ms: performance.now() });
        });
        this.ended = new Promise((resolve) => {
            this.process.on('exit', resolve);
        });
    }

    static async connect(address, options) {
        const self = new VncClient(address, options);
        const first = await self.until((e) => e.ev === 'connected' || e.ev === 'refused', 'an answer to the connection');
        if (first.ev === 'refused')
            throw new Error('refused');
        self.name = first.name;
        return self;
    }

    until(predicate, what, { from = 0, ms = 60000 } = {}) {
        return eventually(what, async () => this.events.slice(from).find(predicate), { ms, every: 5 });
    }

    mark() {
        return this.events.length;
    }

    tell(line) {
        this.process.stdin.write(`${line}\n`);
    }

    /** Presses and releases a key; the second number is QEMU's. */
    key(keysym, qnum) {
        for (const down of [1, 0])
            this.tell(`key ${down} ${keysym.toString(16)}${qnum ? ` ${qnum.toString(16)}` : ''}`);
    }

    /** What it shows now. */
    async picture() {
        const file = path.join(os.tmpdir(), `vnc-${process.pid}-${this.process.pid}.ppm`);
        const from = this.mark();
        this.tell(`shot ${file}`);
        await this.until((e) => e.ev === 'shot', 'the viewer writes its picture', { from });
        const ppm = fs.readFileSync(file);
        fs.unlinkSync(file);
        const [, width, height] = /^P6\n(\d+) (\d+)\n255\n/.exec(ppm.toString('latin1', 0, 40)).map(Number);
        return new Picture(width, height, 3, ppm.subarray(ppm.length - width * height * 3));
    }

    async close() {
        this.tell('quit');
        this.process.kill();
        await this.ended;
    }
}
