/**
 * Programs that nobody wrote for us, driven as a person would: the setup menus of OVMF and memtest86+, by keyboard,
 * with settled screenshots and text that is read off the screen. All of it is recorded and replayed.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { binary } from './lib/daemon.mjs';
import { useOwnImages } from './lib/images.mjs';
import { decodePng } from './lib/png.mjs';

const MEMTEST = '/boot/memtest86+x64.bin', OVMF = '/usr/share/OVMF/OVMF_CODE_4M.fd';
const missing = [binary, MEMTEST, OVMF].find((file) => !fs.existsSync(file));
const options = { skip: missing ? `needs ${missing}` : false, timeout: 240000 };
let daemon, client;

useOwnImages(options.skip, (cache) => {
    cache.addImage('firmware', { profile: 'generic' });
    cache.addImage('memtest', { profile: 'generic', firmware: 'bios', kernel: 'memtest.bin', cmdline: 'keyboard=usb' },
        { 'memtest.bin': MEMTEST });
}, async (farm) => {
    ({ daemon, client } = farm);
});

/** A guest, and the pictures that answers about it named. */
async function start(image) {
    const { id } = await client.create(image);
    await client.waitState(id, 'Running');
    const seen = new Map();
    const act = async (...actions) => {
        const { json } = await client.call('POST', `/v1/sandboxes/${id}/desktop/actions`, {
            body: { actions, settle: { quiet_ms: 300, max_ms: 3000 }, screenshot: { format: 'png' } }, ms: 120000,
        });
        if (json.image?.data)
            seen.set(json.image.frame, decodePng(Buffer.from(json.image.data, 'base64')));
        return json;
    };
    /** Waits until the text can be read; returns where. */
    const read = async (text, ms = 60000) => {
        const { results: [{ found, result }] } = await act({ type: 'wait_for', kind: 'text', text, max_ms: ms });
        assert.ok(found, `"${text}": ${result}`);
        return found.matches[0];
    };
    const key = (...keys) => act(...keys.map((it) => ({ type: 'key', keys: it })));
    return { id, seen, act, read, key };
}

/** Every picture that an answer showed is in the recording, exact, and so is the list of what was done. */
async function assertRecorded({ id, seen }, nActions) {
    const recording = (await client.get(id)).recording.id;
    assert.ok(seen.size >= 2, `${seen.size} pictures`);
    for (const [frame, picture] of seen) {
        const answer = await client.call('GET', `/v1/recordings/${recording}/frame`, { query: { frame, cursor: false } });
        assert.equal(JSON.parse(answer.headers['x-deskfarm-result']).exact, true);
        const kept = decodePng(answer.body);
        assert.deepEqual([kept.width, kept.height], [picture.width, picture.height]);
        assert.ok(kept.data.equals(picture.data), `frame ${frame} is the picture that was answered`);
    }
    const { items } = (await client.call('GET', `/v1/recordings/${recording}/actions`, { query: { kind: 'action' } })).json;
    assert.ok(items.length >= nActions, `${items.length} actions`);
}

test('OVMF: from its shell into its setup and its menus, and back', options, async () => {
    const guest = await start('firmware');
    await guest.read('startup.nsh');
    await guest.key('Escape'); /* the countdown would take the first letter */
    await guest.act({ type: 'type', text: 'exit\n' });
    const entry = await guest.read('Device Manager', 30000);
    assert.ok(entry.x < 400 && entry.y > 50 && entry.y < 400, 'it is in the menu');
    await guest.key('Down', 'Return');
    await guest.read('Secure Boot');
    await guest.key('Escape');
    await guest.read('Boot Manager');
    await assertRecorded(guest, 6);
    await client.delete(guest.id);
});

test('memtest86+: its menu by keyboard, in text mode, and its screen after a fork', options, async () => {
    const guest = await start('memtest');
    await guest.read('Configuration');
    assert.deepEqual((({ width, height }) => [width, height])(await client.display(guest.id)), [720, 400]);
    await guest.key('F1');
    const { x, y, width, height } = await guest.read('Settings', 20000);
    const region = { x: x - 40, y: y - 20, width: width + 80, height: height + 40 };
    await guest.key('Down', 'Down');
    const child = await client.fork(guest.id);
    for (const id of [guest.id, child]) {
        const { matches } = (await client.call('POST', `/v1/sandboxes/${id}/desktop/find`, { body: { text: 'Settings', region } })).json;
        assert.ok(matches.length > 0, 'both show the menu, in its place');
    }
    await client.delete(child);
    await guest.key('Escape');
    await assertRecorded(guest, 4);
    await client.delete(guest.id);
});
