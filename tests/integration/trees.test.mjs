/** Trees of files in a guest: changes as they happen, archives up and down; and limits of a command. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { isFull } from './lib/counts.mjs';
import { useFarm } from './lib/farm.mjs';
import { createGuest } from './lib/templates.mjs';
import { raw } from './lib/client.mjs';
import { eventually } from './lib/wait.mjs';

const MIB = isFull ? 64 : 6;
const farm = useFarm({ withProbe: false, prepare: async () => {
    farm.id = (await createGuest(farm.client, 'probe')).id;
    await eventually('the agent', async () => (await farm.client.get(farm.id)).agent === 'ready', { ms: 120000 });
} });
const options = { skip: farm.skip, timeout: 120000 };
const home = fs.mkdtempSync(path.join(os.tmpdir(), 'df-trees-'));
after(() => fs.rmSync(home, { recursive: true, force: true }));

const route = (rest) => `/v1/sandboxes/${farm.id}/files/${rest}`;
const refused = async (method, rest, request) => {
    const { status, json } = await farm.client.send(method, route(rest), request);
    return `${status} ${json?.code}`;
};
async function run(body) {
    const answer = await farm.client.call('POST', `/v1/sandboxes/${farm.id}/proxy/44772/command`,
        { body: typeof body === 'string' ? { command: body } : body, headers: { accept: 'application/x-ndjson' } });
    const events = answer.body.toString().trim().split('\n').map((line) => JSON.parse(line));
    const of = (type) => events.filter((event) => event.type === type).map(({ text }) => text).join('');
    return { out: of('stdout'), err: of('stderr'), code: events.find(({ type }) => type === 'error')?.error.evalue ?? '0' };
}

/** Follows a directory. */
async function watch(query) {
    const request = http.get({ port: farm.daemon.port, path: `${route('watch')}?${new URLSearchParams(query)}`,
        headers: { host: 'localhost', accept: 'application/x-ndjson' } });
    const response = await new Promise((resolve, reject) => request.on('response', resolve).on('error', reject));
    const events = [];
    let rest = '';
    response.setEncoding('utf8').on('error', () => {}).on('data', (part) => {
        const lines = (rest + part).split('\n');
        rest = lines.pop();
        events.push(...lines.map((line) => JSON.parse(line)));
    });
    request.on('error', () => {});
    const until = (type, where) => eventually(`${type} ${where ?? ''}: ${JSON.stringify(events)}`, async () =>
        events.some((event) => event.type === type && event.path === where), { ms: 20000, every: 20 });
    await until('ready');
    return { events, until, close: () => request.destroy() };
}

test('changes below a directory are told as they come', options, async () => {
    await run('mkdir -p /tmp/w/sub; echo 1 > /tmp/w/old');
    const here = await watch({ path: '/tmp/w' }), deep = await watch({ path: '/tmp/w', recursive: 'true' });
    await run("echo 2 > '/tmp/w/new ü'; chmod 600 /tmp/w/old; mv /tmp/w/old /tmp/w/moved; rm /tmp/w/moved; echo 3 > /tmp/w/sub/below");
    for (const [type, name] of [['create', 'new ü'], ['write', 'new ü'], ['permissions', 'old'], ['rename', 'old'],
        ['rename', 'moved'], ['remove', 'moved']])
        await here.until(type, `/tmp/w/${name}`);
    await deep.until('write', '/tmp/w/sub/below');
    assert.ok(!here.events.some((event) => event.path === '/tmp/w/sub/below'), 'only where it was asked for');
    await run('mkdir -p /tmp/w/made/deeper; echo 4 > /tmp/w/made/deeper/file');
    await deep.until('create', '/tmp/w/made/deeper/file');
    here.close();
    deep.close();
    const watching = async () => Number((await run("ps | grep -c '[d]eskfarm-agent'")).out);
    await eventually('the guest watches no more', async () => await watching() <= 2, { ms: 20000 });
});

test('what cannot be watched is refused', options, async () => {
    assert.equal(await refused('GET', 'watch?path=/no/such/place'), '404 not_found');
    assert.match(await refused('GET', 'watch?path=/tmp/w/sub/below'), /^40[04] /);
    assert.equal(await refused('GET', 'watch?path=relative'), '400 bad_value');
    assert.equal(await refused('GET', 'watch'), '400 missing_field');
});

test('a tree goes up and comes down as it was', options, async () => {
    const tree = path.join(home, 'tree');
    fs.mkdirSync(path.join(tree, 'a/b'), { recursive: true });
    fs.writeFileSync(path.join(tree, 'a/b/ünï code'), 'one');
    fs.writeFileSync(path.join(tree, 'a/empty'), '');
    fs.writeFileSync(path.join(tree, 'run'), '#!/bin/sh\necho it runs\n', { mode: 0o755 });
    fs.writeFileSync(path.join(tree, 'large'), Buffer.alloc(MIB << 20, 'abcdefg'));
    fs.symlinkSync('b/ünï code', path.join(tree, 'a/link'));
    const tar = execFileSync('tar', ['-C', tree, '-cf', '-', '.'], { maxBuffer: 1 << 30 });
    const put = (body, where) => farm.client.call('PUT', route(`archive?path=${where}`), { body, headers: { 'content-type': 'application/x-tar' } });
    assert.equal((await put(tar, '/tmp/tree/new')).status, 204);
    assert.equal((await run('/tmp/tree/new/run; cat "/tmp/tree/new/a/link"; wc -c < /tmp/tree/new/large')).out, `it runs\none${MIB << 20}\n`);
    const { body } = await farm.client.call('GET', route('archive?path=/tmp/tree/new'));
    const back = path.join(home, 'back');
    fs.mkdirSync(back);
    execFileSync('tar', ['-C', back, '-xf', '-'], { input: body });
    assert.equal(execFileSync('diff', ['-r', '--no-dereference', tree, back]).toString(), '');
    assert.equal(fs.statSync(path.join(back, 'run')).mode & 0o777, 0o755);
    await put(execFileSync('tar', ['-C', path.join(tree, 'a'), '-cf', '-', 'empty']), '/tmp/tree/new');
    assert.equal((await run('ls /tmp/tree/new')).out, 'a\nempty\nlarge\nrun\n', 'what was there stays');
});

test('archives that are none, and places that are not there', options, async () => {
    const type = { 'content-type': 'application/x-tar' };
    assert.equal(await refused('GET', 'archive?path=/no/such/place'), '404 not_found');
    assert.equal(await refused('GET', 'archive?path=/tmp/w/sub/below'), '400 bad_value');
    assert.equal(await refused('GET', 'archive?path=relative'), '400 bad_value');
    assert.equal(await refused('PUT', 'archive?path=/tmp/none', { body: 'this is no archive '.repeat(1000), headers: type }), '400 bad_value');
    assert.equal(await refused('PUT', 'archive?path=/tmp/none', { body: {} }), '415 media_type');
    assert.match(await refused('PUT', 'archive?path=/tmp/w/sub/below', { body: 'x', headers: type }), /^4/);
    assert.equal(await refused('GET', 'archive?path=/tmp&user=nobody-of-that-name'), '400 bad_value');
});

test('a caller who leaves in the middle ends the guest\'s tar', options, async () => {
    await run(`head -c ${MIB << 21} /dev/zero > /tmp/tree/zeros`);
    const leave = new AbortController();
    const down = farm.client.send('GET', route('archive?path=/tmp'), { signal: leave.signal });
    down.catch(() => {});
    setTimeout(() => leave.abort(), 50);
    await assert.rejects(down);
    const up = raw(farm.daemon.port, `PUT ${route('archive?path=/tmp/torn')} HTTP/1.1\r\nHost: localhost\r\n`
        + 'Content-Type: application/x-tar\r\nContent-Length: 100000\r\n\r\nhalf');
    Promise.resolve(up).catch(() => {});
    setTimeout(() => up.socket?.destroy?.(), 500);
    await eventually('no tar runs', async () => !/ tar /.test((await run('ps')).out), { ms: 40000 });
});

test('a command has the limits that it was given', options, async () => {
    assert.equal((await run({ command: 'ulimit -n; ulimit -t', rlimits: { nofile: 17, cpu: 5 } })).out, '17\n5\n');
    const cut = await run({ command: 'head -c 100000 /dev/zero > /tmp/cut; echo $?', rlimits: { fsize: 4096 } });
    assert.notEqual(cut.out, '0\n');
    assert.equal((await run('wc -c < /tmp/cut')).out, '4096\n');
    const { status, json } = await farm.client.send('POST', `/v1/sandboxes/${farm.id}/proxy/44772/command`,
        { body: { command: 'true', rlimits: { nofile: -1 } } });
    assert.deepEqual([status, json.code], [400, 'bad_value']);
});
