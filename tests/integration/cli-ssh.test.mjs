/** `deskfarm ssh` into the real desktop: no password, no question, no port. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Daemon, buildDir, lacksImage } from './lib/daemon.mjs';
import { createDesktop } from './lib/templates.mjs';
import { eventually } from './lib/wait.mjs';

const cli = path.join(buildDir, 'cli/deskfarm');
const skip = lacksImage('debian-xfce') || (spawnSync('ssh', ['-V']).status !== 0 && 'needs the ssh of OpenSSH');
const options = { skip, timeout: 300000 };
let daemon, sandbox, home;

before(async () => {
    if (skip)
        return;
    home = fs.mkdtempSync(path.join(os.tmpdir(), 'df-ssh-'));
    daemon = await Daemon.start();
    sandbox = await createDesktop(daemon.client());
    await eventually('the agent', async () => (await daemon.client().get(sandbox.id)).agent === 'ready', { ms: 240000, every: 500 });
}, { timeout: 300000 });

after(async () => {
    await daemon?.destroy();
    if (home)
        fs.rmSync(home, { recursive: true, force: true });
}, { timeout: 60000 });

const env = () => ({ ...process.env, HOME: home, XDG_CONFIG_HOME: path.join(home, 'config'), DESKFARM_URL: daemon.url });

/** Runs a program without blocking the daemon's log. */
async function run(command, args, input = '') {
    const child = spawn(command, args, { env: env(), stdio: 'pipe' });
    const out = [];
    let err = '';
    child.stdout.on('data', (part) => out.push(part));
    child.stderr.on('data', (part) => {
        err += part;
    });
    child.stdin.end(input);
    const code = await new Promise((resolve) => child.on('close', resolve));
    return { code, out: Buffer.concat(out), err };
}

const ssh = (...args) => run(cli, ['ssh', sandbox.id, ...args]);

test('a command by SSH: its output, its status, its bytes', options, async () => {
    const first = await ssh('id', '-un');
    assert.deepEqual([first.code, first.out.toString().trim()], [0, 'user'], first.err);
    assert.equal((await ssh('exit 42')).code, 42);
    const bytes = crypto.randomBytes(1 << 20);
    const echoed = await run(cli, ['ssh', sandbox.id, 'cat'], bytes);
    assert.ok(echoed.out.equals(bytes), echoed.err);
    const key = fs.statSync(path.join(home, 'config/deskfarm/ssh_key'));
    assert.equal(key.mode & 0o777, 0o600);
    const keys = await run(cli, ['exec', '-n', '-u', 'user', sandbox.id, 'sh', '-c', 'wc -l <~/.ssh/authorized_keys; stat -c %a ~/.ssh']);
    assert.equal(keys.out.toString(), '1\n700\n', 'one key, however often');
});

test('a Host block for other programs', options, async () => {
    const { code, out, err } = await run(cli, ['ssh', '--config', sandbox.id]);
    assert.equal(code, 0, err);
    const config = path.join(home, 'ssh_config');
    fs.writeFileSync(config, out);
    const bytes = crypto.randomBytes(2 << 20);
    fs.writeFileSync(path.join(home, 'file'), bytes);
    const copied = await run('scp', ['-q', '-F', config, path.join(home, 'file'), `${sandbox.id}:copy`]);
    assert.equal(copied.code, 0, copied.err);
    const sum = (await run('ssh', ['-F', config, sandbox.id, 'sha256sum', 'copy'])).out.toString();
    assert.ok(sum.startsWith(crypto.createHash('sha256').update(bytes).digest('hex')), sum);
});

test('another host key than the guest\'s is refused', options, async () => {
    const known = path.join(home, 'config/deskfarm/hosts', sandbox.id);
    const { out } = await run(cli, ['ssh', '--config', sandbox.id]);
    fs.writeFileSync(path.join(home, 'ssh_config'), out);
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path.join(home, 'other')]);
    fs.writeFileSync(known, `${sandbox.id} ${fs.readFileSync(path.join(home, 'other.pub'), 'utf8')}`);
    const refused = await run('ssh', ['-F', path.join(home, 'ssh_config'), sandbox.id, 'true']);
    assert.equal(refused.code, 255);
    assert.match(refused.err, /host key/i);
    assert.equal((await ssh('true')).code, 0, 'ours fetches the right one again');
});

test('a guest that is not there, a login that is not', options, async () => {
    const nobody = await run(cli, ['ssh', 'sb-aaaaaaaaaaaaaaaa', 'true']);
    assert.equal(nobody.code, 1);
    assert.match(nobody.err, /not_found/);
    const stranger = await run(cli, ['ssh', '-u', 'nobody-there', sandbox.id, 'true']);
    assert.notEqual(stranger.code, 0);
});
