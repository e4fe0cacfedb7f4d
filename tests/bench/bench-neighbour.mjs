/**
 * What a checkpoint of one desktop costs another: screenshots and actions of a probe while a sandbox beside it,
 * with 50 MB of its own memory, is saved and stored one time after the other, against the same without.
 *
 *   node tests/bench/bench-neighbour.mjs [ROUNDS] [MEGABYTES]        DESKFARM_BUILD names the build
 *
 * Blocks with and without take turns, so that both see the same machine. A round is a rectangle that the probe
 * paints, a whole PNG of the changed screen, and a move of the pointer without settling; the clock is the
 * client's, from request to last byte. The aim: 5 ms more at p95.
 */
import { setTimeout } from 'node:timers/promises';
import { lacksImage } from '../integration/lib/daemon.mjs';
import { Probe } from '../integration/lib/probe.mjs';
import { printHead, printMachine, runWithDaemon, Samples } from './report.mjs';

const rounds = Number(process.argv[2] ?? 50);
const megabytes = Number(process.argv[3] ?? 50);
const BLOCKS = 4;
const AIM_MS = 5;

async function run(daemon) {
    const client = daemon.client(), other = daemon.client();
    await printMachine(client);
    await client.call('POST', '/v1/templates', { body: { image: { uri: 'probe' }, network: 'none' }, ms: 600000 });
    const probe = await Probe.create(daemon, client, { boot: 'cold' });
    const { id } = await client.create('probe', { boot: 'template' });
    await client.waitState(id, 'Running');
    for (;;) {
        const command = `yes deskfarm | head -c ${megabytes * 1000000} > /tmp/ballast`;
        const { status } = await client.send('POST', `/v1/sandboxes/${id}/proxy/44772/command`, { body: { command } });
        if (status < 300)
            break;
        await setTimeout(50);
    }
    const rows = [false, true].map((isBeside) => ({
        shot: new Samples(`changed screenshot${isBeside ? ', a checkpoint beside it' : ''}`),
        act: new Samples(`move${isBeside ? ', a checkpoint beside it' : ''}`),
    }));
    const pauses = new Samples('(the checkpoints: the saved sandbox stands still)');
    const totals = new Samples('(the checkpoints: until stored)');
    let isSaving = false;
    const save = async () => {
        while (isSaving) {
            const answer = await other.call('POST', `/v1/sandboxes/${id}/checkpoints`, { body: { name: 'beside' } });
            pauses.add(answer.json.pause_ms, answer.json.bytes);
            totals.add(answer.ms, answer.json.bytes);
            await other.call('DELETE', `/v1/checkpoints/${answer.json.id}`);
        }
    };
    for (let block = 0; block < 2 * BLOCKS; block++) {
        const { shot, act } = rows[block % 2];
        isSaving = block % 2 === 1;
        const saving = save();
        for (let i = 0; i < rounds; i++) {
            await probe.fill(300 + i % 50, 300, 200, 150, `#${(0x100000 + i * 7919 + block * 104729).toString(16).slice(0, 6)}`);
            const answer = await client.shot(probe.id);
            shot.add(answer.ms, answer.body.length);
            act.add((await client.act(probe.id, { type: 'move', x: 100 + i, y: 100 + block })).ms);
        }
        isSaving = false;
        await saving;
        await setTimeout(200);
    }
    printHead(`a neighbour that is saved with ${megabytes} MB of its own, ${totals.ms.length} checkpoints`);
    for (const { shot, act } of rows) {
        shot.print();
        act.print();
    }
    pauses.print();
    totals.print();
    for (const kind of ['shot', 'act']) {
        const more = rows[1][kind].p(0.95) - rows[0][kind].p(0.95);
        console.log(`${kind === 'shot' ? '\nScreenshot' : 'Action'}: ${more.toFixed(1)} ms more at p95; aim ${AIM_MS}: ${more <= AIM_MS ? 'kept' : 'MISSED'}.`);
    }
    probe.close();
}

await runWithDaemon(lacksImage('probe'), run, ['--log-level', 'warn']);
