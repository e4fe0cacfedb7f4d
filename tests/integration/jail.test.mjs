/**
 * What a guest's QEMU could reach if it were taken over: looked at from inside its namespaces. The
 * network, as a guest's root sees it, is tested with hypervisor/.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { findProcesses } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { Probe } from './lib/probe.mjs';

let qemu, other;
const isRoot = process.getuid() === 0;
const farm = useFarm({ sandbox: { boot: 'cold' }, prepare: async ({ daemon, client, id }) => {
    const probe = await Probe.create(daemon, client, { boot: 'cold' });
    qemu = qemuPid(id);
    other = { id: probe.id, pid: qemuPid(probe.id), probe };
} });
const options = { skip: farm.skip || (isRoot ? false : 'needs root, to look into the jail'), timeout: 120000 };

const statusOf = (pid) => Object.fromEntries(fs.readFileSync(`/proc/${pid}/status`, 'latin1').split('\n')
    .map((line) => line.split(/:\s+/)).filter((pair) => pair.length === 2));

function qemuPid(id) {
    return findProcesses(id).find((pid) => {
        try {
            return fs.readlinkSync(`/proc/${pid}/exe`).includes('qemu-system') && Number(statusOf(pid).NSpid?.split(/\s+/).length) >= 2;
        } catch {
            return false;
        }
    });
}

test('QEMU runs in its jail', options, () => {
    assert.ok(qemu && other.pid);
    for (const name of ['mnt', 'pid', 'net', 'ipc', 'user', 'uts'])
        assert.notEqual(fs.readlinkSync(`/proc/${qemu}/ns/${name}`), fs.readlinkSync(`/proc/self/ns/${name}`), `${name} namespace`);
});

test('… without privileges, with a system call filter, as a user of its own', options, () => {
    const status = statusOf(qemu);
    assert.match(status.CapEff, /^0+$/);
    assert.match(status.CapPrm, /^0+$/);
    assert.match(status.CapBnd, /^0+$/);
    assert.equal(status.NoNewPrivs, '1');
    assert.equal(status.Seccomp, '2');
    const uid = (pid) => Number(statusOf(pid).Uid.split(/\s+/)[0]);
    assert.ok(uid(qemu) >= 100000 && uid(other.pid) >= 100000 && uid(qemu) !== uid(other.pid));
    assert.equal(statusOf(qemu).Groups ?? '', '');
});

test('its network is a loopback of its own', options, () => {
    const lines = fs.readFileSync(`/proc/${qemu}/net/dev`, 'latin1').trim().split('\n').slice(2).map((line) => line.trim().split(':')[0]);
    assert.deepEqual(lines, ['lo']);
    const addresses = fs.readFileSync(`/proc/${qemu}/net/fib_trie`, 'latin1').match(/\d+\.\d+\.\d+\.\d+/g) ?? [];
    assert.deepEqual(addresses.filter((address) => !address.startsWith('127.')), []);
});

/** Every path that can be seen in the jail, up to a depth. */
function visible(root, depth = 3, prefix = '') {
    let names = [];
    try {
        names = fs.readdirSync(path.join(root, prefix));
    } catch { /* not for us to see is not there */ }
    return names.flatMap((name) => {
        const at = `${prefix}/${name}`;
        const isDir = !at.startsWith('/proc') && fs.lstatSync(path.join(root, at), { throwIfNoEntry: false })?.isDirectory();
        return [at, ...(isDir && depth > 0 ? visible(root, depth - 1, at) : [])];
    });
}

test('it sees neither the daemon\'s state nor another sandbox nor the host', options, () => {
    const root = `/proc/${qemu}/root`;
    const paths = visible(root);
    assert.ok(paths.length > 5, 'the jail can be looked into');
    assert.deepEqual(paths.filter((name) => /journal\.db|api\.sock|qmp\.sock|overlay|\/sb-|\/df-/.test(name) && !name.includes(farm.id)), []);
    for (const name of [farm.daemon.stateDir, farm.daemon.sandboxDir(other.id), '/etc/passwd', '/etc/shadow', '/root', '/home', '/var/lib', '/run', '/sys', '/bin/sh', '/usr/bin/sh'])
        assert.ok(!fs.existsSync(root + name), `${name} is visible`);
});

test('nothing in it can be written but devices', options, () => {
    const mounts = fs.readFileSync(`/proc/${qemu}/mountinfo`, 'latin1').trim().split('\n').map((line) => line.split(' '));
    const writable = mounts.filter((f) => f[5].split(',')[0] === 'rw').map((f) => f[4]);
    const harmless = /^\/(dev(\/.*)?|proc|tmp)?$/; /* its own tmpfs and device nodes */
    assert.deepEqual(writable.filter((name) => !harmless.test(name)), []);
    for (const f of mounts.filter((m) => m[4] === '/'))
        assert.match(f.slice(f.indexOf('-') + 1)[0], /tmpfs/, 'the root is a tmpfs of its own');
});

test('as its own user, with its own namespaces, it cannot open what is not its', options, () => {
    const uid = statusOf(qemu).Uid.split(/\s+/)[0];
    const tryRead = (name) => {
        try {
            execFileSync('setpriv', [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--inh-caps=-all', 'cat', name], { stdio: 'pipe' });
            return 'readable';
        } catch (error) {
            return `${error.stderr}`;
        }
    };
    for (const name of [`${farm.daemon.stateDir}/journal.db`, `${farm.daemon.sandboxDir(other.id)}/qmp.sock`, `/proc/${other.pid}/mem`, `/proc/${farm.daemon.pid}/environ`])
        assert.match(tryRead(name), /Permission denied/, name);
});

test('no descriptor of the daemon leaks into it', options, () => {
    const dir = `/proc/${qemu}/fd`;
    const fds = fs.readdirSync(dir).map((fd) => [Number(fd), fs.readlinkSync(`${dir}/${fd}`)]);
    const foreign = fds.filter(([, target]) => /journal|api\.sock|lock$|\/df-|sandboxes/.test(target) && !target.includes(farm.id));
    assert.deepEqual(foreign, []);
    const daemonSockets = new Set(fs.readdirSync(`/proc/${farm.daemon.pid}/fd`)
        .map((fd) => fs.readlinkSync(`/proc/${farm.daemon.pid}/fd/${fd}`)).filter((t) => t.startsWith('socket:')));
    const shared = fds.filter(([, target]) => daemonSockets.has(target)).map(([fd]) => fd);
    assert.ok(shared.length <= 3, `sockets shared with the daemon: ${shared}`); /* listeners of its own guest */
    const otherTargets = new Set(fs.readdirSync(`/proc/${other.pid}/fd`).map((fd) => fs.readlinkSync(`/proc/${other.pid}/fd/${fd}`)).filter((t) => t.startsWith('socket:') || t.startsWith('/memfd')));
    const sockets = fds.filter(([, target]) => target.startsWith('socket:') && otherTargets.has(target));
    assert.deepEqual(sockets, [], 'nothing is shared with another guest');
    const listening = [...fds].filter(([, t]) => t.startsWith('socket:')).length;
    assert.ok(listening <= 12, `${listening} sockets`);
});

test('both guests of the test work beside each other', options, async () => {
    const { probe } = other;
    const mark = probe.mark();
    await farm.client.act(other.id, { type: 'click', x: 3, y: 4 });
    assert.equal((await probe.received(farm.client, mark)).filter((e) => e.ev === 'button').length, 2);
    assert.equal((await farm.probe.held()).buttons.length, 0);
    probe.close();
});
