/**
 * Nothing writes a template's RAM, its disk layers or the base disk: neither guests that run and are
 * forked, nor a hostile program that stands in a jail in QEMU's place. Their hashes say so.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Daemon, cacheDir, lacksImage } from './lib/daemon.mjs';
import { Probe } from './lib/probe.mjs';
import { eventually } from './lib/wait.mjs';

const skip = lacksImage('probe');
const options = { skip, timeout: 180000 };
const source = path.join(path.dirname(fileURLToPath(import.meta.url)), 'hostile-jail.c');
const users = [['root', undefined], ['an ordinary user', 64013]].filter(([, uid]) => process.getuid() === 0 || !uid);
let dir, cache, hostile;

const sha = (file) => crypto.createHash('sha256').update(fs.readFileSync(file)).digest('hex');

/** Every file below these folders with its hash, and the template's RAM as the daemon holds it. */
function hashes(daemon) {
    const files = [cache, ...['ram', 'layers', 'checkpoints'].map((name) => path.join(daemon.stateDir, name))]
        .flatMap((top) => fs.readdirSync(top, { recursive: true, withFileTypes: true })
            .filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath ?? entry.path, entry.name)));
    const seen = new Map(files.sort().map((file) => [file, sha(file)]));
    for (const fd of fs.readdirSync(`/proc/${daemon.pid}/fd`)) {
        const link = `/proc/${daemon.pid}/fd/${fd}`;
        if (fs.existsSync(link) === false && /memfd:deskfarm-ram/.test(fs.readlinkSync(link)))
            seen.set('RAM in memory', sha(link));
    }
    return [...seen].map(([name, hash]) => `${hash} ${name}`);
}

before(() => {
    if (skip)
        return;
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-safety-'));
    fs.chmodSync(dir, 0o755);
    /* The probe, with a disk. */
    cache = path.join(dir, 'cache');
    const image = path.join(cache, 'images/probe-0123456789ab');
    fs.cpSync(fs.realpathSync(path.join(cacheDir, 'images/probe')), image, { recursive: true });
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path.join(image, 'disk.qcow2'), '64M']);
    const json = JSON.parse(fs.readFileSync(path.join(image, 'image.json')));
    fs.writeFileSync(path.join(image, 'image.json'), JSON.stringify(
        { ...json, hash: '0123456789ab', disk: 'disk.qcow2', disk_bytes: 64 << 20 }));
    fs.symlinkSync('probe-0123456789ab', path.join(cache, 'images/probe'));
    const [, version] = /version (\S+)/.exec(execFileSync('qemu-system-x86_64', ['--version']).toString());
    hostile = path.join(dir, 'hostile');
    execFileSync('cc', ['-static', '-O1', `-DVERSION="${version}"`, source, '-o', hostile]);
});

after(() => dir && fs.rmSync(dir, { recursive: true, force: true }));

for (const [who, user] of users)
    test(`as ${who}`, options, async () => {
        const common = { user, boot: 'auto', args: ['--cache-dir', cache],
            ...(user ? { env: { HOME: '/nonexistent', XDG_RUNTIME_DIR: '' } } : {}) };
        const daemon = new Daemon(common);
        try {
            await daemon.start();
            let client = daemon.client();
            const { id } = await client.create('probe');
            await client.waitState(id, 'Running', 120000);
            const before = hashes(daemon);
            assert.ok(before.some((line) => line.endsWith('.qcow2')) && before.some((line) => line.includes('.ram')));

            /* Guests that run, write and are forked. */
            const probe = await Probe.attach(daemon, id, { isUp: true });
            await probe.fill(0, 0, 1280, 800, '#aabbcc');
            probe.close();
            const { items } = (await client.call('POST', `/v1/sandboxes/${id}/fork`, { body: { count: 2 } })).json;
            items.forEach((item) => daemon.ids.add(item.id));
            await Promise.all([id, ...items.map((item) => item.id)].map((it) => client.delete(it)));
            await eventually('all is as it was', async () => hashes(daemon).join() === before.join(), { ms: 20000 });

            /* A hostile program in the jail. */
            await daemon.stop();
            daemon.options = { ...common, args: [...common.args, '--qemu', hostile] };
            await daemon.start();
            client = daemon.client();
            const victim = await client.create('probe', { boot: 'template' });
            const ended = await eventually('it has tried', async () => {
                const now = await client.get(victim.id);
                return now.status.state === 'Failed' && now;
            }, { ms: 30000 });
            assert.match(ended.status.message, /of 5 files nothing worked|of 4 files nothing worked/);
            await client.delete(victim.id);
            await eventually('all is as it was', async () => {
                const now = hashes(daemon).filter((line) => !line.endsWith('RAM in memory'));
                return now.join() === before.filter((line) => !line.endsWith('RAM in memory')).join();
            }, { ms: 20000 });
        } finally {
            await daemon.destroy();
        }
    });
