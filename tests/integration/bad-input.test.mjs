/** What goes wrong outside a request's own words: images, limits, QEMU, disks, ports, settings. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { binary, Daemon, findProcesses, lacksImage, runDaemon } from './lib/daemon.mjs';
import { eventually } from './lib/wait.mjs';

const options = { skip: lacksImage('probe'), timeout: 60000 };
const isRoot = process.getuid() === 0;

/** Runs the test with a daemon of its own, which must live and end well. */
const withDaemon = (name, settings, fn, more = {}) => test(name, { ...options, ...more }, async (t) => {
    const daemon = await Daemon.start(settings);
    try {
        await fn(daemon, daemon.client(), t);
        assert.equal((await daemon.client().send('GET', '/healthz')).status, 200, 'the daemon is alive');
    } finally {
        await daemon.destroy();
    }
});

const create = (client, body) => client.send('POST', '/v1/sandboxes', { body });

withDaemon('what a create can have wrong', {}, async (daemon, client) => {
    const good = { image: { uri: 'probe' }, network: 'none' };
    for (const [body, status, code] of [
        [{ image: { uri: 'no-such-image' } }, 404, 'unknown_image'],
        [{ image: { uri: '../../etc' } }, 404, 'unknown_image'],
        [{ image: { uri: 'probe/../probe' } }, 404, 'unknown_image'],
        [{ image: { uri: '.' } }, 404, 'unknown_image'],
        [{ image: { uri: '' } }, 400, 'bad_value'],
        [{ image: 'probe' }, 400, 'bad_type'],
        [{}, 400, 'missing_field'],
        [{ ...good, snapshotId: 'x' }, 400, 'bad_value'],
        [{ snapshotId: 'x' }, 404, 'not_found'],
        [{ ...good, extensions: { poolRef: 'x' } }, 404, 'not_found'],
        [{ ...good, snapshotId: 'x', extensions: { poolRef: 'x' } }, 400, 'bad_value'],
        [{ ...good, resourceLimits: { cpu: 'many' } }, 400, 'bad_value'],
        [{ ...good, resourceLimits: { cpu: '-1' } }, 400, 'bad_value'],
        [{ ...good, resourceLimits: { memory: '1Ki' } }, 400, 'bad_value'],
        [{ ...good, resourceLimits: { memory: '99999999Ti' } }, 400, 'bad_value'],
        [{ ...good, resourceLimits: { memory: 512 } }, 400, 'bad_type'],
        [{ ...good, timeout: 5 }, 400, 'bad_value'],
        [{ ...good, timeout: '60' }, 400, 'bad_type'],
        [{ ...good, display: { width: 10, height: 10 } }, 400, 'bad_value'],
        [{ ...good, display: { width: 100000, height: 800 } }, 400, 'bad_value'],
        [{ ...good, network: 'bridge' }, 400, 'bad_value'],
        [{ ...good, metadata: { a: 1 } }, 400, 'bad_type'],
    ]) {
        const answer = await create(client, body);
        assert.deepEqual([answer.status, answer.json?.code], [status, code], JSON.stringify(body));
    }
    assert.equal((await client.call('GET', '/v1/sandboxes')).json.items.length, 0);
    assert.deepEqual(fs.readdirSync(path.join(daemon.stateDir, 'sandboxes')), []);
});

withDaemon('what does not exist', {}, async (daemon, client) => {
    for (const path of ['/v1/sandboxes/sb-none', '/v1/sandboxes/sb-none/desktop/screenshot', '/v1/sandboxes/sb-none/desktop/display',
        '/nothing', '/v1', '/v1/', '/v1/sandboxes/', '/v1/sandboxes//desktop/display', '/v1/sandboxes/..%2f..%2fetc']) {
        const answer = await client.send('GET', path);
        assert.deepEqual([answer.status, answer.json?.code], [404, 'not_found'], path);
    }
});

withDaemon('the host\'s limits: a clear error before anything starts', { args: ['--max-sandboxes', '1', '--max-memory-mib', '1024'] },
    async (daemon, client) => {
        const large = await create(client, { image: { uri: 'probe' }, network: 'none', resourceLimits: { memory: '2Gi' } });
        assert.deepEqual([large.status, large.json.code], [429, 'quota_exceeded']);
        const { id } = await client.create('probe');
        const second = await create(client, { image: { uri: 'probe' }, network: 'none' });
        assert.deepEqual([second.status, second.json.code], [429, 'quota_exceeded']);
        assert.match(second.json.message, /1/);
        await client.delete(id);
        await eventually('there is room again', async () => {
            const answer = await create(client, { image: { uri: 'probe' }, network: 'none' });
            if (answer.status === 202)
                daemon.ids.add(answer.json.id);
            return answer.status === 202;
        });
    });

/** Creating must fail at once or end as Failed, with the words in the message; nothing may be left. */
async function assertCannotStart(daemon, client, words) {
    const answer = await create(client, { image: { uri: 'probe' }, network: 'none' });
    let message = answer.json.message;
    if (answer.status === 202) {
        const { id } = answer.json;
        daemon.ids.add(id);
        await eventually('it has failed', async () => (await client.get(id)).status.state === 'Failed', { ms: 20000 });
        ({ message } = (await client.get(id)).status);
        const act = await client.send('POST', `/v1/sandboxes/${id}/desktop/actions`, { body: { actions: [{ type: 'click', x: 1, y: 1 }] } });
        assert.ok([410, 502].includes(act.status), `acting on it: ${act.status}`);
        await client.delete(id);
        await eventually('it is gone', async () => (await client.send('GET', `/v1/sandboxes/${id}`)).status === 404);
        assert.deepEqual(findProcesses(id), []);
    } else {
        assert.deepEqual([answer.status, answer.json.code], [502, 'guest_failed']);
    }
    assert.match(message, words);
    assert.deepEqual(fs.readdirSync(path.join(daemon.stateDir, 'sandboxes')), []);
}

withDaemon('QEMU is missing', { args: ['--qemu', '/nonexistent/qemu'] },
    (daemon, client) => assertCannotStart(daemon, client, /nonexistent/));

withDaemon('QEMU exits at once', { args: ['--qemu', '/bin/false'] },
    (daemon, client) => assertCannotStart(daemon, client, /./));

withDaemon('QEMU is no program', { args: ['--qemu', '/etc/hostname'] },
    (daemon, client) => assertCannotStart(daemon, client, /./));

test('QEMU says why it ends: its words are in the message', { ...options, skip: options.skip || (isRoot ? false : 'needs root') }, async () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-'));
    const source = path.join(dir, 'q.c'), program = path.join(dir, 'qemu');
    fs.chmodSync(dir, 0o755);
    fs.writeFileSync(source, '#include <stdio.h>\nint main(void) { fputs("qemu: the flux is misaligned\\n", stderr); return 1; }\n');
    execFileSync('cc', ['-static', source, '-o', program]);
    const daemon = await Daemon.start({ args: ['--qemu', program] });
    try {
        await assertCannotStart(daemon, daemon.client(), /flux is misaligned/);
    } finally {
        await daemon.destroy();
        fs.rmSync(dir, { recursive: true });
    }
});

test('a full disk is said so, and the daemon lives', { ...options, skip: options.skip || (isRoot ? false : 'needs root, to mount a small tmpfs') }, async () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512m', 'tmpfs', dir]);
    const daemon = new Daemon({ stateDir: dir });
    try {
        await daemon.start();
        const client = daemon.client();
        const { id } = await client.create('probe');
        await client.waitState(id, 'Running');
        fs.writeFileSync(path.join(dir, 'ballast'), ''); /* fill what is left */
        const fd = fs.openSync(path.join(dir, 'ballast'), 'a');
        assert.throws(() => {
            for (;;)
                fs.writeSync(fd, Buffer.alloc(65536));
        }, { code: 'ENOSPC' });
        fs.closeSync(fd);
        const codes = [];
        for (let i = 0; i < 3; i++) {
            const answer = await create(client, { image: { uri: 'probe' }, network: 'none', metadata: { ballast: 'x'.repeat(2000) } });
            codes.push(`${answer.status} ${answer.json.code}`);
            if (answer.status === 202)
                daemon.ids.add(answer.json.id);
        }
        assert.ok(codes.every((code) => code === '507 disk_full'), codes.join(', '));
        assert.equal((await client.send('GET', `/v1/sandboxes/${id}`)).status, 200);
        fs.rmSync(path.join(dir, 'ballast'));
        await client.delete(id);
        const again = await client.create('probe');
        await client.waitState(again.id, 'Running');
    } finally {
        await daemon.destroy().finally(() => execFileSync('umount', ['-l', dir]));
        fs.rmdirSync(dir);
    }
});

test('a port in use', options, async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-'));
    const { code, err } = runDaemon(['--state-dir', dir, '--port', `${server.address().port}`]);
    server.close();
    fs.rmSync(dir, { recursive: true });
    assert.notEqual(code, 0);
    assert.match(err, /port_in_use/);
});

withDaemon('two daemons on one state directory', {}, async (daemon) => {
    const { code, err } = runDaemon(['--state-dir', daemon.stateDir, '--port', '0']);
    assert.notEqual(code, 0);
    assert.match(err, /bad_config.*state/);
});

for (const [name, args] of [
    ['an unknown flag', ['--frobnicate']], ['a flag without its value', ['--port']], ['a port that is none', ['--port', '99999']],
    ['a port that is no number', ['--port', 'x']], ['an address that is a name', ['--listen', 'example.invalid', '--port', '0']],
    ['an accelerator that is none', ['--accel', 'warp', '--port', '0']], ['a missing configuration file', ['--config', '/nonexistent']],
    ['a word too many', ['serve']],
]) {
    test(`settings: ${name}`, { skip: fs.existsSync(binary) ? false : `needs ${binary}` }, () => {
        const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-'));
        const { code, err } = runDaemon(['--state-dir', dir, ...args]);
        fs.rmSync(dir, { recursive: true });
        assert.ok(code === 1 || code === 2, `${code}`);
        assert.ok(err.includes((args[1] ?? args[0]).replace(/^--/, '')), err);
    });
}

withDaemon('draining takes no new sandboxes and says so', {}, async (daemon, client) => {
    assert.equal((await client.send('GET', '/readyz')).status, 200);
    await client.call('POST', '/v1/drain');
    assert.equal((await client.send('GET', '/readyz')).status, 503);
    const answer = await create(client, { image: { uri: 'probe' }, network: 'none' });
    assert.deepEqual([answer.status, answer.json.code], [503, 'not_ready']);
});

withDaemon('an overlay or journal that is garbage does not keep the daemon from starting or from saying why', {}, async (daemon) => {
    await daemon.stop();
    fs.writeFileSync(path.join(daemon.stateDir, 'journal.db'), Buffer.alloc(8192, 'garbage'));
    const { code, err } = runDaemon(['--state-dir', daemon.stateDir, '--port', '0']);
    assert.notEqual(code, 0);
    assert.match(err, /journal/);
    fs.readdirSync(daemon.stateDir).filter((name) => name.startsWith('journal')).forEach((name) => fs.rmSync(path.join(daemon.stateDir, name)));
    await daemon.start();
});
