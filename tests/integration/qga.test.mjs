/**
 * A guest whose image has only the QEMU guest agent: commands, files and the clock go by it, and what
 * it cannot do says so. The image is debian-xfce under another description, so that deskfarm-agent is
 * there and not asked.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { cacheDir, Daemon, lacksImage } from './lib/daemon.mjs';
import { eventually } from './lib/wait.mjs';

const skip = lacksImage('debian-xfce');
const options = { skip, timeout: 120000 };
let daemon, client, id, cache;

/** A cache with one image, which is another's files with another description: a link to a build, as the builder leaves. */
function makeCache(name, changes) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-cache-'));
    fs.chmodSync(dir, 0o755); /* a jail's user reads it */
    const from = fs.realpathSync(path.join(cacheDir, 'images', 'debian-xfce'));
    const description = JSON.parse(fs.readFileSync(path.join(from, 'image.json')));
    const build = `${name}-${description.hash}`, to = path.join(dir, 'images', build);
    fs.mkdirSync(to, { recursive: true });
    fs.symlinkSync(build, path.join(dir, 'images', name));
    for (const file of fs.readdirSync(from))
        fs.symlinkSync(path.join(from, file), path.join(to, file));
    fs.rmSync(path.join(to, 'image.json'));
    fs.writeFileSync(path.join(to, 'image.json'), JSON.stringify({ ...description, name, ...changes }));
    return dir;
}

before(async () => {
    if (skip)
        return;
    cache = makeCache('only-qga', { agent: 'qemu' });
    daemon = await Daemon.start({ env: { DESKFARM_CACHE: cache } });
    client = daemon.client();
    ({ id } = await client.create('only-qga', { env: { GREETING: 'hello' } }));
    await client.waitState(id, 'Running');
    await eventually('the agent is ready', async () => (await client.get(id)).agent === 'ready', { ms: 240000, every: 500 });
}, { timeout: 300000 });

after(async () => {
    await daemon?.destroy();
    if (cache)
        fs.rmSync(cache, { recursive: true, force: true });
}, { timeout: 60000 });

const execd = (method, rest, request) => client.send(method, `/v1/sandboxes/${id}/proxy/44772${rest}`, request);

/** What a command did, from its NDJSON events. */
async function run(body) {
    const answer = await execd('POST', '/command', { body, headers: { accept: 'application/x-ndjson' } });
    if (answer.status >= 300)
        return { status: answer.status, code: answer.json?.code };
    const events = answer.body.toString().split('\n').filter((line) => line).map((line) => JSON.parse(line));
    const join = (type) => events.filter((event) => event.type === type).map((event) => event.text).join('\n');
    const error = events.find((event) => event.type === 'error');
    return { stdout: join('stdout'), stderr: join('stderr'), error: error?.error ?? error, events };
}

test('commands run, with environment, directory and user', options, async () => {
    const one = await run({ command: 'echo $GREETING; pwd; id -u; echo oops >&2', cwd: '/usr', uid: 1000 });
    assert.match(one.stdout, /hello\n+\/usr\n+1000/);
    assert.match(one.stderr, /oops/);
    const two = await run({ command: 'exit 3' });
    assert.match(JSON.stringify(two.error), /"3"|status 3/);
});

test('twenty commands in a row lose nothing', options, async () => {
    for (let i = 0; i < 20; i++)
        assert.equal((await run({ command: `printf %s ${i}` })).stdout.trim(), String(i));
});

test('what has more output than it can hand over says so', options, async () => {
    const { events } = await run({ command: 'head -c 4000000 /dev/zero' });
    assert.match(JSON.stringify(events), /too_large|more than/);
    assert.equal((await run({ command: 'echo on' })).stdout.trim(), 'on');
});

test('a paused guest gets the time when it goes on', options, async () => {
    await client.call('POST', `/v1/sandboxes/${id}/pause`);
    await client.waitState(id, 'Paused', 10000);
    await new Promise((resolve) => setTimeout(resolve, 4000));
    await client.call('POST', `/v1/sandboxes/${id}/resume`);
    await client.waitState(id, 'Running', 10000);
    await eventually('its clock is right', async () => {
        const before = Date.now() / 1000;
        const { stdout } = await run({ command: 'date +%s.%N' });
        return Number(stdout) > before - 0.5 && Number(stdout) < Date.now() / 1000 + 0.5;
    }, { ms: 20000 });
});
