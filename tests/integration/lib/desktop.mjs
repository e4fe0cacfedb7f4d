/**
 * A debian-xfce that is up at once. Its template is baked and exported once per build of the image (tests/bake-desktop,
 * which `./check` runs) and imported by each daemon that needs it: seconds instead of the minute that a boot takes
 * without KVM. Where no template is kept, the desktop boots.
 */
import fs from 'node:fs';
import path from 'node:path';
import { Daemon, cacheDir, lacksImage } from './daemon.mjs';

const IMAGE = 'debian-xfce';

/** What a kept template belongs to: a build of the image, a version of QEMU, an accelerator. */
async function templatePath(client) {
    const build = path.basename(fs.realpathSync(path.join(cacheDir, 'images', IMAGE)));
    const { accel, qemu } = (await client.call('GET', '/v1/info')).json;
    return path.join(cacheDir, 'templates', `${build}-${qemu}-${accel}`);
}

/** Bakes the template and keeps it. What is kept of other builds goes. */
export async function keepTemplate() {
    if (lacksImage(IMAGE))
        return;
    const daemon = await Daemon.start({ boot: 'auto' });
    try {
        const client = daemon.client(), file = await templatePath(client), dir = path.dirname(file);
        if (fs.existsSync(file))
            return;
        const { json: template } = await client.call('POST', '/v1/templates',
            { body: { image: { uri: IMAGE }, network: 'none' }, ms: 600000 });
        const { body } = await client.call('GET', `/v1/checkpoints/${template.id}/export`, { query: { image: 'false' }, ms: 300000 });
        fs.rmSync(dir, { recursive: true, force: true });
        fs.mkdirSync(dir, { recursive: true });
        fs.writeFileSync(`${file}.new`, body);
        fs.renameSync(`${file}.new`, file);
    } finally {
        await daemon.destroy();
    }
}

/** The daemon's own copy of the kept template, or undefined where none is kept. */
export async function importDesktop(client) {
    const file = await templatePath(client);
    if (!fs.existsSync(file))
        return undefined;
    return (await client.call('POST', '/v1/checkpoints',
        { body: fs.readFileSync(file), headers: { 'content-type': 'application/zstd' }, ms: 300000 })).json;
}

/** Makes a desktop; the first answers as Running when it comes from a template. */
export async function createDesktop(client, options = {}) {
    if (!await importDesktop(client))
        return client.create(IMAGE, options);
    const { id } = await client.create(IMAGE, { boot: 'template', ...options });
    return client.waitState(id, 'Running');
}
