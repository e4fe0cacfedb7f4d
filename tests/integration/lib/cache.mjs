/** Image caches of a test's own: another's files under another description, and initramfs with more in them. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { cacheDir } from './daemon.mjs';

/**
 * A cache with one image, which is another's files with another description: a link to a build, as the builder leaves.
 * @param {string} name of the image
 * @param {string} from which image it is made of
 * @param {object} changes of its description
 * @param {Record<string, (to: string, from: string) => void>} files that are written instead of linked
 */
export function makeCache(name, from, changes, files = {}) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-cache-'));
    fs.chmodSync(dir, 0o755); /* a jail's user reads it */
    const source = fs.realpathSync(path.join(cacheDir, 'images', from));
    const description = JSON.parse(fs.readFileSync(path.join(source, 'image.json')));
    const build = `${name}-${description.hash}`, to = path.join(dir, 'images', build);
    fs.mkdirSync(to, { recursive: true });
    fs.symlinkSync(build, path.join(dir, 'images', name));
    for (const file of fs.readdirSync(source)) {
        if (files[file])
            files[file](path.join(to, file), path.join(source, file));
        else if (file !== 'image.json')
            fs.symlinkSync(path.join(source, file), path.join(to, file));
    }
    fs.writeFileSync(path.join(to, 'image.json'), JSON.stringify({ ...description, name, ...changes }));
    return dir;
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
