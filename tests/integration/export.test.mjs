/** A checkpoint leaves one daemon as a file and comes to another; files that are wrong are refused. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { Daemon } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { decodePng } from './lib/png.mjs';
import { Probe } from './lib/probe.mjs';
import { eventually } from './lib/wait.mjs';

const COLOUR = [0x31, 0x41, 0x59];
let other, kept, bytes, dir;
const farm = useFarm({
    daemon: { boot: 'auto' }, withProbe: false,
    prepare: async () => {
        dir = fs.mkdtempSync('/tmp/df-export-');
        fs.chmodSync(dir, 0o755); /* guests read their image there, each under a uid of its own */
        await post(farm, '/v1/templates', { image: { uri: 'probe' }, network: 'none' });
        const { id } = await farm.client.create('probe');
        await farm.client.waitState(id, 'Running');
        const probe = await Probe.attach(farm.daemon, id, { isUp: true });
        await probe.fill(0, 0, 300, 300, '#314159');
        probe.close();
        await eventually('it is painted', async () => (await colour(farm, id)).join() === COLOUR.join());
        kept = await post(farm, `/v1/sandboxes/${id}/checkpoints`, { name: 'to go' });
        bytes = (await farm.client.call('GET', `/v1/checkpoints/${kept.id}/export`)).body;
        /* A host that has no image yet. */
        fs.mkdirSync(path.join(dir, 'cache/images'), { recursive: true });
        other = { daemon: await Daemon.start({ boot: 'auto', args: ['--cache-dir', path.join(dir, 'cache')] }) };
        other.client = other.daemon.client();
    },
});
after(async () => {
    await other?.daemon.destroy();
    fs.rmSync(dir, { recursive: true, force: true });
});
const options = { skip: farm.skip, timeout: 120000 };
const post = async (to, where, body) => (await to.client.call('POST', where, { body, ms: 120000 })).json;
const colour = async (of, id) => decodePng((await of.client.shot(id, { cursor: false })).body).at(100, 100);
const send = (to, body, query) => to.client.send('POST', '/v1/checkpoints',
    { body, query, headers: { 'content-type': 'application/zstd' } });

/** The file with one of its members changed, or taken out. */
function changed(edit) {
    const work = fs.mkdtempSync(path.join(dir, 'edit-'));
    const tar = (...args) => execFileSync('tar', ['-C', work, ...args], { maxBuffer: 1 << 30 });
    fs.writeFileSync(path.join(work, 'file'), bytes);
    const names = tar('--zstd', '-tf', path.join(work, 'file')).toString().trim().split('\n');
    tar('--zstd', '-xf', path.join(work, 'file'));
    const left = names.filter((name) => edit(work, name) !== null);
    return tar('--zstd', '--sparse', '-cf', '-', ...left);
}

const editManifest = (edit) => changed((work, name) => {
    if (name !== 'manifest.json')
        return;
    const file = path.join(work, name), manifest = JSON.parse(fs.readFileSync(file));
    edit(manifest);
    fs.writeFileSync(file, JSON.stringify(manifest));
});

const folders = (of) => ['layers', 'ram', 'checkpoints'].flatMap((name) =>
    fs.readdirSync(path.join(of.daemon.stateDir, name))).sort();

async function refused(to, body, status, code, words) {
    const before = folders(to);
    const answer = await send(to, body);
    assert.deepEqual([answer.status, answer.json?.code], [status, code], answer.json?.message);
    assert.match(answer.json.message, words);
    await eventually('nothing is left of it', async () => folders(to).join() === before.join());
}

test('its parts are what it says, and tar reads them', options, () => {
    fs.writeFileSync(path.join(dir, 'file'), bytes);
    const list = execFileSync('tar', ['--zstd', '-tf', path.join(dir, 'file')]).toString().split('\n');
    assert.equal(list[0], 'manifest.json');
    for (const name of ['state', 'ram', 'layer', 'image/image.json', 'hashes.json'])
        assert.ok(list.includes(name), name);
});

test('a host without the image takes it, and shows what it was', options, async () => {
    const before = folders(other);
    assert.deepEqual(before, []);
    const answer = await send(other, bytes, { name: 'arrived' });
    assert.equal(answer.status, 201, answer.body.toString());
    const { id, name, memory_mib: memory } = answer.json;
    assert.deepEqual([name, memory], ['arrived', kept.memory_mib]);
    assert.notEqual(id, kept.id);
    const [child] = (await post(other, `/v1/checkpoints/${id}/fork`, {})).items;
    other.daemon.ids.add(child.id);
    assert.deepEqual(await colour(other, child.id), COLOUR);
    const images = (await other.client.call('GET', '/v1/images')).json.items.map((image) => image.name);
    assert.deepEqual(images, ['probe']);
});

test('the same host takes it again', options, async () => {
    const answer = await send(farm, bytes);
    assert.equal(answer.status, 201, answer.body.toString());
    assert.equal(answer.json.name, 'to go');
    await farm.client.call('DELETE', `/v1/checkpoints/${answer.json.id}`);
});

test('without its image it needs a host that has it', options, async () => {
    const bare = (await farm.client.call('GET', `/v1/checkpoints/${kept.id}/export`, { query: { image: 'false' } })).body;
    assert.ok(bare.length < bytes.length);
    assert.equal((await send(farm, bare)).status, 201);
    const empty = path.join(dir, 'empty');
    fs.mkdirSync(path.join(empty, 'images'), { recursive: true });
    const third = { daemon: await Daemon.start({ args: ['--cache-dir', empty] }) };
    third.client = third.daemon.client();
    try {
        await refused(third, bare, 404, 'unknown_image', /has no image probe-.*export it with its image/);
    } finally {
        await third.daemon.destroy();
    }
});

test('what does not load here is refused, and says why', options, async () => {
    await refused(farm, editManifest((m) => { m.checkpoint.host.qemu = '9.9.9'; }), 409, 'conflict',
        /taken by QEMU 9\.9\.9, and this host has /);
    await refused(farm, editManifest((m) => { m.checkpoint.machine.accel = 1; }), 409, 'conflict',
        /taken under kvm, and this daemon uses tcg/);
    await refused(farm, editManifest((m) => { m.image.files[Object.keys(m.image.files)[0]] = '0'.repeat(16); }), 409,
        'conflict', /this host's build of image probe-.* is another/);
    await refused(farm, editManifest((m) => { m.version = 2; }), 409, 'conflict', /version 2 of the format/);
});

test('files that are cut, damaged or none at all', options, async () => {
    await refused(farm, bytes.subarray(0, bytes.length >> 1), 400, 'bad_value', /no whole export/);
    await refused(farm, Buffer.from('hello'), 400, 'bad_value', /no whole export/);
    await refused(farm, Buffer.alloc(0), 400, 'bad_value', /no whole export/);
    const flipped = Buffer.from(bytes);
    flipped[bytes.length >> 1] ^= 0xff;
    assert.equal((await send(farm, flipped)).status, 400);
    await refused(farm, changed((work, name) => {
        if (name === 'state')
            fs.appendFileSync(path.join(work, name), 'x');
    }), 400, 'bad_value', /damaged: a hash differs/);
    await refused(farm, changed((work, name) => (name === 'layer' ? null : undefined)), 400, 'bad_value',
        /hash differs|missing/);
    await refused(farm, editManifest((m) => { m.checkpoint.machine.memory_mib = 1 << 30; }), 400, 'bad_value',
        /none that could be/);
    await refused(farm, editManifest((m) => { m.checkpoint.machine.image = '../../etc'; }), 400, 'bad_value',
        /no proper name/);
    const text = await farm.client.send('POST', '/v1/checkpoints', { body: '{}' });
    assert.equal(text.status, 415);
});

test('only an admin imports a template', options, async () => {
    const { key } = await post(farm, '/v1/keys', { name: 'op', role: 'operator' });
    const operator = { client: farm.daemon.client({ key }), daemon: farm.daemon };
    const [template] = (await operator.client.call('GET', '/v1/templates')).json.items;
    const file = (await operator.client.call('GET', `/v1/checkpoints/${template.id}/export`, { query: { image: 'false' } })).body;
    await refused(operator, file, 403, 'forbidden', /only an admin/);
});
