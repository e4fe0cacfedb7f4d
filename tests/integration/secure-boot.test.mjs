/**
 * Secure Boot, as the profile `windows` has it: the firmware starts what Microsoft's keys have signed, and nothing
 * else. Its variables are the guest's own, through checkpoints and forks.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { cacheDir, lacksImage } from './lib/daemon.mjs';
import { makeIso, useOwnImages } from './lib/images.mjs';

const LOADERS = path.join(cacheDir, 'loaders/usr/lib'); /* tests/fetch-loaders */
const SHIM = path.join(LOADERS, 'shim/shimx64.efi.signed'), GRUB = path.join(LOADERS, 'grub/x86_64-efi-signed/grubx64.efi.signed');
const OVMF = '/usr/share/OVMF/OVMF_CODE_4M.secboot.fd', SWTPM = '/usr/bin/swtpm';
const missing = [SHIM, GRUB, OVMF, SWTPM].find((file) => !fs.existsSync(file));
const options = { skip: lacksImage('uefi') || (missing && `needs ${missing}`), timeout: 360000 };
let client;

useOwnImages(options.skip, (cache) => {
    const secure = { profile: 'generic', firmware: 'secure', memory_mib: 512, disk_bytes: 64 << 20, media: ['a.iso'] };
    const [signed, unsigned] = ['signed.iso', 'unsigned.iso'].map((name) => path.join(cache.dir, name));
    makeIso(signed, { 'EFI/BOOT/BOOTX64.EFI': SHIM, 'EFI/BOOT/grubx64.efi': GRUB });
    makeIso(unsigned, { 'EFI/BOOT/BOOTX64.EFI': path.join(cacheDir, 'images/uefi/uefi.efi') });
    cache.addImage('signed', { ...secure, profile: 'windows' }, { 'a.iso': signed });
    cache.addImage('unsigned', secure, { 'a.iso': unsigned });
}, async (farm) => {
    ({ client } = farm);
});

const post = async (where, body = {}) => (await client.call('POST', where, { body, ms: 200000 })).json;

async function start(image) {
    const { id } = await client.create(image);
    await client.waitState(id, 'Running');
    return id;
}

/** Does what is asked and waits until the text can be read. */
async function see(id, text, actions = [], ms = 120000) {
    const { results } = await post(`/v1/sandboxes/${id}/desktop/actions`, {
        actions: [...actions, { type: 'wait_for', kind: 'text', text, max_ms: ms }], settle: false, screenshot: false });
    const { found, result } = results.at(-1);
    assert.ok(found, `"${text}": ${result}`);
}
const keys = (...names) => names.map((it) => ({ type: 'key', keys: it }));
const type = (text) => ({ type: 'type', text });

test('what nobody signed is refused', options, async () => {
    const id = await start('unsigned');
    await see(id, 'Access Denied');
    await client.delete(id);
});

test('Debian\'s signed loader starts on a machine of profile windows, and in a fork of it goes on', options, async () => {
    const id = await start('signed');
    await see(id, 'GNU GRUB');
    const child = await client.fork(id);
    await see(child, 'GNU GRUB');
    await see(child, 'hello-fork', [type('echo hello-fork\n')]);
    await see(id, 'hello-parent', [type('echo hello-parent\n')]);
    await Promise.all([id, child].map((it) => client.delete(it)));
});
