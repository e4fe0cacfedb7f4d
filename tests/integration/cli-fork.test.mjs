/** The command line of templates, checkpoints, forks, hibernation and exports, on the probe. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { buildDir } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { decodePng } from './lib/png.mjs';
import { Probe } from './lib/probe.mjs';
import { eventually, within } from './lib/wait.mjs';

const cli = path.join(buildDir, 'cli/deskfarm');
const farm = useFarm({ daemon: { boot: 'auto' }, withProbe: false });
const options = { skip: farm.skip, timeout: 180000 };

async function run(...args) {
    const child = spawn(cli, args, { env: { ...process.env, DESKFARM_URL: farm.daemon.url }, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '', err = '';
    child.stdout.on('data', (part) => { out += part; });
    child.stderr.on('data', (part) => { err += part; });
    const code = await within(150000, args.join(' '), new Promise((resolve) => child.on('close', resolve)));
    return { code, out, err };
}

/** Lines of cells, without their heads. */
async function rows(...args) {
    const { code, out, err } = await run(...args, '--no-header');
    assert.equal(code, 0, `${args.join(' ')}: ${err}`);
    return out.trim().split('\n').map((line) => line.split('\t'));
}

/** Painted by the guest's client is not yet shown on its screen. */
const shows = (id, rgb) => eventually(`${id} shows ${rgb}`, async () => (await colour(id)).join() === rgb.join());
const colour = async (id) => decodePng((await farm.client.shot(id, { cursor: false })).body).at(50, 50);

test('from an image to a tree, and back', options, async () => {
    const [[template, image]] = await rows('templates', 'bake', 'probe', '--network', 'none');
    assert.equal(image, 'probe');
    assert.deepEqual((await rows('templates', 'list')).map(([id]) => id), [template]);

    const [[id]] = await rows('create', 'probe', '--network', 'none', '--boot', 'template', '--wait');
    farm.daemon.ids.add(id);
    const probe = await Probe.attach(farm.daemon, id, { isUp: true });
    await probe.fill(0, 0, 200, 200, '#112233');
    await shows(id, [0x11, 0x22, 0x33]);
    const [[kept, name]] = await rows('checkpoint', id, 'before it');
    assert.equal(name, 'before it');
    const forks = await rows('fork', id.slice(0, 8), '-n', '2');
    forks.forEach(([fork]) => farm.daemon.ids.add(fork));
    assert.deepEqual(forks.map(([, state]) => state), ['Running', 'Running']);
    assert.ok(forks.every(([, , ms]) => Number(ms) > 0));

    await probe.fill(0, 0, 200, 200, '#445566');
    await shows(id, [0x44, 0x55, 0x66]);
    probe.close();
    assert.equal((await rows('restore', id, 'before it'))[0][1], 'Running'); /* by name */
    assert.deepEqual(await colour(id), [0x11, 0x22, 0x33]);
    await rows('restore', forks[0][0], kept.slice(0, 10)); /* by the beginning of an id */
    assert.deepEqual(await colour(forks[0][0]), [0x11, 0x22, 0x33]);

    assert.deepEqual((await rows('checkpoint', 'list', '--sandbox', id)).map(([it]) => it), [kept]);
    const tree = (await run('tree')).out.trim().split('\n');
    assert.deepEqual(tree, [
        `${template}  template  probe`,
        `└─ ${id}  Running`,
        `   ├─ ${kept}  checkpoint  before it`,
        `   ├─ ${forks[0][0]}  Running`,
        `   └─ ${forks[1][0]}  Running`,
    ]);
    assert.deepEqual(await rows('checkpoint', 'rm', 'before it'), [[kept]]);
    assert.equal(await run('rm', id, ...forks.map(([fork]) => fork)).then(({ code }) => code), 0);
});

test('to disk and back', options, async () => {
    const [[id]] = await rows('create', 'probe', '--network', 'none', '--boot', 'template', '--wait');
    farm.daemon.ids.add(id);
    const probe = await Probe.attach(farm.daemon, id, { isUp: true });
    await probe.fill(0, 0, 200, 200, '#135790');
    await shows(id, [0x13, 0x57, 0x90]);
    probe.close();
    const held = async () => (await farm.client.call('GET', '/v1/info')).json.held.memory_mib;
    const memory = await held();
    assert.equal((await rows('hibernate', id))[0][1], 'Hibernated');
    assert.equal(await held(), 0);
    assert.equal((await rows('wake', id.slice(0, 8)))[0][1], 'Running');
    assert.equal(await held(), memory);
    assert.deepEqual(await colour(id), [0x13, 0x57, 0x90]);
    const again = await run('wake', id);
    assert.equal(again.code, 0, `a second wake changes nothing: ${again.err}`);
    await rows('hibernate', id);
    await shows(id, [0x13, 0x57, 0x90]); /* any look wakes it */
    assert.equal((await run('rm', id)).code, 0);
});

test('to a file and back', options, async () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-cli-'));
    try {
        const [[id]] = await rows('create', 'probe', '--network', 'none', '--boot', 'template', '--wait');
        farm.daemon.ids.add(id);
        const [[kept]] = await rows('checkpoint', id, 'to go');
        const file = path.join(dir, 'it.tar.zst');
        assert.equal((await run('checkpoint', 'export', kept, file)).code, 0);
        const second = await run('checkpoint', 'export', kept, file);
        assert.deepEqual([second.code, /file_failed.*exists/i.test(second.err)], [1, true], second.err);
        await rows('checkpoint', 'rm', kept);
        const [[came, name, image]] = await rows('checkpoint', 'import', file);
        assert.notEqual(came, kept);
        assert.deepEqual([name, image], ['to go', 'probe']);
        const [[fork]] = await rows('fork', came);
        farm.daemon.ids.add(fork);
        const before = decodePng((await farm.client.shot(id, { cursor: false })).body);
        const after = decodePng((await farm.client.shot(fork, { cursor: false })).body);
        assert.ok(before.data.equals(after.data));
        fs.truncateSync(file, fs.statSync(file).size >> 1);
        const cut = await run('checkpoint', 'import', file);
        assert.deepEqual([cut.code, cut.out], [1, '']);
        assert.match(cut.err, /^deskfarm: bad_value: .*no whole export/);
        const none = await run('checkpoint', 'import', path.join(dir, 'none'));
        assert.match(none.err, /^deskfarm: file_failed: /);
        await rows('checkpoint', 'rm', came);
        assert.equal((await run('rm', id, fork)).code, 0);
        const [[template]] = await rows('templates', 'list');
        assert.deepEqual(await rows('templates', 'rm', template.slice(0, 10)), [[template]]);
    } finally {
        fs.rmSync(dir, { recursive: true });
    }
});

test('what is not there is said', options, async () => {
    for (const args of [['restore', 'sb-none', 'cp-none'], ['fork', 'sb-none'], ['checkpoint', 'rm', 'nix']]) {
        const { code, out, err } = await run(...args);
        assert.equal(code, 1, args.join(' '));
        assert.match(err, /^deskfarm: not_found: /);
        assert.equal(out, '');
    }
    assert.equal((await run('fork')).code, 2);
    assert.equal((await run('restore', 'sb-1')).code, 2);
});
