/**
 * CD-ROMs and a disk that begins empty: what an installer needs. A medium boots by every firmware, the disk that was
 * written comes first afterwards, and both are right through checkpoints, forks, hibernation and export.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { isFull } from './lib/counts.mjs';
import { Daemon, cacheDir, lacksImage } from './lib/daemon.mjs';
import { OwnCache, crc32, makeIso, useOwnImages } from './lib/images.mjs';
import { UefiGuest, becomes } from './lib/uefi.mjs';
import { decodePng } from './lib/png.mjs';

const MEMTEST = '/usr/lib/memtest86+/memtest86+x64.iso';
const DISK = 0, MIB = 1 << 20, BLOCK = 512, SECTOR = 2048;
const options = { skip: lacksImage('uefi') || (!fs.existsSync(MEMTEST) && `needs ${MEMTEST}`), timeout: 240000 };
const filled = (byte) => crc32(Buffer.alloc(BLOCK, byte));
let daemon, client, iso, second;

useOwnImages(options.skip, (cache) => {
    const efi = path.join(cacheDir, 'images/uefi/uefi.efi');
    [iso, second] = ['uefi.iso', 'second.iso'].map((name) => path.join(cache.dir, name));
    makeIso(iso, { 'EFI/BOOT/BOOTX64.EFI': efi });
    makeIso(second, { 'EFI/BOOT/OTHER.EFI': efi });
    const disk = { profile: 'generic', disk_bytes: 64 * MIB };
    cache.addImage('installer', { ...disk, media: ['a.iso', 'b.iso'] }, { 'a.iso': iso, 'b.iso': second });
    cache.addImage('virtio', { ...disk, disk_bus: 'virtio', media: ['b.iso', 'a.iso'] }, { 'a.iso': iso, 'b.iso': second });
    cache.addImage('medium-only', { profile: 'generic', media: ['a.iso'] }, { 'a.iso': iso });
    cache.addImage('memtest', { ...disk, firmware: 'bios', media: ['a.iso'] }, { 'a.iso': MEMTEST });
}, async (farm) => {
    ({ daemon, client } = farm);
});

const post = async (where, body = {}) => (await client.call('POST', where, { body, ms: 120000 })).json;
const shot = async (id) => decodePng((await client.shot(id)).body);
const start = (image) => UefiGuest.create(daemon, client, { image: { uri: image } });
const attach = (id) => UefiGuest.attach(daemon, id, { isUp: true });

/** The bytes of a medium's block, as the guest reads them. */
async function assertMedium(guest, disk, file) {
    const bytes = fs.readFileSync(file);
    for (const block of [16, (bytes.length / SECTOR >> 0) - 1])
        assert.equal((await guest.command('read', { disk, block })).crc, crc32(bytes.subarray(block * SECTOR, (block + 1) * SECTOR)));
}

test('an empty disk fails over to the medium; drives are as the image has them', options, async () => {
    const guest = await start('installer');
    await becomes(() => shot(guest.id));
    const sizes = [iso, second].map((file) => fs.statSync(file).size / SECTOR);
    const { disks } = await guest.command('disks');
    assert.deepEqual(disks, [[64 * MIB / BLOCK, BLOCK, 0], [sizes[0], SECTOR, 1], [sizes[1], SECTOR, 1]]);
    await assertMedium(guest, 1, iso);
    await assertMedium(guest, 2, second);
    await assert.rejects(guest.command('write', { disk: 1, block: 0, byte: 1 }), /cannot be done/);
    for (const block of [0, 1000, 64 * MIB / BLOCK - 1])
        assert.equal((await guest.command('read', { disk: DISK, block })).crc, filled(0), 'it begins as zeroes');
    guest.close();
    await client.delete(guest.id);
});

test('media beside a virtio disk, of which the second boots; media alone', options, async () => {
    const guest = await start('virtio');
    const { disks } = await guest.command('disks');
    assert.deepEqual(disks.map(([, size]) => size).sort(), [SECTOR, SECTOR, BLOCK].sort());
    guest.close();
    const other = await start('medium-only');
    assert.equal((await other.command('disks')).disks.length, 1);
    other.close();
    await Promise.all([guest.id, other.id].map((id) => client.delete(id)));
});

test('a BIOS boots the medium: memtest86+ shows its menu', { ...options, skip: options.skip || (!isFull && 'import.test.mjs boots it too') }, async () => {
    const { id } = await client.create('memtest');
    await client.waitState(id, 'Running');
    const { results: [{ found }] } = await post(`/v1/sandboxes/${id}/desktop/actions`,
        { actions: [{ type: 'wait_for', kind: 'text', text: 'Configuration', max_ms: 90000 }], settle: false, screenshot: false });
    await client.delete(id); /* it computes without end */
    assert.ok(found);
});

test('what was written is in forks, checkpoints and after hibernation, each its own', options, async () => {
    let guest = await start('installer');
    const read = async (it, block) => (await it.command('read', { disk: DISK, block })).crc;
    const write = (it, block, byte) => it.command('write', { disk: DISK, block, byte });
    await write(guest, 5, 0x11);
    const kept = await post(`/v1/sandboxes/${guest.id}/checkpoints`, { name: 'then' });
    await write(guest, 5, 0x22);
    await write(guest, 70000, 0x23);
    const child = await client.fork(guest.id);
    const other = await attach(child);
    await write(other, 6, 0x33);
    const grandchild = await attach(await client.fork(child));
    assert.deepEqual([await read(grandchild, 5), await read(grandchild, 6), await read(grandchild, 70000), await read(grandchild, 7)],
        [0x22, 0x33, 0x23, 0].map(filled));
    assert.equal(await read(guest, 6), filled(0), 'the parent has nothing of it');
    await assertMedium(grandchild, 2, second);
    other.close();
    grandchild.close();
    guest.close();
    await post(`/v1/sandboxes/${guest.id}/hibernate`);
    await client.waitState(guest.id, 'Hibernated');
    await shot(guest.id);
    guest = await attach(guest.id);
    assert.deepEqual([await read(guest, 5), await read(guest, 6)], [0x22, 0].map(filled));
    await assertMedium(guest, 1, iso);
    guest.close();
    await post(`/v1/sandboxes/${guest.id}/restore`, { checkpoint: kept.id });
    guest = await attach(guest.id);
    assert.deepEqual([await read(guest, 5), await read(guest, 70000)], [0x11, 0].map(filled));
    guest.close();
});

test('an export has the media, and another daemon starts it with them', options, async () => {
    const guest = await start('installer');
    await guest.command('write', { disk: DISK, block: 9, byte: 0x44 });
    const kept = await post(`/v1/sandboxes/${guest.id}/checkpoints`, { name: 'to go' });
    guest.close();
    const { body } = await client.call('GET', `/v1/checkpoints/${kept.id}/export`, { query: { image: true }, ms: 120000 });
    const there = new OwnCache();
    const far = await Daemon.start({ env: { DESKFARM_CACHE: there.dir } });
    try {
        const to = far.client();
        const taken = (await to.call('POST', '/v1/checkpoints', { body, headers: { 'content-type': 'application/zstd' } })).json;
        const { items: [{ id }] } = (await to.call('POST', `/v1/checkpoints/${taken.id}/fork`, { body: {} })).json;
        far.ids.add(id);
        const other = await UefiGuest.attach(far, id, { isUp: true });
        assert.equal((await other.command('read', { disk: DISK, block: 9 })).crc, filled(0x44));
        await assertMedium(other, 1, iso);
        await assertMedium(other, 2, second);
        other.close();
    } finally {
        await far.destroy();
        there.remove();
    }
});

test('a size that is less than the image\'s is refused, more is had', options, async () => {
    const { status, json } = await client.send('POST', '/v1/sandboxes', { body: { image: { uri: 'installer' }, resourceLimits: { disk: '32Mi' } } });
    assert.deepEqual([status, json.code], [400, 'bad_value']);
    const guest = await UefiGuest.create(daemon, client, { image: { uri: 'installer' }, resourceLimits: { disk: '100Mi' } });
    assert.equal((await guest.command('disks')).disks[0][0], 100 * MIB / BLOCK);
    guest.close();
});
