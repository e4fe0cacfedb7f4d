/**
 * The real desktop: it comes up, can be seen and driven, and its root cannot reach the host. One
 * debian-xfce guest for all of it, with full counts powered on: about a minute without KVM.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { isFull } from './lib/counts.mjs';
import { Daemon, lacksImage } from './lib/daemon.mjs';
import { Outside, Server } from './lib/outside.mjs';
import { decodePng } from './lib/png.mjs';
import { Shell } from './lib/shell.mjs';
import { createDesktop } from './lib/templates.mjs';
import { eventually } from './lib/wait.mjs';

const skip = lacksImage('debian-xfce');
const options = { skip, timeout: 300000 };
let daemon, client, sandbox, shell;

before(async () => {
    if (skip)
        return;
    daemon = await Daemon.start();
    client = daemon.client();
    const canNat = (await client.call('GET', '/v1/info')).json.network;
    sandbox = await createDesktop(client, { network: canNat ? 'nat' : 'none', ...(isFull && { boot: 'cold' }) });
    shell = await Shell.open(path.join(daemon.sandboxDir(sandbox.id), 'console.sock'));
}, { timeout: 300000 });

after(async () => {
    shell?.close();
    await daemon?.destroy();
}, { timeout: 60000 });

const desktop = (method, route, request) => client.call(method, `/v1/sandboxes/${sandbox.id}/desktop/${route}`, request);

/** How many different colours a part of a picture has. */
function countColours(picture, x, y, width, height) {
    const seen = new Set();
    for (let j = y; j < y + height; j++)
        for (let i = x; i < x + width; i++)
            seen.add(picture.at(i, j).join());
    return seen.size;
}

test('it says when it is up, and panel and icons are in the picture', options, async () => {
    const { json } = await desktop('POST', 'wait', { body: { for: 'up', max_ms: 240000 }, ms: 260000 });
    assert.equal(json.result, 'settled');
    const shown = await desktop('GET', 'screenshot', { query: { cursor: 'false' } });
    const picture = decodePng(shown.body);
    const out = path.join(process.env.DESKFARM_PICTURES ?? os.tmpdir(), 'deskfarm-desktop.png');
    fs.writeFileSync(out, shown.body);
    assert.deepEqual([picture.width, picture.height], [1280, 800]);
    assert.ok(countColours(picture, 0, 0, 110, 28) > 20, `the panel's menu; see ${out}`);
    assert.ok(countColours(picture, 495, 752, 290, 48) > 100, `the dock's icons; see ${out}`);
    assert.ok(countColours(picture, 30, 40, 90, 90) > 50, `the first desktop icon; see ${out}`);
    assert.equal((await client.call('GET', `/v1/sandboxes/${sandbox.id}`)).json.desktop.up, true);
});

test('a terminal is opened by a click, and what is typed arrives in it', options, async () => {
    const line = 'plain ASCII !"#$%&()*+,-./:;<=>@[]^_{|}~';
    await desktop('POST', 'actions', { body: { actions: [
        { type: 'click', x: 568, y: 777 },
        { type: 'wait_for', kind: 'change', region: { x: 0, y: 90, width: 300, height: 60 }, max_ms: 60000 },
        { type: 'wait_for', quiet_ms: 2000, max_ms: 60000 },
        { type: 'type', text: `echo '${line}' > /tmp/typed`, press_enter: true },
    ], screenshot: false }, ms: 200000 });
    await eventually('the typed line', async () => (await shell.run('cat /tmp/typed')).status === 0, { ms: 30000, every: 500 });
    const { output } = await shell.run('cat /tmp/typed');
    assert.ok(output.includes(line), output);
});

test('the screen takes another size', options, async () => {
    const { json } = await desktop('PUT', 'display', { body: { width: 1024, height: 768, max_ms: 60000 } });
    assert.deepEqual(json.screen, { width: 1024, height: 768 });
});

test('root in the guest reaches the outside, but not the host', options, async (t) => {
    if (process.getuid() !== 0)
        return t.skip('needs root, to make a network outside');
    if ((await client.call('GET', `/v1/sandboxes/${sandbox.id}`)).json.network !== 'nat')
        return t.skip('needs pasta and a usable /dev/net/tun');
    const port = 20000 + Math.floor(Math.random() * 20000);
    const beyond = new Outside(77, { router: '198.51.100.9' });
    const host = await Server.start(port);
    const outside = await Server.start(port, { at: beyond });
    t.after(() => {
        host.end();
        outside.end();
        beyond.remove();
    });
    await new Promise((resolve) => net.connect(port, '127.0.0.1', resolve)); /* the trap works */
    await eventually('the trap', async () => host.visitors === 1);
    const reach = (address) => shell.run(`timeout 5 bash -c 'exec 3<>/dev/tcp/${address}/${port} && head -c 6 <&3'`, 30000);

    await eventually('an address by DHCP', async () => (await shell.run('ip -4 route show default')).output.includes('10.0.2.2'), { ms: 60000, every: 1000 });
    /* The host's new address (198.51.100.9) makes the guest's network start anew. */
    await eventually('the outside', async () => /answer/.test((await reach(beyond.address)).output), { ms: 60000, every: 500 });

    /* The guest's root gives up its own loopback, so that frames to it go out by the wire. */
    const prepared = await shell.run([
        'device=$(ip -4 route show default | sed "s/.*dev \\([^ ]*\\).*/\\1/")',
        'sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.$device.route_localnet=1',
        'ip addr del 127.0.0.1/8 dev lo', 'ip route flush table local dev lo 2>/dev/null',
        'ip route add 127.0.0.0/8 via 10.0.2.2 dev $device',
    ].join('; '));
    assert.equal(prepared.status, 0, prepared.output);
    const own = Object.values(os.networkInterfaces()).flat().filter((it) => it.family === 'IPv4').map((it) => it.address);
    for (const address of new Set([...own, '127.0.0.1', '127.0.0.2', '10.0.2.2', '198.51.100.9'])) {
        const { output, status } = await reach(address);
        assert.ok(status !== 0 && !output.includes('answer'), `${address} answered: ${output}`);
    }
    assert.equal(host.visitors, 1, 'nobody came to the host');
    assert.match((await reach(beyond.address)).output, /answer/, 'the outside still answers');
});

test('the power button ends it cleanly', options, async () => {
    await shell.run('systemctl --no-block poweroff', 20000).catch(() => {});
    const ended = await client.waitState(sandbox.id, 'Terminated', 60000);
    assert.equal(ended.status.reason, 'PoweredOff');
});
