/**
 * What a VGA costs: QEMU compares its memory by a clock while a listener is registered, and only then. Seen by events,
 * not by time: with nobody looking no listener is there and no change is told, whatever the guest paints; who looks then
 * sees all of it.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Daemon, lacksImage } from './lib/daemon.mjs';
import { decodePng } from './lib/png.mjs';
import { parseColor } from './lib/probe.mjs';
import { UefiGuest } from './lib/uefi.mjs';
import { eventually } from './lib/wait.mjs';

const options = { skip: lacksImage('uefi'), timeout: 180000 };
let daemon, client, guest;

before(async () => {
    if (options.skip)
        return;
    daemon = await Daemon.start({ args: ['--linger-ms', '1'] });
    client = daemon.client();
    guest = await UefiGuest.create(daemon, client, { recording: false });
}, { timeout: 180000 });
after(async () => {
    guest?.close();
    await daemon?.destroy();
}, { timeout: 60000 });

async function metrics() {
    const text = (await client.call('GET', '/metrics')).body.toString();
    const value = (name) => Number(new RegExp(`^deskfarm_${name} (\\d+)`, 'm').exec(text)[1]);
    return { watched: value('displays_watched'), updates: value('display_updates') };
}
const released = () => eventually('nobody looks any more', async () => (await metrics()).watched === 0);

test('with nobody looking nothing is told, and who looks then sees it all', options, async () => {
    await client.shot(guest.id);
    await released();
    const { updates } = await metrics();
    for (let i = 0; i < 20; i++)
        await guest.fill(10 * i, 20, 10, 10, i % 2 ? '#ff0000' : '#00ff00');
    assert.deepEqual(await metrics(), { watched: 0, updates });
    const picture = decodePng((await client.shot(guest.id)).body);
    for (let i = 0; i < 20; i++)
        assert.deepEqual(picture.at(10 * i + 5, 25), parseColor(i % 2 ? '#ff0000' : '#00ff00'));
    assert.ok((await metrics()).updates > updates);
    await released();
});

test('who waits for a change is told it, and the listener goes with the last one who looks', options, async () => {
    const wait = (max_ms) => client.act(guest.id, [{ type: 'wait_for', kind: 'change', max_ms }]);
    const both = [wait(60000), client.call('POST', `/v1/sandboxes/${guest.id}/desktop/wait`,
        { body: { for: 'change', region: { x: 300, y: 300, width: 50, height: 50 }, max_ms: 60000 } })];
    await eventually('a listener is there', async () => (await metrics()).watched === 1);
    const { updates } = await metrics();
    await guest.fill(310, 310, 20, 20, '#0000ff');
    await Promise.all(both);
    assert.ok((await metrics()).updates > updates);
    await released();
});
