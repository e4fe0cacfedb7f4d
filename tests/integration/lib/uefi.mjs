/** The UEFI guest from the host's side (images/uefi/README.md): the probe's protocol, with keys by their USB usage. */
import { eventually } from './wait.mjs';
import { Probe, pattern } from './probe.mjs';

/* Firmware under TCG and a sanitized daemon both take their time. */
const BOOT_MS = 120000;
const FENCE_USAGE = 72; /* Pause: no other test presses it */

export class UefiGuest extends Probe {
    static async create(daemon, client, options = {}) {
        const sandbox = await client.create('uefi', { boot: 'cold', ...options });
        await client.waitState(sandbox.id, 'Running');
        const guest = await UefiGuest.attach(daemon, sandbox.id, { ms: BOOT_MS });
        guest.sandbox = sandbox;
        return guest;
    }

    /** Sets a mode and follows it. */
    async setMode(w, h) {
        const answer = await this.command('mode', { w, h });
        this.width = answer.w;
        this.height = answer.h;
    }

    held() {
        return this.command('held').then(({ usages, buttons, x, y }) => ({ usages, buttons, x, y }));
    }

    /** Everything that was received from the mark on, up to a fence key that is pressed now. */
    async received(client, mark) {
        const from = this.mark();
        await client.act(this.id, { type: 'key', keys: 'pause' });
        await this.until((e) => e.ev === 'key' && e.usage === FENCE_USAGE && !e.down, { from, what: 'the fence key' });
        return this.since(mark).filter((e) => ['key', 'button', 'wheel', 'motion', 'lost'].includes(e.ev)
            && e.usage !== FENCE_USAGE);
    }

    async fill(x, y, w, h, color) {
        return this.command('fill', { x, y, w, h, color });
    }
}

/** Waits until a picture is as expected; what differs is told when it never is. */
export async function becomes(take, expected = pattern, { ms = 30000 } = {}) {
    let last;
    await eventually('the screen shows it', async () => {
        const picture = await take();
        const { n, first } = picture.differences(expected);
        last = `${picture.width}x${picture.height}, ${n} pixels differ: ${first}`;
        return n === 0;
    }, { ms, every: 100 }).catch((error) => {
        throw new Error(`${error.message}; ${last}`);
    });
}
