/**
 * A text in a Windows guest: what its layout lacks goes by Alt codes, and nobody in the guest is needed for that. The
 * guest is the UEFI program on a machine of profile `windows`; it tells which keys came.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { cacheDir, Daemon, lacksImage } from './lib/daemon.mjs';
import { UefiGuest } from './lib/uefi.mjs';

const options = { skip: lacksImage('uefi'), timeout: 180000 };
const LEFTALT = 226, ENTER = 40, A = 4, ONE = 30, KPPLUS = 87, keypad = [98, 89, 90, 91, 92, 93, 94, 95, 96, 97];
let daemon, client, guest, cache;

/** The image's files under another description. */
function makeCache() {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-cache-'));
    fs.chmodSync(dir, 0o755);
    const from = fs.realpathSync(path.join(cacheDir, 'images', 'uefi')), to = path.join(dir, 'images', path.basename(from));
    fs.mkdirSync(to, { recursive: true });
    fs.symlinkSync(path.basename(from), path.join(dir, 'images', 'uefi'));
    for (const file of fs.readdirSync(from).filter((name) => name !== 'image.json'))
        fs.symlinkSync(path.join(from, file), path.join(to, file));
    const description = JSON.parse(fs.readFileSync(path.join(from, 'image.json')));
    fs.writeFileSync(path.join(to, 'image.json'), JSON.stringify({ ...description, profile: 'windows', firmware: 'uefi', tpm: false }));
    return dir;
}

before(async () => {
    if (options.skip)
        return;
    cache = makeCache();
    daemon = await Daemon.start({ env: { DESKFARM_CACHE: cache } });
    client = daemon.client();
    guest = await UefiGuest.create(daemon, client);
}, { timeout: 180000 });
after(async () => {
    guest?.close();
    await daemon?.destroy();
    if (cache)
        fs.rmSync(cache, { recursive: true, force: true });
}, { timeout: 60000 });

async function type(action) {
    const mark = guest.mark();
    const { results: [result] } = await client.act(guest.id, { type: 'type', ...action });
    return { result, keys: (await guest.received(client, mark)).filter((e) => e.ev === 'key' && e.down).map((e) => e.usage) };
}

test('what the layout lacks goes by Alt codes of code page 1252', options, async () => {
    const { result, keys } = await type({ text: 'aÿ€1', press_enter: true });
    assert.deepEqual(keys, [A, LEFTALT, ...[0, 2, 5, 5].map((n) => keypad[n]), LEFTALT, ...[0, 1, 2, 8].map((n) => keypad[n]), ONE, ENTER]);
    assert.deepEqual([result.route, result.characters, result.routes], ['alt', 4, { keys: 2, alt: 2 }]);
});

test('by its number in hexadecimal, when the caller wants that', options, async () => {
    const { result, keys } = await type({ text: 'ж', route: 'alt_hex' });
    assert.deepEqual(keys, [LEFTALT, KPPLUS, keypad[4], keypad[3], keypad[6]]);
    assert.deepEqual(result.routes, { alt_hex: 1 });
});

test('what has no Alt code is refused whole where nobody has a clipboard', options, async () => {
    const mark = guest.mark();
    for (const [route, code] of [['auto', 'untypable'], ['clipboard', 'not_ready']]) {
        const answer = await client.send('POST', `/v1/sandboxes/${guest.id}/desktop/actions`,
            { body: { actions: [{ type: 'key', keys: 'a' }, { type: 'type', text: 'aЖ', route }], settle: false, screenshot: false } });
        assert.deepEqual([answer.json.code, answer.json.failed_action], [code, 1], answer.json.message);
    }
    assert.deepEqual(await guest.received(client, mark), []);
});
