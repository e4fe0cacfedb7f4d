/**
 * A reset by the guest: powered on, forked, woken, of a template. Its firmware is there again each time, and on a machine
 * with UEFI so is what the firmware keeps.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Daemon, buildDir, lacksImage } from './lib/daemon.mjs';
import { Probe } from './lib/probe.mjs';
import { haveTemplate } from './lib/templates.mjs';
import { UefiGuest } from './lib/uefi.mjs';

const cli = path.join(buildDir, 'cli/deskfarm');
const options = { skip: lacksImage('uefi') || lacksImage('probe'), timeout: 300000 };
let daemon, client;

before(async () => {
    if (options.skip)
        return;
    daemon = await Daemon.start({ boot: 'auto' });
    client = daemon.client();
}, { timeout: 60000 });
after(() => daemon?.destroy(), { timeout: 60000 });

const post = async (where, body = {}) => (await client.call('POST', where, { body, ms: 120000 })).json;
/** How each guest is reset from inside. */
const kinds = {
    uefi: { Guest: UefiGuest, reset: (guest) => guest.command('reboot').catch(() => {}) }, /* no answer comes */
    probe: { Guest: Probe, reset: ({ id }) => spawn(cli, ['exec', '--user', 'root', id, '--', 'busybox', 'reboot', '-f'],
        { env: { ...process.env, DESKFARM_URL: daemon.url }, stdio: 'ignore' }) },
};

for (const [image, { Guest, reset }] of Object.entries(kinds))
    test(`${image}: it comes back from a reset, powered on, of a template, forked and woken`, options, async () => {
        const attach = (id) => Guest.attach(daemon, id, { isUp: true });
        const comesBack = async (guest) => {
            const mark = guest.mark();
            reset(guest);
            await guest.until((e) => e.ev === 'ready', { from: mark, ms: 90000, what: 'ready after a reset' });
        };
        const cold = await client.create(image, { boot: 'cold' });
        await client.waitState(cold.id, 'Running');
        let guest = await Guest.attach(daemon, cold.id, { ms: 120000 });
        await comesBack(guest);
        const child = await attach(await client.fork(cold.id));
        await comesBack(child);
        child.close();
        await client.delete(child.id);
        guest.close();
        await post(`/v1/sandboxes/${cold.id}/hibernate`);
        await client.waitState(cold.id, 'Hibernated');
        await post(`/v1/sandboxes/${cold.id}/wake`);
        await client.waitState(cold.id, 'Running');
        guest = await attach(cold.id);
        await comesBack(guest);
        guest.close();
        await client.delete(cold.id);
        await haveTemplate(client, image);
        const made = await client.create(image, { boot: 'template' });
        await client.waitState(made.id, 'Running');
        const other = await attach(made.id);
        await comesBack(other);
        assert.equal((await other.command('hello')).ev, 'ok');
        other.close();
    });
