/**
 * A text in a Windows guest: what its layout lacks goes by Alt codes, and nobody in the guest is needed for that. The
 * guest is the UEFI program on a machine of profile `windows`; it tells which keys came.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lacksImage } from './lib/daemon.mjs';
import { useOwnImages } from './lib/images.mjs';
import { UefiGuest } from './lib/uefi.mjs';

const options = { skip: lacksImage('uefi'), timeout: 180000 };
const LEFTALT = 226, ENTER = 40, A = 4, ONE = 30, KPPLUS = 87, keypad = [98, 89, 90, 91, 92, 93, 94, 95, 96, 97];
let client, guest;

useOwnImages(options.skip, (cache) => cache.describeAnew('uefi', 'uefi', { profile: 'windows', firmware: 'uefi', tpm: false }), async (farm) => {
    client = farm.client;
    guest = await UefiGuest.create(farm.daemon, client);
}, () => guest?.close());

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
