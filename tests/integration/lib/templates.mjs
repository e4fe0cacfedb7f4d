/**
 * Guests that are up at once. Templates of both images are baked and exported once per build of an image
 * (tests/bake-templates, which `./check` runs) and imported by each daemon that needs one: a second or a few instead of
 * the boot, which without KVM takes 10 s for the probe and a minute for a desktop. Where none is kept, the guest boots.
 */
import fs from 'node:fs';
import path from 'node:path';
import { Daemon, cacheDir, lacksImage } from './daemon.mjs';

/** What is kept: machines that tests ask for often. Of others each test makes its own. */
const KEPT = [
    { image: 'probe', network: 'none' },
    { image: 'debian-xfce', network: 'none' },
    { image: 'debian-xfce', network: 'nat' },
];

/** A create's fields that do not change the machine; its layout a guest is given when it is up. */
const PLAIN = new Set(['metadata', 'timeout', 'recording', 'network', 'boot', 'name', 'keyboard']);

/** What a kept template belongs to: a build of the image, a network, a version of QEMU, an accelerator. */
function templatePath({ image, network }, { accel, qemu }) {
    const build = path.basename(fs.realpathSync(path.join(cacheDir, 'images', image)));
    return path.join(cacheDir, 'templates', `${build}-${network}-${qemu}-${accel}`);
}

const getInfo = async (client) => (await client.call('GET', '/v1/info')).json;

async function keepTemplate(client, kind, file) {
    const { image, network } = kind;
    const { json: template } = await client.call('POST', '/v1/templates', { body: { image: { uri: image }, network }, ms: 600000 });
    const { body } = await client.call('GET', `/v1/checkpoints/${template.id}/export`, { query: { image: 'false' }, ms: 300000 });
    fs.writeFileSync(`${file}.new`, body);
    fs.renameSync(`${file}.new`, file);
}

/** Bakes what is not kept yet. What is kept of other builds goes. */
export async function keepTemplates() {
    const daemon = await Daemon.start({ boot: 'auto' });
    try {
        const client = daemon.client(), info = await getInfo(client);
        const kinds = KEPT.filter(({ image, network }) => !lacksImage(image) && (network === 'none' || info.network));
        const files = kinds.map((kind) => templatePath(kind, info));
        const dir = path.join(cacheDir, 'templates');
        fs.mkdirSync(dir, { recursive: true });
        for (const name of fs.readdirSync(dir))
            if (!files.includes(path.join(dir, name)))
                fs.rmSync(path.join(dir, name), { recursive: true });
        for (const [i, file] of files.entries())
            if (!fs.existsSync(file))
                await keepTemplate(client, kinds[i], file);
    } finally {
        await daemon.destroy();
    }
}

/** The daemon's own copy of a kept template, or undefined where none is kept. */
export async function importTemplate(client, image, network = 'none') {
    if (!KEPT.some((kind) => kind.image === image && kind.network === network))
        return undefined;
    const file = templatePath({ image, network }, await getInfo(client));
    if (!fs.existsSync(file))
        return undefined;
    return (await client.call('POST', '/v1/checkpoints',
        { body: fs.readFileSync(file), headers: { 'content-type': 'application/zstd' }, ms: 300000 })).json;
}

/** The template of an image without network: the kept one, or one that is baked now. */
export async function haveTemplate(client, image) {
    return await importTemplate(client, image)
        ?? (await client.call('POST', '/v1/templates', { body: { image: { uri: image }, network: 'none' }, ms: 600000 })).json;
}

/** Makes a guest that is Running when this returns; from a kept template where there is one and `boot` is not said. */
export async function createGuest(client, image, options = {}) {
    const isPlain = !options.boot && Object.keys(options).every((name) => PLAIN.has(name));
    const template = isPlain && await importTemplate(client, image, options.network);
    const sandbox = await client.create(image, { ...(template && { boot: 'template' }), ...options });
    return { ...await client.waitState(sandbox.id, 'Running'), isUp: Boolean(template) };
}

export const createDesktop = (client, options) => createGuest(client, 'debian-xfce', options);
