/** A root daemon whose service unit took a capability away says so at its start, and at each fork. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Daemon, binary, lacksImage } from './lib/daemon.mjs';

const skip = lacksImage('probe') || (process.getuid() === 0 ? false : 'needs root, to take a capability away');

/** A daemon that runs behind setpriv. */
class Bounded extends Daemon {
    spawn() {
        const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-'));
        const real = path.join(dir, 'deskfarmd');
        fs.writeFileSync(real, `#!/bin/sh\nexec setpriv --bounding-set=-sys_ptrace ${binary} "$@"\n`, { mode: 0o755 });
        this.wrapper = dir;
        super.spawn(real);
    }
}

test('it is said at the start, and forks are refused', { skip, timeout: 60000 }, async () => {
    const daemon = new Bounded({});
    try {
        await daemon.start();
        assert.match(daemon.log, /error +farm: checkpoints, forks and hibernation read the guests' memory.*lacks CAP_SYS_PTRACE: add it/);
        const client = daemon.client();
        assert.match((await client.call('GET', '/v1/info')).json.memory_access, /lacks CAP_SYS_PTRACE/);
        const { id } = await client.create('probe');
        await client.waitState(id, 'Running');
        for (const what of ['fork', 'checkpoints', 'hibernate']) {
            const { status, json } = await client.send('POST', `/v1/sandboxes/${id}/${what}`, { body: {} });
            assert.equal(json.code, 'unsupported', `${what}: ${status} ${json.message}`);
        }
        assert.equal((await client.get(id)).status.state, 'Running');
    } finally {
        await daemon.destroy().finally(() => fs.rmSync(daemon.wrapper, { recursive: true, force: true }));
    }
});
