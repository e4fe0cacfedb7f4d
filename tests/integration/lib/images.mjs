/** Images of a test's own: a cache directory with image.json files that the test wrote, a daemon that has it, and media to boot from. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';
import { Daemon, cacheDir } from './daemon.mjs';

export class OwnCache {
    constructor() {
        this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-cache-'));
        fs.chmodSync(this.dir, 0o755); /* guests read their image there, each under a uid of its own */
        fs.mkdirSync(path.join(this.dir, 'images'));
    }

    /** files: name in the image's directory to path, which a hard link is made of where that can be. */
    addImage(name, fields, files = {}) {
        const dir = path.join(this.dir, 'images', `${name}-1`);
        fs.mkdirSync(dir, { recursive: true });
        fs.writeFileSync(path.join(dir, 'image.json'),
            JSON.stringify({ name, hash: '1', cpus: 1, memory_mib: 256, width: 800, height: 600, agent: 'none', ...fields }));
        for (const [to, from] of Object.entries(files))
            try {
                fs.linkSync(from, path.join(dir, to));
            } catch {
                fs.copyFileSync(from, path.join(dir, to));
            }
        fs.symlinkSync(`${name}-1`, path.join(this.dir, 'images', name));
        return dir;
    }

    /** A built image's files under another description: with these fields, or what a function makes of it. files: what writes one otherwise, called with where to and from where. */
    describeAnew(name, from, changes, files = {}) {
        const source = fs.realpathSync(path.join(cacheDir, 'images', from));
        const description = JSON.parse(fs.readFileSync(path.join(source, 'image.json')));
        const build = `${name}-${description.hash}`, to = path.join(this.dir, 'images', build);
        fs.mkdirSync(to);
        fs.symlinkSync(build, path.join(this.dir, 'images', name));
        for (const file of fs.readdirSync(source)) {
            if (files[file])
                files[file](path.join(to, file), path.join(source, file));
            else if (file !== 'image.json')
                fs.symlinkSync(path.join(source, file), path.join(to, file));
        }
        fs.writeFileSync(path.join(to, 'image.json'), JSON.stringify({ ...description, name, ...(changes instanceof Function ? changes(description) : changes) }));
    }

    remove() {
        fs.rmSync(this.dir, { recursive: true, force: true });
    }
}

/**
 * A daemon whose images are a test file's own, made before its tests and ended after them: `daemon`, `client`, `cache`.
 * fill puts the images into the cache; prepare runs after that, with all three, and end before they go.
 */
export function useOwnImages(skip, fill, prepare = async () => {}, end = () => {}) {
    const farm = {};
    before(async () => {
        if (skip)
            return;
        farm.cache = new OwnCache();
        fill(farm.cache);
        farm.daemon = await Daemon.start({ env: { DESKFARM_CACHE: farm.cache.dir } });
        farm.client = farm.daemon.client();
        await prepare(farm);
    }, { timeout: 300000 });
    after(async () => {
        await end();
        await farm.daemon?.destroy();
        farm.cache?.remove();
    }, { timeout: 60000 });
    return farm;
}

/** A FAT with files and 2 MiB beside them, of which a UEFI boots EFI/BOOT/BOOTX64.EFI. files: place to path. */
export function makeFat(image, files) {
    const mtools = (tool, ...args) => execFileSync(tool, ['-i', image, ...args]);
    const mib = Object.values(files).reduce((sum, file) => sum + Math.ceil(fs.statSync(file).size / 2 ** 20), 2);
    fs.writeFileSync(image, '');
    fs.truncateSync(image, mib * 2 ** 20);
    mtools('mformat', '-T', `${mib * 2048}`, '-h', '16', '-s', '32', '::');
    mtools('mmd', '::/EFI', '::/EFI/BOOT');
    for (const [to, from] of Object.entries(files))
        mtools('mcopy', from, `::/${to}`);
}

/** An ISO that a UEFI boots: the El Torito image is such a FAT. */
export function makeIso(iso, files) {
    const tree = fs.mkdtempSync(path.join(path.dirname(iso), 'iso-'));
    makeFat(path.join(tree, 'efi.img'), files);
    execFileSync('xorriso', ['-as', 'mkisofs', '-quiet', '-V', 'TEST', '-o', iso, '-e', 'efi.img', '-no-emul-boot', tree],
        { stdio: ['ignore', 'ignore', 'pipe'] });
    fs.rmSync(tree, { recursive: true });
}

/** The CRC-32 of bytes, as the UEFI program reports it of a block. */
export function crc32(bytes) {
    let crc = ~0;
    for (const byte of bytes) {
        crc ^= byte;
        for (let i = 0; i < 8; i++)
            crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
    return ~crc >>> 0;
}

const pad = (size) => Buffer.alloc((4 - size % 4) % 4);

function record(name, mode, data) {
    const fields = [1, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0];
    const head = Buffer.from('070701' + fields.map((value) => value.toString(16).padStart(8, '0')).join('') + `${name}\0`);
    return Buffer.concat([head, pad(head.length), data, pad(data.length)]);
}

/** An archive in the form newc, which the kernel unpacks behind another and over its files. */
export const initramfs = (files) => Buffer.concat([
    ...Object.entries(files).map(([name, data]) => record(name, 0o100755, data)),
    record('TRAILER!!!', 0, Buffer.alloc(0))]);
