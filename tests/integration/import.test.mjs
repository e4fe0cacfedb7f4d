/** Disks and media from elsewhere become images that start; files that are wrong, or that name others, are refused. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Daemon, buildDir, cacheDir, lacksImage } from './lib/daemon.mjs';
import { OwnCache, makeFat, makeIso } from './lib/images.mjs';
import { UefiGuest, becomes } from './lib/uefi.mjs';
import { decodePng } from './lib/png.mjs';
import { within } from './lib/wait.mjs';

const MEMTEST = '/usr/lib/memtest86+/memtest86+x64.iso', MIB = 1 << 20;
const cli = path.join(buildDir, 'cli/deskfarm');
const options = { skip: lacksImage('uefi') || (!fs.existsSync(MEMTEST) && `needs ${MEMTEST}`), timeout: 240000 };
const FORMATS = { qcow2: [], vmdk: [], vdi: [], vhdx: [], vhd: ['-o', 'force_size=on'] };
let daemon, client, cache, work;

const file = (name) => path.join(work, name);
const convert = (format, to, ...more) =>
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', format === 'vhd' ? 'vpc' : format, ...more, file('disk.raw'), file(to)]);

before(async () => {
    if (options.skip)
        return;
    cache = new OwnCache();
    work = fs.mkdtempSync(path.join(os.tmpdir(), 'df-import-'));
    fs.chmodSync(work, 0o755); /* a cache in it must be in reach of jails */
    /* The UEFI program on a disk without a table of partitions, as its own image has it, but with an odd size. */
    const efi = path.join(cacheDir, 'images/uefi/uefi.efi');
    makeFat(file('disk.raw'), { 'EFI/BOOT/BOOTX64.EFI': efi });
    fs.truncateSync(file('disk.raw'), 5 * MIB + 512);
    makeIso(file('uefi.iso'), { 'EFI/BOOT/BOOTX64.EFI': efi });
    for (const [format, more] of Object.entries(FORMATS))
        convert(format, `disk.${format}`, ...more);
    daemon = await Daemon.start({ env: { DESKFARM_CACHE: cache.dir } });
    client = daemon.client();
}, { timeout: 60000 });
after(async () => {
    await daemon?.destroy();
    cache?.remove();
    if (work)
        fs.rmSync(work, { recursive: true, force: true });
}, { timeout: 60000 });

/** images import; what it printed, and how it ended. */
async function run(name, ...args) {
    const child = spawn(cli, ['images', 'import', name, ...args],
        { cwd: work, env: { ...process.env, DESKFARM_CACHE: cache.dir }, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '', err = '';
    child.stdout.on('data', (part) => { out += part; });
    child.stderr.on('data', (part) => { err += part; });
    const code = await within(120000, args.join(' '), new Promise((resolve) => child.on('close', resolve)));
    return { code, out, err };
}

async function imported(name, ...args) {
    const { code, out, err } = await run(name, ...args);
    assert.equal(code, 0, err);
    const dir = out.trim();
    return { dir, json: JSON.parse(fs.readFileSync(path.join(dir, 'image.json'))), err };
}

const shot = async (id) => decodePng((await client.shot(id)).body);

async function assertBoots(image, pixels) {
    const guest = await UefiGuest.create(daemon, client, { image: { uri: image } });
    assert.deepEqual([guest.width, guest.height], pixels);
    await becomes(() => shot(guest.id));
    guest.close();
    await client.delete(guest.id);
}

const assertSame = (disk, format) =>
    execFileSync('qemu-img', ['compare', '-f', 'raw', '-F', format, file('disk.raw'), disk]);

test('a raw disk boots, with the machine that was asked for', options, async () => {
    const { dir, json, err } = await imported('disk.raw', '--name', 'my-disk', '--memory-mib', '256', '--cpus', '1',
        '--width', '800', '--height', '600', '--agent', 'none', '--disk-gib', '1');
    assertSame(path.join(dir, 'disk.qcow2'), 'qcow2');
    assert.match(err, /\[1\/3\] reading disk.raw: raw.*\[2\/3\].*\[3\/3\] converting 6 MiB/s);
    const { built_at: _, hash, ...rest } = json;
    assert.equal(path.basename(dir), `my-disk-${hash}`);
    assert.deepEqual(rest, { name: 'my-disk', profile: 'generic', agent: 'none', cpus: 1, memory_mib: 256, width: 800, height: 600,
        disk: 'disk.qcow2', disk_bytes: 1 << 30, media: [], description: 'Imported from disk.raw' });
    for (const name of fs.readdirSync(dir))
        assert.equal(fs.statSync(path.join(dir, name)).mode & 0o777, 0o444, name);
    assert.equal(fs.statSync(dir).mode & 0o777, 0o755);
    await assertBoots('my-disk', [800, 600]);
    const again = await imported('disk.raw', '--name', 'my-disk', '--memory-mib', '256', '--cpus', '1',
        '--width', '800', '--height', '600', '--agent', 'none', '--disk-gib', '1');
    assert.equal(again.dir, dir);
    assert.doesNotMatch(again.err, /converting/, 'it costs nothing a second time');
});

for (const format of Object.keys(FORMATS))
    test(`${format} is known by its first bytes and comes over as it is`, options, async () => {
        const { dir, json } = await imported(`disk.${format}`, '--name', `a-${format}`, '--agent', 'none');
        assertSame(path.join(dir, 'disk.qcow2'), 'qcow2');
        const { children, 'virtual-size': size } = JSON.parse(execFileSync('qemu-img', ['info', '--output=json', path.join(dir, 'disk.qcow2')]));
        assert.equal(children, undefined);
        assert.equal(json.disk_bytes, size);
        if (['qcow2', 'vmdk'].includes(format))
            await assertBoots(`a-${format}`, [1280, 800]);
    });

test('an ISO becomes a medium beside an empty disk; two images of one file', options, async () => {
    const { dir, json } = await imported('uefi.iso', '--name', 'medium', '--agent', 'none');
    assert.deepEqual([json.disk, json.disk_bytes, json.media], [null, 32 * 1024 * MIB, ['media.iso']]);
    assert.ok(fs.readFileSync(path.join(dir, 'media.iso')).equals(fs.readFileSync(file('uefi.iso'))));
    await assertBoots('medium', [1280, 800]);
    const other = await imported('uefi.iso', '--name', 'medium', '--agent', 'none', '--profile', 'windows', '--tpm', 'false');
    assert.deepEqual([other.json.disk_bytes, other.json.tpm], [64 * 1024 * MIB, false]);
    assert.equal(fs.readlinkSync(path.join(cache.dir, 'images/medium')), path.basename(other.dir), 'the name is the last one\'s');
    assert.ok(fs.existsSync(dir), 'guests of the other may run');
});

test('Debian\'s memtest86+ boots from its ISO to its screen', options, async () => {
    await imported(MEMTEST, '--name', 'memtest', '--firmware', 'bios', '--memory-mib', '256', '--cpus', '1', '--agent', 'none', '--disk-gib', '1');
    const { id } = await client.create('memtest');
    await client.waitState(id, 'Running');
    const { results: [{ found }] } = (await client.call('POST', `/v1/sandboxes/${id}/desktop/actions`, { ms: 120000, body: {
        actions: [{ type: 'wait_for', kind: 'text', text: 'Configuration', max_ms: 90000 }], settle: false, screenshot: false } })).json;
    assert.ok(found);
    await client.delete(id);
});

/* --- Files that are wrong --------------------------------------------------------------------------- */

function cut(from, to, part = 0.5) {
    const bytes = fs.readFileSync(file(from));
    fs.writeFileSync(file(to), bytes.subarray(0, bytes.length * part >> 0));
    return to;
}

function changed(from, to, edit) {
    const bytes = fs.readFileSync(file(from));
    edit(bytes);
    fs.writeFileSync(file(to), bytes);
    return to;
}

const write = (name, bytes) => fs.writeFileSync(file(name), bytes) ?? name;

function create(name, ...args) {
    execFileSync('qemu-img', ['create', '-q', ...args]);
    return name;
}

const bad = {
    'a missing file': [() => 'nothing.raw', /there is no file nothing.raw/],
    'a directory': [() => '.', /no file that can be read/],
    'an empty file': [() => write('empty', ''), /is empty/],
    'a text': [() => write('text', 'hello\n'.repeat(1000)), /no format that is known.*--format raw/],
    'a text that is called a qcow2': [() => write('text2', 'hello\n'.repeat(1000)), /is no qcow2/, '--format', 'qcow2'],
    'a qcow2 that is called raw': [() => 'disk.qcow2', /is no raw: by its first bytes it is qcow2/, '--format', 'raw'],
    'a qcow2 that is cut': [() => cut('disk.qcow2', 'cut.qcow2'), /damaged, or was cut/],
    'a header of a qcow2': [() => cut('disk.qcow2', 'head.qcow2', 0.0001), /shorter than its header/],
    'a vmdk that is cut': [() => cut('disk.vmdk', 'cut.vmdk'), /damaged, or was cut/],
    'a vdi that is cut': [() => cut('disk.vdi', 'cut.vdi'), /was cut/],
    'a vhdx that is cut': [() => cut('disk.vhdx', 'cut.vhdx'), /damaged|was cut|cannot be read/],
    'a vhd that is cut': [() => cut('disk.vhd', 'cut.vhd', 0.9), /was cut/],
    'an ISO that is cut': [() => cut('uefi.iso', 'cut.iso', 0.9), /was cut/],
    'an ISO that does not boot': [() => changed('uefi.iso', 'data.iso', (bytes) => bytes.fill(0, 34816, 36864)), /does not|no medium that boots/],
    'a raw disk whose partitions end behind it': [() => changed('disk.raw', 'parts.raw', (bytes) => {
        bytes.fill(0, 0, 510);
        bytes[446] = 0x80;
        bytes[450] = 0x07;
        bytes.writeUInt32LE(2048, 454);
        bytes.writeUInt32LE(1 << 24, 458);
    }), /was cut/],
    'a qcow2 on top of /etc/passwd': [() => create('passwd.qcow2', '-f', 'qcow2', '-b', '/etc/passwd', '-F', 'raw', file('passwd.qcow2')),
        /based on another file/],
    'a qcow2 with its bytes elsewhere': [() => create('data.qcow2', '-f', 'qcow2', '-o', `data_file=${file('data.bin')}`, file('data.qcow2'), '1M'),
        /its bytes in another file/],
    'an encrypted qcow2': [() => changed('disk.qcow2', 'secret.qcow2', (bytes) => bytes.writeUInt32BE(2, 32)), /is encrypted/],
    'a vmdk that describes /etc/passwd': [() => write('passwd.vmdk', '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n'
        + 'createType="monolithicFlat"\nRW 8 FLAT "/etc/passwd" 0\n'), /only describes a disk/],
    'a vmdk whose header leads to a description': [() => changed('disk.vmdk', 'lead.vmdk', (bytes) => bytes.writeBigUInt64LE(0n, 12)),
        /only describes a disk/],
    'a vmdk on top of another': [() => create('child.vmdk', '-f', 'vmdk', '-b', file('disk.vmdk'), '-F', 'vmdk', file('child.vmdk')),
        /based on another file/],
    'a name of a recipe': [() => 'disk.raw', /a recipe of that name/, '--name', 'probe'],
    'a disk that shall be smaller': [() => create('large.qcow2', '-f', 'qcow2', file('large.qcow2'), '3G'), /less than the 3 GiB/, '--disk-gib', '2'],
    'a disk beyond all limits': [() => create('vast.qcow2', '-f', 'qcow2', '-o', 'cluster_size=2M', file('vast.qcow2'), '17T'), /at most 16 TiB/],
};
for (const [what, [make, message, ...args]] of Object.entries(bad))
    test(`${what} is refused, and leaves nothing`, options, async () => {
        const { code, out, err } = await run(make(), ...(args.includes('--name') ? [] : ['--name', 'refused']), ...args);
        assert.deepEqual([code, out], [1, ''], err);
        assert.match(err, message);
        const left = fs.readdirSync(path.join(cache.dir, 'images')).filter((name) => /refused/.test(name) && !/\.(lock|log)$/.test(name));
        assert.deepEqual(left, []);
    });

const wrong = {
    '--cpus': ['0', '65', '-1', 'two', '1e3', ''], '--profile': ['amiga', 'linux|windows', ''], '--firmware': ['uefi,x', 'UEFI'],
    '--disk-gib': ['0', '16385', '99999999999'], '--name': ['../x', 'A', '.x', '', 'x'.repeat(51)], '--width': ['100', '1"2'],
};
for (const [option, values] of Object.entries(wrong))
    test(`${option} takes no nonsense`, options, async () => {
        for (const value of values) {
            const { code, out, err } = await run('disk.raw', ...(option === '--name' ? [] : ['--name', 'refused']), `${option}=${value}`);
            assert.deepEqual([value, code, out], [value, 2, ''], err);
        }
    });

test('where there is no room it is said, with numbers', options, async () => {
    const place = file('small');
    fs.mkdirSync(place);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=20m', 'none', place]);
    try {
        for (const name of ['disk.qcow2', 'uefi.iso']) {
            const { code, err } = await run(name, '--name', 'refused', '--cache', place);
            assert.equal(code, 1);
            assert.match(err, /too little space.*needs \d+ MB, \d+ MB are free/);
        }
    } finally {
        execFileSync('umount', [place]);
    }
});
