/**
 * A TPM of the guest's own: swtpm beside QEMU. Its registers are those of the guest's state: kept by checkpoints, forks
 * and hibernation, gone with a reset; what it keeps for good is there after a reset too, in forks as well.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { cacheDir, findProcesses, lacksImage } from './lib/daemon.mjs';
import { useOwnImages } from './lib/images.mjs';
import { UefiGuest } from './lib/uefi.mjs';
import { createHash } from 'node:crypto';
import { eventually } from './lib/wait.mjs';

const SWTPM = '/usr/bin/swtpm', PCR = 12;
const options = { skip: lacksImage('uefi') || (!fs.existsSync(SWTPM) && `needs ${SWTPM}`), timeout: 240000 };
let daemon, client, guest;

useOwnImages(options.skip, (cache) => {
    cache.addImage('measured', { profile: 'generic', tpm: true, disk: 'disk.qcow2', disk_bytes: 64 << 20, settle_ms: 15000 },
        { 'disk.qcow2': path.join(cacheDir, 'images/uefi/disk.qcow2') });
}, async (farm) => {
    ({ daemon, client } = farm);
    guest = await start();
}, () => guest?.close());

const start = (more = {}) => UefiGuest.create(daemon, client, { image: { uri: 'measured' }, ...more });
const attach = (id) => UefiGuest.attach(daemon, id, { isUp: true });
const post = async (where, body = {}) => (await client.call('POST', where, { body, ms: 120000 })).json;
const pcr = async (it) => (await it.command('measured', { pcr: PCR })).pcr;
const extend = async (it, byte) => (await it.command('extend', { pcr: PCR, byte })).pcr;
const resets = async (it) => (await it.command('resets')).resets;
const tpms = (id) => findProcesses(`dir=/tpm/${id},`).filter((pid) => {
    try {
        return fs.readFileSync(`/proc/${pid}/comm`, 'latin1') === 'swtpm\n'; /* and not what builds its jail */
    } catch {
        return false;
    }
});

/** What a register is that had this value and is extended. */
const extended = (value, byte) => createHash('sha256').update(Buffer.from(value, 'hex')).update(Buffer.alloc(32, byte)).digest('hex');

const fork = async (id) => attach(await client.fork(id));

async function reboot(it) {
    const mark = it.mark();
    it.command('reboot').catch(() => {}); /* no answer comes */
    await it.until((e) => e.ev === 'ready', { from: mark, ms: 120000, what: 'the program after a reset' });
}

test('the firmware has measured its start, and registers are extended as SHA-256 has it', options, async () => {
    assert.match((await guest.command('measured', { pcr: 0 })).pcr, /^(?!0{64})[0-9a-f]{64}$/);
    assert.equal(await pcr(guest), '0'.repeat(64));
    assert.equal(await extend(guest, 1), extended('0'.repeat(64), 1));
    assert.equal(await extend(guest, 2), extended(extended('0'.repeat(64), 1), 2));
    assert.equal(tpms(guest.id).length, 1);
});

test('a fork has them, and each goes its own way', options, async () => {
    const before = await extend(guest, 3);
    const child = await fork(guest.id);
    assert.equal(await pcr(child), before);
    assert.equal(await extend(child, 4), extended(before, 4));
    const grandchild = await fork(child.id);
    assert.equal(await pcr(grandchild), extended(before, 4));
    assert.equal(await pcr(guest), before, 'the parent\'s is its own');
    assert.equal(new Set([guest, child, grandchild].flatMap(({ id }) => tpms(id))).size, 3);
    for (const it of [child, grandchild]) {
        it.close();
        await client.delete(it.id);
    }
    await eventually('theirs are gone', async () => tpms(child.id).length + tpms(grandchild.id).length === 0);
});

test('it goes back to a checkpoint, and wakes as it slept', options, async () => {
    const then = await extend(guest, 5);
    const kept = await post(`/v1/sandboxes/${guest.id}/checkpoints`, { name: 'then' });
    const later = await extend(guest, 6);
    guest.close();
    await post(`/v1/sandboxes/${guest.id}/hibernate`);
    await client.waitState(guest.id, 'Hibernated');
    await eventually('it is gone', async () => tpms(guest.id).length === 0);
    await post(`/v1/sandboxes/${guest.id}/wake`);
    await client.waitState(guest.id, 'Running');
    guest = await attach(guest.id);
    assert.equal(await pcr(guest), later);
    guest.close();
    await post(`/v1/sandboxes/${guest.id}/restore`, { checkpoint: kept.id });
    guest = await attach(guest.id);
    assert.equal(await pcr(guest), then);
});

test('a reset clears registers and not what it keeps for good, in a fork as well', options, async () => {
    const first = await resets(guest);
    await reboot(guest);
    assert.equal(await pcr(guest), '0'.repeat(64));
    assert.equal(await resets(guest), first + 1);
    const child = await fork(guest.id);
    assert.equal(await resets(child), first + 1);
    await reboot(child);
    assert.equal(await resets(child), first + 2);
    assert.equal(await resets(guest), first + 1);
    child.close();
    await client.delete(child.id);
});

test('templates and what they make', options, async () => {
    await post('/v1/templates', { image: { uri: 'measured' }, network: 'none' });
    const made = await Promise.all([1, 2].map(() => client.create('measured', { boot: 'template' })));
    for (const { id } of made) {
        await client.waitState(id, 'Running');
        const it = await attach(id);
        assert.equal(await extend(it, 7), extended('0'.repeat(64), 7));
        it.close();
        await client.delete(id);
    }
});

test('the daemon comes back and finds it', options, async () => {
    const before = await extend(guest, 8), process = tpms(guest.id);
    guest.close();
    await daemon.kill();
    await daemon.start();
    client = daemon.client();
    await client.waitState(guest.id, 'Running');
    guest = await attach(guest.id);
    assert.deepEqual(tpms(guest.id), process);
    assert.equal(await pcr(guest), before);
    const child = await fork(guest.id);
    assert.equal(await pcr(child), before);
    child.close();
    await client.delete(child.id);
});

test('without it the guest goes on, and a checkpoint is refused', options, async () => {
    const child = await fork(guest.id);
    process.kill(tpms(child.id)[0], 'SIGKILL');
    await eventually('a checkpoint is refused', async () => {
        const { status, json } = await client.send('POST', `/v1/sandboxes/${child.id}/checkpoints`, { body: {} });
        return status >= 500 && json.code === 'guest_failed' && /its TPM is gone/.test(json.message);
    }, { ms: 20000 });
    assert.equal((await client.get(child.id)).status.state, 'Running');
    assert.equal((await child.command('hello')).ev, 'ok');
    child.close();
    await client.delete(child.id);
});

test('a daemon that dies while one starts leaves none behind', options, async () => {
    guest.close();
    for (const ms of [0, 15, 40, 80, 150]) {
        const asked = client.create('measured').catch(() => {});
        await new Promise((resolve) => { setTimeout(resolve, ms); }); /* the moment of death is what differs */
        await daemon.kill();
        await asked;
        const begun = fs.readdirSync(path.join(daemon.stateDir, 'sandboxes')).filter((id) => id !== guest.id);
        await daemon.start();
        client = daemon.client();
        const { items } = (await client.call('GET', '/v1/sandboxes')).json;
        for (const { id } of items.filter((it) => it.id !== guest.id))
            await client.delete(id);
        await eventually('they are gone', async () => begun.flatMap(tpms).length === 0, { ms: 30000 });
    }
    guest = await attach(guest.id);
});
