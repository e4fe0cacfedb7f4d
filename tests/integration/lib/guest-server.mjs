/** tests/integration/guest-server.c, running in a guest. */
import fs from 'node:fs';
import path from 'node:path';
import { buildDir } from './daemon.mjs';
import { run } from './terminal.mjs';

const binary = path.join(buildDir, 'tests/integration/guest-server');

/** Copies a file of the host into the guest. */
export async function upload(client, id, from, to, mode = 755) {
    const edge = 'x-the-edge-x', part = (name, more, body) => Buffer.concat([
        Buffer.from(`--${edge}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n`), Buffer.from(body), Buffer.from('\r\n')]);
    const body = Buffer.concat([
        part('metadata', '; filename="m"\r\nContent-Type: application/json', JSON.stringify({ path: to, mode })),
        part('file', '; filename="f"\r\nContent-Type: application/octet-stream', fs.readFileSync(from)), Buffer.from(`--${edge}--\r\n`)]);
    await client.call('POST', `/v1/sandboxes/${id}/proxy/44772/files/upload`,
        { body, headers: { 'content-type': `multipart/form-data; boundary=${edge}` } });
}

/** Starts it in the guest; it listens when this returns. */
export async function startGuestServer(client, id, port = 8000) {
    await upload(client, id, binary, '/tmp/guest-server');
    await run(client, id, `/tmp/guest-server ${port}`);
}

/** Byte i of its bodies. */
export function guestBytes(size) {
    const out = Buffer.alloc(size);
    for (let i = 0; i < size; i++)
        out[i] = Math.floor(i * i / 7) + i & 255;
    return out;
}
