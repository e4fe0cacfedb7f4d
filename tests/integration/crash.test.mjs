/**
 * The daemon dies (SIGKILL) at random moments of checkpoints, forks, restores and hibernations. Afterwards
 * every sandbox that was answered is there, every listed checkpoint restores to what it was taken of, and
 * no file or process is left that nobody names. DESKFARM_FULL=1: 50 deaths; DESKFARM_SEED repeats a run.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { findProcesses } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { decodePng } from './lib/png.mjs';
import { Probe } from './lib/probe.mjs';
import { haveTemplate } from './lib/templates.mjs';
import { eventually } from './lib/wait.mjs';

const DEATHS = process.env.DESKFARM_FULL === '1' ? 50 : 6;
const seed = Number(process.env.DESKFARM_SEED ?? crypto.randomInt(1 << 30));
const farm = useFarm({
    daemon: { boot: 'auto' }, withProbe: false,
    prepare: async () => {
        farm.template = await haveTemplate(farm.client, 'probe');
    },
});
const options = { skip: farm.skip, timeout: 60000 + DEATHS * 20000 };

/** A small generator with a seed (mulberry32), so that a run can be had again. */
function generator(state) {
    return () => {
        state = (state + 0x6d2b79f5) | 0;
        let t = Math.imul(state ^ (state >>> 15), 1 | state);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
}

const post = async (where, body = {}) => (await farm.client.call('POST', where, { body })).json;
const items = async (where) => (await farm.client.call('GET', where)).json.items;
const sandboxes = () => items('/v1/sandboxes?pageSize=200');
const pixel = async (id) => decodePng((await farm.client.shot(id, { cursor: false })).body).at(100, 100).join();
const folder = (name) => fs.readdirSync(path.join(farm.daemon.stateDir, name));

async function create() {
    const { id } = await farm.client.create('probe');
    await farm.client.waitState(id, 'Running');
    return id;
}

/** Paints the sandbox and waits until its screen shows it. */
async function paint(id, colour) {
    const probe = await Probe.attach(farm.daemon, id, { isUp: true });
    await probe.fill(0, 0, 300, 300, colour);
    probe.close();
    const rgb = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16)).join();
    await eventually(`${id} shows ${colour}`, async () => await pixel(id) === rgb, { ms: 20000 });
    return rgb;
}

async function restart() {
    await farm.daemon.start();
    farm.client = farm.daemon.client();
}

/** Every sandbox gets to where it stays. */
const isSteady = () => eventually('all sandboxes run or hibernate', async () => {
    const all = await sandboxes();
    const bad = all.filter(({ status }) => ['Failed', 'Terminated'].includes(status.state));
    assert.deepEqual(bad.map(({ id, status }) => ({ id, status })), []);
    return all.every(({ status }) => ['Running', 'Hibernated'].includes(status.state));
}, { ms: 60000 });

/** As many states on disk as the journal names: checkpoints, the template, and what sandboxes sleep in. */
const hasNoOrphans = () => eventually('only named files are left', async () => {
    const asleep = (await sandboxes()).filter(({ status }) => status.state === 'Hibernated').length;
    const named = (await items('/v1/checkpoints')).length + 1 + asleep;
    const states = folder('checkpoints').filter((name) => name.endsWith('.state'));
    return states.length === named && ![...folder('checkpoints'), ...folder('ram'), ...folder('layers')]
        .some((name) => name.includes('.tmp'));
}, { ms: 20000 });

test(`${DEATHS} deaths (seed ${seed})`, options, async (t) => {
    const random = generator(seed);
    const names = new Set(), known = new Map(); /* every name ever seen; checkpoint → colour */
    const a = await create(), b = await create();
    const colours = new Map([[a, await paint(a, '#112233')], [b, await paint(b, '#445566')]]);
    const first = await post(`/v1/sandboxes/${a}/checkpoints`, { name: 'first' });
    known.set(first.id, colours.get(a));
    const deeds = {
        checkpoint: () => post(`/v1/sandboxes/${a}/checkpoints`, { name: 'later' })
            .then(({ id }) => known.set(id, colours.get(a))),
        fork: () => post(`/v1/sandboxes/${a}/fork`, { count: 2 })
            .then(({ items: forks }) => forks.forEach(({ id }) => colours.set(id, colours.get(a)))),
        restore: () => post(`/v1/sandboxes/${a}/restore`, { checkpoint: first.id }),
        hibernate: () => post(`/v1/sandboxes/${b}/hibernate`),
        wake: () => post(`/v1/sandboxes/${b}/wake`),
        create: () => post('/v1/sandboxes', { image: { uri: 'probe' }, network: 'none' })
            .then(({ id }) => colours.set(id, null)),
        forget: () => farm.client.call('DELETE', `/v1/checkpoints/${[...known.keys()].at(-1)}`),
    };
    for (let i = 0; i < DEATHS; i++) {
        const which = Object.keys(deeds)[Math.floor(random() * Object.keys(deeds).length)];
        const after = Math.floor(random() * random() * 500);
        const doomed = which === 'forget' && known.size > 1 ? [...known.keys()].at(-1) : null;
        if (which !== 'forget' || doomed) {
            const deed = deeds[which]().catch(() => {});
            await delay(after); /* the moment of death is what is being chosen */
            await farm.daemon.kill();
            await deed;
            known.delete(doomed);
        } else {
            await farm.daemon.kill();
        }
        folder('sandboxes').forEach((name) => names.add(name));
        await restart();
        await isSteady();
        const all = new Map((await sandboxes()).map((sandbox) => [sandbox.id, sandbox]));
        all.forEach((_, id) => farm.daemon.ids.add(id));
        for (const id of colours.keys())
            assert.ok(all.has(id), `death ${i} (${which} after ${after} ms): ${id} is lost`);
        const listed = (await items('/v1/checkpoints')).map(({ id }) => id);
        for (const id of known.keys())
            assert.ok(listed.includes(id), `death ${i} (${which} after ${after} ms): ${id} is lost`);
        await hasNoOrphans();
        for (const id of [...all.keys()].filter((it) => it !== a && it !== b)) {
            await farm.client.delete(id);
            colours.delete(id);
        }
    }
    for (const [id, colour] of colours)
        assert.equal(await pixel(id), colour, `${id} shows what it did`);
    for (const { id } of await items('/v1/checkpoints')) {
        const [child] = (await post(`/v1/checkpoints/${id}/fork`)).items;
        farm.daemon.ids.add(child.id);
        assert.equal(await pixel(child.id), known.get(id) ?? colours.get(a), `checkpoint ${id}`);
        await farm.client.delete(child.id);
        await farm.client.call('DELETE', `/v1/checkpoints/${id}`);
    }
    await Promise.all([a, b].map((id) => farm.client.delete(id)));
    await eventually('only the template is left', async () =>
        folder('layers').length === 0 && folder('ram').length === 1 && folder('checkpoints').length === 1 &&
        (await sandboxes()).length === 0, { ms: 20000 });
    const spares = folder('sandboxes');
    const left = [...names].filter((name) => !spares.includes(name))
        .flatMap((name) => findProcesses(`guest=${name.replace(/-\d+$/, '')}\0`));
    assert.deepEqual(left, [], 'no process is left');
    t.diagnostic(`seed ${seed}`);
});
