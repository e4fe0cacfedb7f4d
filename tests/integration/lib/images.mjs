/** Images of a test's own: a cache directory with image.json files that the test wrote, and media to boot from. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

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

    remove() {
        fs.rmSync(this.dir, { recursive: true, force: true });
    }
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
