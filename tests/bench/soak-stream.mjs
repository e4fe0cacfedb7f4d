// Viewers that join and leave: node soak-stream.mjs STREAM-HOST [SECONDS] [VIEWERS]. Fails when memory or descriptors of
// the daemon's part grow after the first quarter, or one that stays is not served.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { WebSocketClient, frame } from '../integration/lib/websocket.mjs';
import { acknowledge, record } from './stream-reader.mjs';

const [program, seconds = '120', viewers = '200'] = process.argv.slice(2);
const here = path.dirname(new URL(import.meta.url).pathname);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const hello = record(64, Buffer.from([1, 0, 0, 1, 0, 0, 0, 0]));

const host = spawn(program, ['1280x800', here, here], { stdio: ['pipe', 'pipe', 'inherit'] });
const port = await new Promise((resolve) => host.stdout.once('data', (data) => resolve(Number(data))));
await fetch(`http://127.0.0.1:${port}/scenario/typing`);

/** One viewer after the other until the end. */
async function live(until, stays) {
    let frames = 0, n = 0;
    while (performance.now() < until) {
        const client = await WebSocketClient.open(port, '/stream');
        client.socket.write(frame(2, hello));
        const end = stays ? until : Math.min(until, performance.now() + 300 + Math.random() * 3000);
        for (; performance.now() < end; await sleep(50))
            frames += acknowledge(client);
        client.socket.destroy();
        n++;
    }
    return { n, frames };
}

const memory = () => Number(/RssAnon:\s+(\d+)/.exec(fs.readFileSync(`/proc/${host.pid}/status`, 'utf8'))[1]);
const descriptors = () => fs.readdirSync(`/proc/${host.pid}/fd`).length;
const before = descriptors();
const until = performance.now() + Number(seconds) * 1000;
const all = [live(until, true), ...Array.from({ length: Number(viewers) - 1 }, () => live(until, false))];
await sleep(Number(seconds) * 250);
const early = memory();
const [stayed, ...others] = await Promise.all(all);
await sleep(1500);
const late = memory(), left = descriptors();
console.log(`${others.reduce((sum, o) => sum + o.n, 1)} viewers, ${viewers} at a time; the one that stayed got ${stayed.frames} frames; ` +
    `anonymous memory ${early} -> ${late} KiB, descriptors ${before} -> ${left}`);
host.stdin.end();
/* Two more than before anybody looked: the listener's socket and the screen's memory linger. */
if (late > early * 1.25 + 1024 || left > before + 2 || stayed.frames < Number(seconds) * 2)
    process.exit(1);
