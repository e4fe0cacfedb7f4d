// What watching costs: node bench-watched.mjs [GUESTS] (DESKFARM_BUILD names the build). Probe guests that stand still, the
// real daemon, a viewer each. CPU time by the scheduler's own count, of the daemon and of QEMU, in turns: nobody watches,
// everybody is watched, nobody again.
import fs from 'node:fs';
import { Daemon } from '../integration/lib/daemon.mjs';
import { Probe } from '../integration/lib/probe.mjs';
import { WebSocketClient, frame } from '../integration/lib/websocket.mjs';
import { machine, sleep } from './stream-rig.mjs';

const SECONDS = 20;
const count = Number(process.argv[2] ?? 2);

function cpuNs(pid) {
    let sum = 0;
    for (const task of fs.readdirSync(`/proc/${pid}/task`))
        try {
            sum += Number(fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ')[0]);
        } catch { /* ended */ }
    return sum;
}

function record(type, payload) {
    const head = Buffer.alloc(8);
    head[0] = type;
    head.writeUInt32LE(payload.length, 4);
    return Buffer.concat([head, payload]);
}

/** Watches and acknowledges. */
async function watch(daemon, id) {
    const client = await WebSocketClient.open(daemon.port, `/v1/sandboxes/${id}/desktop/stream?role=view`,
        { headers: { 'Sec-WebSocket-Protocol': 'deskfarm.stream.1' } });
    client.socket.write(frame(2, record(64, Buffer.from([1, 0, 0, 4, 0, 0, 0, 0]))));
    const timer = setInterval(() => {
        for (const { data } of client.messages.splice(0))
            for (let at = 0; at + 8 <= data.length; at += 8 + data.readUInt32LE(at + 4))
                if (data[at] === 3)
                    client.socket.write(frame(2, record(65, data.subarray(at + 8, at + 16))));
    }, 100);
    return () => {
        clearInterval(timer);
        client.socket.destroy();
    };
}

const daemon = await Daemon.start({ args: ['--no-recording'] }); /* a recording watches, too */
try {
    const client = daemon.client(), probes = [];
    for (let i = 0; i < count; i++)
        probes.push(await Probe.create(daemon, client));
    const qemus = daemon.guestProcesses().filter((pid) => fs.readFileSync(`/proc/${pid}/comm`, 'latin1').startsWith('qemu'));
    const measure = async () => {
        const before = [cpuNs(daemon.pid), ...qemus.map(cpuNs)];
        await sleep(SECONDS * 1000);
        const after = [cpuNs(daemon.pid), ...qemus.map(cpuNs)];
        const percent = after.map((ns, i) => (ns - before[i]) / 1e7 / SECONDS);
        return { daemon: percent[0] / count, qemu: percent.slice(1).reduce((a, b) => a + b, 0) / count };
    };
    await sleep(5000);
    console.log(`${machine()}; ${count} probe guests that stand still, ${SECONDS} s each; % of a core per desktop\n`);
    console.log('| | daemon | QEMU |\n|---|---:|---:|');
    const rows = [];
    for (const name of ['nobody watches', 'watched', 'nobody watches', 'watched', 'nobody watches']) {
        const ends = name === 'watched' ? await Promise.all(probes.map(({ id }) => watch(daemon, id))) : [];
        await sleep(3000);
        const row = await measure();
        rows.push(row);
        for (const end of ends)
            end();
        await sleep(1000);
        console.log(`| ${name} | ${row.daemon.toFixed(3)} | ${row.qemu.toFixed(3)} |`);
    }
    const mean = (key, even) => rows.filter((_, i) => i % 2 === even).reduce((sum, row, _, all) => sum + row[key] / all.length, 0);
    const extra = mean('daemon', 1) - mean('daemon', 0) + mean('qemu', 1) - mean('qemu', 0);
    console.log(`\nwatching costs ${extra.toFixed(3)} % of a core per desktop; ${Math.floor(100 / Math.max(extra, 0.01))} of them one core`);
    for (const probe of probes)
        probe.close();
} finally {
    await daemon.destroy();
}
