/**
 * Daytona's own SDK, unmodified, drives a desktop: what the guest received is compared with what was
 * asked for, and what the pictures show with what is on its screen.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Daemon, buildDir, lacksImage } from './lib/daemon.mjs';
import { decodePng } from './lib/png.mjs';
import { Probe, pattern, parseColor } from './lib/probe.mjs';
import { eventually } from './lib/wait.mjs';

process.env.DAYTONA_USE_DEPRECATED_POLLING = 'true';
const skip = lacksImage('probe') || lacksNode(20);
const options = { skip, timeout: 240000 };
let daemon, client, sdk, daytona, sandbox, probe, computer;

/** Packages that the SDK depends on ask for a newer Node than the tests do. */
function lacksNode(major) {
    return parseInt(process.versions.node) >= major ? false : `needs Node ${major}`;
}

before(async () => {
    if (skip)
        return;
    daemon = await Daemon.start();
    client = daemon.client();
    sdk = await import('@daytona/sdk');
    daytona = new sdk.Daytona({ apiKey: 'any', apiUrl: `${daemon.url}/daytona/api`, target: 'local' });
    const created = daytona.create({
        snapshot: 'probe', name: 'first', labels: { purpose: 'loop' }, envVars: { A: 'b' },
        networkBlockAll: true, resources: { cpu: 1, memory: 0.5 }, autoStopInterval: 0,
    }, { timeout: 240 });
    /* The guest says once that it is ready: somebody must listen by then. */
    const first = await eventually('the sandbox', async () =>
        (await client.call('GET', '/v1/sandboxes')).json.items[0], { ms: 60000 });
    daemon.ids.add(first.id);
    [sandbox, probe] = await Promise.all([created, Probe.attach(daemon, first.id, { ms: 240000 })]);
    computer = sandbox.computerUse;
}, { timeout: 300000 });

after(async () => {
    probe?.close();
    await daemon?.destroy();
}, { timeout: 60000 });

/** Format and size of a picture. */
function measure(bytes) {
    if (bytes[0] === 0x89)
        return { format: 'png', width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
    const ppm = execFileSync(path.join(buildDir, 'tests/integration/decode-image'), { input: bytes, maxBuffer: 1 << 28 });
    const [, width, height] = /^P6\s+(\d+)\s+(\d+)/.exec(ppm.subarray(0, 40).toString('latin1'));
    return { format: bytes[0] === 0xff ? 'jpeg' : 'webp', width: Number(width), height: Number(height) };
}

/** What the guest received while `run` ran. */
async function receivedBy(run) {
    const mark = probe.mark();
    await run();
    return probe.received(client, mark);
}

const buttons = (events) => events.filter((e) => e.ev === 'button').map(({ down, button, x, y }) => [down ? 'down' : 'up', button, x, y]);
const keys = (events) => events.filter((e) => e.ev === 'key' && !e.repeat).map(({ down, keysym }) => `${down ? '+' : '-'}${keysym}`);

test('a sandbox is what was asked for', options, async () => {
    assert.equal(sandbox.state, 'started');
    assert.equal(sandbox.name, 'first');
    assert.equal(sandbox.snapshot, 'probe');
    assert.equal(sandbox.labels.purpose, 'loop');
    assert.equal(sandbox.networkBlockAll, true);
    assert.deepEqual([sandbox.cpu, sandbox.gpu, sandbox.memory], [1, 0, 0.5]);
    const again = await daytona.get('first');
    assert.equal(again.id, sandbox.id);
    const listed = [];
    for await (const one of daytona.list({ labels: { purpose: 'loop' } }))
        listed.push(one.id);
    assert.deepEqual(listed, [sandbox.id]);
    for await (const one of daytona.list({ labels: { purpose: 'another' } }))
        assert.fail(`${one.id} is listed`);
    const ours = await client.get(sandbox.id);
    assert.equal(ours.status.state, 'Running');
});

test('start answers when the desktop is there, status says so, stop changes nothing', options, async () => {
    assert.equal((await computer.start()).status.desktop.running, true);
    assert.equal((await computer.getStatus()).status, 'active');
    assert.equal((await computer.getProcessStatus('xfce4')).running, true);
    assert.equal((await computer.stop()).status.desktop.running, true);
    assert.equal((await computer.getStatus()).status, 'active');
});

test('the display has its size', options, async () => {
    const { displays } = await computer.display.getInfo();
    assert.deepEqual(displays.map(({ id, x, y, width, height }) => [id, x, y, width, height]),
        [[0, 0, 0, probe.width, probe.height]]);
});

test('moves and positions, the corners included', options, async () => {
    const { width, height } = probe;
    for (const [x, y] of [[0, 0], [width - 1, height - 1], [0, height - 1], [width - 1, 0], [333, 217]]) {
        const events = await receivedBy(async () => assert.deepEqual(await computer.mouse.move(x, y), { x, y }));
        const last = events.filter((e) => e.ev === 'motion').at(-1);
        assert.deepEqual([last.x, last.y], [x, y]);
        assert.deepEqual(await computer.mouse.getPosition(), { x, y });
    }
});

test('clicks: each button, twice, at 0', options, async () => {
    for (const [name, number] of [['left', 1], ['middle', 2], ['right', 3]]) {
        const events = await receivedBy(() => computer.mouse.click(0, 0, name));
        assert.deepEqual(buttons(events), [['down', number, 0, 0], ['up', number, 0, 0]], name);
    }
    const events = await receivedBy(async () =>
        assert.deepEqual(await computer.mouse.click(410, 0, 'left', true), { x: 410, y: 0 }));
    assert.deepEqual(buttons(events), [['down', 1, 410, 0], ['up', 1, 410, 0], ['down', 1, 410, 0], ['up', 1, 410, 0]]);
});

test('a drag goes from one point to the other with the button down', options, async () => {
    const events = await receivedBy(async () =>
        assert.deepEqual(await computer.mouse.drag(50, 60, 250, 160, 'right'), { x: 250, y: 160 }));
    assert.deepEqual(buttons(events), [['down', 3, 50, 60], ['up', 3, 250, 160]]);
    const between = events.filter((e) => e.ev === 'motion' && e.mods & 1024);
    assert.ok(between.length > 2, `${between.length} motions with the button down`);
});

test('the wheel turns both ways, notch by notch', options, async () => {
    const notches = async (...args) => (await receivedBy(async () =>
        assert.equal(await computer.mouse.scroll(...args), true)))
        .filter((e) => e.ev === 'wheel').map(({ dx, dy, x, y }) => [dx, dy, x, y]);
    assert.deepEqual(await notches(100, 120, 'down', 3), Array(3).fill([0, 1, 100, 120]));
    assert.deepEqual(await notches(0, 0, 'up'), [[0, -1, 0, 0]]);
    assert.deepEqual(await notches(5, 5, 'up', 0), []);
});

test('text arrives as it is', options, async () => {
    const text = 'Hello, World! 0 #[]{}|\\~"\' Zz\n\tend';
    const typed = async (...args) => (await receivedBy(() => computer.keyboard.type(...args)))
        .filter((e) => e.ev === 'key' && e.down).map((e) => e.text).join('');
    assert.equal(await typed(text), text);
    assert.equal(await typed('日本'), '日本', 'which no key has');
    const long = 'the quick brown fox '.repeat(15);
    assert.equal(await typed(long), long);
    const start = performance.now();
    assert.equal(await typed('slow', 50), 'slow');
    assert.ok(performance.now() - start >= 150, 'the delay is kept');
});

test('keys with modifiers, and chords', options, async () => {
    const pressed = async (run) => keys(await receivedBy(run));
    assert.deepEqual(await pressed(() => computer.keyboard.press('Return')), ['+Return', '-Return']);
    assert.deepEqual(await pressed(() => computer.keyboard.press('Escape', [])), ['+Escape', '-Escape']);
    assert.deepEqual(await pressed(() => computer.keyboard.press('+')), ['+Shift_L', '+plus', '-plus', '-Shift_L']);
    assert.deepEqual(await pressed(() => computer.keyboard.press('c', ['ctrl'])),
        ['+Control_L', '+c', '-c', '-Control_L']);
    assert.deepEqual(await pressed(() => computer.keyboard.press('T', ['ctrl', 'alt'])),
        ['+Control_L', '+Alt_L', '+t', '-t', '-Alt_L', '-Control_L']);
    assert.deepEqual(await pressed(() => computer.keyboard.hotkey('ctrl+shift+t')),
        ['+Control_L', '+Shift_L', '+T', '-T', '-Shift_L', '-Control_L']);
    assert.deepEqual(await pressed(() => computer.keyboard.hotkey('cmd + a')),
        ['+Super_L', '+a', '-a', '-Super_L']);
    assert.deepEqual((await probe.held()).keys, []);
});

/** The picture's pixels at some points against the probe's pattern, moved by the region's corner. */
function assertPattern(picture, left, top) {
    for (const [x, y] of [[0, 0], [1, 0], [picture.width - 1, picture.height - 1], [17, 31]])
        assert.deepEqual([...picture.at(x, y)].slice(0, 3), pattern(left + x, top + y), `pixel ${x},${y}`);
}

test('screenshots show the screen, exactly', options, async () => {
    await probe.clear();
    const full = await computer.screenshot.takeFullScreen();
    const bytes = Buffer.from(full.screenshot, 'base64');
    assert.equal(full.sizeBytes, bytes.length);
    const picture = decodePng(bytes);
    assert.deepEqual([picture.width, picture.height], [probe.width, probe.height]);
    assertPattern(picture, 0, 0);

    const region = decodePng(Buffer.from((await computer.screenshot.takeRegion(
        { x: 300, y: 200, width: 101, height: 99 })).screenshot, 'base64'));
    assert.deepEqual([region.width, region.height], [101, 99]);
    assertPattern(region, 300, 200);

    const corner = decodePng(Buffer.from((await computer.screenshot.takeCompressedRegion(
        { x: 0, y: 0, width: 20, height: 100 }, { format: 'png' })).screenshot, 'base64'));
    assert.deepEqual([corner.width, corner.height], [20, 100]);
    assertPattern(corner, 0, 0);
});

test('compressed screenshots have the format and size that were asked for', options, async () => {
    const take = async (run) => {
        const { screenshot, sizeBytes } = await run;
        const bytes = Buffer.from(screenshot, 'base64');
        assert.equal(bytes.length, sizeBytes);
        return { bytes, ...measure(bytes) };
    };
    const preset = await take(computer.screenshot.takeCompressed());
    assert.deepEqual([preset.format, preset.width, preset.height], ['jpeg', probe.width, probe.height]);
    const good = await take(computer.screenshot.takeCompressed({ format: 'jpeg', quality: 95 }));
    const bad = await take(computer.screenshot.takeCompressed({ format: 'jpeg', quality: 10 }));
    assert.ok(bad.bytes.length < good.bytes.length / 2, `${bad.bytes.length} against ${good.bytes.length} bytes`);
    const half = await take(computer.screenshot.takeCompressed({ format: 'png', scale: 0.5 }));
    assert.deepEqual([half.format, half.width, half.height], ['png', probe.width / 2, probe.height / 2]);
    const webp = await take(computer.screenshot.takeCompressedRegion(
        { x: 0, y: 0, width: 200, height: 100 }, { format: 'webp', quality: 90, scale: 0.25 }));
    assert.deepEqual([webp.format, webp.width, webp.height], ['webp', 50, 25]);
});

test('the pointer is drawn when asked for', options, async () => {
    await probe.command('cursor', { shape: 'arrow' });
    await probe.clear();
    await computer.mouse.move(500, 400);
    const take = async (showCursor) => {
        const shot = await computer.screenshot.takeRegion({ x: 480, y: 380, width: 60, height: 60 }, showCursor);
        assert.deepEqual(shot.cursorPosition, { x: 500, y: 400 });
        return decodePng(Buffer.from(shot.screenshot, 'base64'));
    };
    const differing = (picture) => {
        let n = 0;
        for (let y = 0; y < 60; y++)
            for (let x = 0; x < 60; x++)
                n += [...picture.at(x, y)].slice(0, 3).join() !== pattern(480 + x, 380 + y).join();
        return n;
    };
    await eventually('an arrow', async () => differing(await take(true)) > 20, { ms: 20000 });
    assert.equal(differing(await take(false)), 0);
});

test('a loop of looking and acting', options, async () => {
    await probe.clear();
    await probe.command('on_input', { on: 'button', steps: [{ x: 600, y: 300, w: 50, h: 50, color: '#ff8000', delay_ms: 0 }] });
    await computer.mouse.click(620, 320);
    await eventually('the colour in a screenshot', async () => {
        const shot = decodePng(Buffer.from((await computer.screenshot.takeRegion({ x: 610, y: 310, width: 4, height: 4 })).screenshot, 'base64'));
        return [...shot.at(1, 1)].slice(0, 3).join() === parseColor('#ff8000').join();
    });
    /* Calls at the same time wait for each other; none is lost. */
    const events = await receivedBy(() => Promise.all(Array.from({ length: 8 }, (_, i) => computer.mouse.click(10 * i, 7))));
    assert.equal(buttons(events).filter(([what]) => what === 'down').length, 8);
});

test('commands run to their end: output, exit code, directory, environment, timeout', options, async () => {
    await eventually('the agent', async () => (await client.get(sandbox.id)).agent === 'ready', { ms: 120000 });
    const execute = (...args) => sandbox.process.executeCommand(...args);
    const first = await execute('echo out; echo err >&2; exit 3');
    assert.deepEqual([first.exitCode, first.result], [3, 'out\nerr\n']);
    assert.equal((await execute('echo "$A|$B|$(pwd)"', '/tmp', { B: 'ü' })).result, 'b|ü|/tmp\n');
    assert.equal((await execute('kill -9 $$')).exitCode, 137);
    assert.equal((await execute('printf "a\\377b"')).result, 'a\ufffdb');
    assert.equal((await execute('head -c 1000000 /dev/zero | tr "\\0" x')).result.length, 1000000);
    const results = await Promise.all(Array.from({ length: 30 }, (_, i) => execute(`echo ${i}`)));
    assert.deepEqual(results.map(({ result }) => result), results.map((_, i) => `${i}\n`));
    await assert.rejects(() => execute('sleep 60', undefined, undefined, 1), sdk.DaytonaTimeoutError);
    await assert.rejects(() => execute('head -c 20000000 /dev/zero'), (error) => error.statusCode === 413);
    await assert.rejects(() => execute('true', '/no/such/dir'), sdk.DaytonaError);
    await assert.rejects(() => execute(''), sdk.DaytonaBadRequestError);
    assert.equal((await execute('pwd')).result.trim(), await sandbox.getWorkDir());
});

test('files go up and come down, byte by byte', options, async () => {
    const bytes = crypto.randomBytes(3 << 20), name = '/tmp/files/a "b" ü.bin';
    await sandbox.fs.uploadFile(bytes, name);
    await sandbox.fs.uploadFiles([{ source: Buffer.from('one'), destination: '/tmp/files/1' },
        { source: Buffer.alloc(0), destination: '/tmp/files/empty' }]);
    assert.ok((await sandbox.fs.downloadFile(name)).equals(bytes), 'the same bytes');
    assert.equal((await sandbox.fs.downloadFile('/tmp/files/empty').catch((error) => error.message.length > 0 && Buffer.alloc(0))).length, 0);
    const several = await sandbox.fs.downloadFiles([{ source: '/tmp/files/1' }, { source: '/tmp/nothing' }, { source: name }]);
    assert.equal(several[0].result.toString(), 'one');
    assert.match(several[1].error, /[Nn]o such file/);
    assert.ok(several[2].result.equals(bytes));
    await assert.rejects(() => sandbox.fs.downloadFile('/tmp/nothing'), sdk.DaytonaFileNotFoundError);
    const sum = await sandbox.process.executeCommand('cat /tmp/files/a* | sha256sum');
    assert.equal(sum.result.split(' ')[0], crypto.createHash('sha256').update(bytes).digest('hex'));
});

test('files are listed, described, moved, changed and removed', options, async () => {
    await sandbox.fs.createFolder('/tmp/dir/sub', '750');
    await sandbox.fs.uploadFile(Buffer.from('text'), '/tmp/dir/file');
    const listed = await sandbox.fs.listFiles('/tmp/dir');
    assert.deepEqual(listed.map(({ name, isDir, size }) => [name, isDir, isDir || size]).sort(), [['file', false, 4], ['sub', true, true]]);
    await sandbox.fs.setFilePermissions('/tmp/dir/file', { mode: '640' });
    await sandbox.fs.moveFiles('/tmp/dir/file', '/tmp/dir/sub/moved');
    const info = await sandbox.fs.getFileDetails('/tmp/dir/sub/moved');
    assert.deepEqual([info.name, info.size, info.isDir, info.mode, info.permissions, info.owner],
        ['moved', 4, false, '-rw-r-----', '0640', 'root']);
    assert.equal((await sandbox.fs.getFileDetails('/tmp/dir/sub')).permissions, '0750');
    await assert.rejects(() => sandbox.fs.deleteFile('/tmp/dir'), sdk.DaytonaError);
    await sandbox.fs.deleteFile('/tmp/dir', true);
    await assert.rejects(() => sandbox.fs.getFileDetails('/tmp/dir'), sdk.DaytonaNotFoundError);
    await assert.rejects(() => sandbox.fs.createFolder('/tmp/dir', '99'), sdk.DaytonaBadRequestError);
    await assert.rejects(() => sandbox.fs.listFiles('/tmp/dir'), sdk.DaytonaNotFoundError);
});

test('labels are replaced as a whole, and the name stays', options, async () => {
    assert.deepEqual(await sandbox.setLabels({ other: 'x' }), { other: 'x' });
    await sandbox.refreshData();
    assert.deepEqual(sandbox.labels, { other: 'x' });
    assert.equal((await daytona.get('first')).id, sandbox.id);
    assert.deepEqual(await sandbox.setLabels({ purpose: 'loop' }), { purpose: 'loop' });
});

test('stopped, the guest stands still; started, it goes on where it was', options, async () => {
    await sandbox.process.executeCommand('echo kept > /tmp/kept');
    await sandbox.stop();
    assert.equal(sandbox.state, 'stopped');
    await assert.rejects(() => computer.mouse.click(1, 1), sdk.DaytonaConflictError);
    await assert.rejects(() => sandbox.process.executeCommand('true'), sdk.DaytonaConflictError);
    await sandbox.stop();
    await sandbox.start();
    assert.equal(sandbox.state, 'started');
    await sandbox.start();
    assert.equal((await sandbox.process.executeCommand('cat /tmp/kept')).result, 'kept\n');
    const events = await receivedBy(() => computer.mouse.click(11, 12));
    assert.deepEqual(buttons(events), [['down', 1, 11, 12], ['up', 1, 11, 12]]);
});

test('the desktop has a preview link', options, async () => {
    const link = await sandbox.getPreviewLink(6080);
    const page = await fetch(link.url);
    assert.equal(page.status, 200);
});

test('what is wrong is told in their shape, and changes nothing', options, async () => {
    const fails = async (status, pattern, run) => {
        const events = await receivedBy(() => assert.rejects(run, (error) => {
            assert.ok(error instanceof sdk.DaytonaError, String(error));
            assert.equal(error.statusCode, status, error.message);
            assert.match(error.message, pattern);
            return true;
        }));
        assert.deepEqual(events.filter((e) => e.ev !== 'motion'), []);
    };
    await fails(404, /no such|not found|nobody/i, () => daytona.get('nobody'));
    await fails(400, /screen/, () => computer.mouse.click(probe.width, 0));
    await fails(400, /x/, () => computer.mouse.move(-1, 0));
    await fails(400, /x/, () => computer.mouse.move(1.5, 0));
    await fails(400, /button/, () => computer.mouse.click(1, 1, 'fourth'));
    await fails(400, /direction/, () => computer.mouse.scroll(1, 1, 'sideways'));
    await fails(400, /nonsense/, () => computer.keyboard.press('nonsense'));
    await fails(400, /nonsense/, () => computer.keyboard.hotkey('ctrl+nonsense'));
    await fails(400, /keys/, () => computer.keyboard.hotkey(''));
    await fails(422, /./, () => computer.keyboard.type('日本\u0001'));
    await fails(400, /width|region/, () => computer.screenshot.takeRegion({ x: 0, y: 0, width: 0, height: 5 }));
    await fails(400, /screen|region/, () => computer.screenshot.takeRegion({ x: 0, y: 0, width: 8000, height: 5 }));
    await fails(400, /format/, () => computer.screenshot.takeCompressed({ format: 'bmp' }));
    await fails(400, /quality/, () => computer.screenshot.takeCompressed({ quality: 101 }));
    await fails(501, /recording/, () => computer.recording.start('x'));
    await fails(501, /recording/, () => computer.recording.list());
    await fails(404, /process/, () => computer.getProcessStatus('nothing'));
    await fails(404, /image/, () => daytona.create({ snapshot: 'no-such-image' }));
    await fails(501, /networkAllowList/, () => daytona.create({ snapshot: 'probe', networkAllowList: '10.0.0.0/8' }));
    await fails(501, /buildInfo/, () => daytona.create({ image: sdk.Image.base('probe').runCommands('true') }));
    await fails(404, /path/, () => sandbox.git.status('/'));
    assert.ok(Array.isArray((await computer.display.getWindows()).windows));
    assert.deepEqual((await probe.held()).keys, []);
    const second = await daytona.create({ snapshot: 'probe', networkBlockAll: true });
    daemon.ids.add(second.id);
    await second.delete(60, true);
    await assert.rejects(() => daytona.get(second.id), sdk.DaytonaNotFoundError);
});

test('unknown fields are ignored and counted, keys are asked for', options, async () => {
    const counted = async () => Number(/deskfarm_http_ignored_fields_total (\d+)/.exec(
        (await client.call('GET', '/metrics')).body.toString())[1]);
    const base = `/daytona/toolbox/${sandbox.id}/computeruse`;
    const were = await counted();
    await client.call('POST', `${base}/mouse/move`, { body: { x: 3, y: 4, future: true, button: null } });
    assert.equal(await counted(), were + 2);
    const none = await client.send('POST', `${base}/mouse/move`, { body: { x: 3 } });
    assert.equal(none.status, 400);
    assert.deepEqual([none.json.statusCode, none.json.code, none.json.source], [400, 'missing_field', 'DAYTONA_DAEMON']);
    const { json: { key } } = await client.call('POST', '/v1/keys', { body: { name: 'viewer', role: 'viewer' } });
    const viewer = new sdk.Daytona({ apiKey: key, apiUrl: `${daemon.url}/daytona/api`, target: 'local' });
    await assert.rejects(() => viewer.get(sandbox.id), sdk.DaytonaNotFoundError);
    const stranger = new sdk.Daytona({ apiKey: 'wrong', apiUrl: `${daemon.url}/daytona/api`, target: 'local' });
    await assert.rejects(() => stranger.get(sandbox.id), sdk.DaytonaAuthenticationError);
    await assert.rejects(() => viewer.create({ snapshot: 'probe' }), sdk.DaytonaForbiddenError);
});
