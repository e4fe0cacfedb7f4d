/**
 * What the guest's own desktop is asked: clipboard, windows, programs, accessible nodes, keyboard, and
 * text in any script. One debian-xfce guest for all of it.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { corpusFor, corpusLayouts, splitLayout } from './lib/corpus.mjs';
import { count, isFull } from './lib/counts.mjs';
import { Daemon, lacksImage } from './lib/daemon.mjs';
import { decodePng } from './lib/png.mjs';
import { createDesktop } from './lib/templates.mjs';
import { Shell } from './lib/shell.mjs';
import { eventually } from './lib/wait.mjs';
import { WebSocketClient, frame } from './lib/websocket.mjs';

const skip = lacksImage('debian-xfce');
const options = { skip, timeout: 300000 };
const WAIT = 60000; /* for a window, on a slow machine */
let daemon, client, sandbox, shell;

const call = (method, route, request = {}) =>
    client.call(method, `/v1/sandboxes/${sandbox.id}/desktop/${route}`, { ms: 150000, ...request }).then((answer) => answer.json);
const refused = async (method, route, request = {}) => {
    const { status, json } = await client.send(method, `/v1/sandboxes/${sandbox.id}/desktop/${route}`, { ms: 150000, ...request });
    return `${status} ${json?.code}`;
};
const find = async (body) => (await call('POST', 'a11y/find', { body: { within_ms: 30000, ...body } })).items;
const act = (...actions) => call('POST', 'actions', { body: { actions, screenshot: false, settle: { max_ms: 20000 } } });

/** Waits until one node fits. */
const findOne = (what, body) => eventually(what, async () => (await find(body))[0], { ms: WAIT, every: 500 });

/** Waits until the editor holds this text: what keys typed may be under way. */
async function holds(text, what) {
    let last;
    await eventually(what ?? 'the text', async () => (last = await read(area)) === text, { ms: 30000, every: 300 })
        .catch(() => assert.equal(last, text, what));
}

/** The text of the node, all of it. */
const read = async (node) => (await call('GET', `a11y/node/${node}`, { query: { text_max: '1000000' } })).node.text ?? '';

before(async () => {
    if (skip)
        return;
    daemon = await Daemon.start({ args: ['--no-recording=no'] });
    client = daemon.client();
    sandbox = await createDesktop(client);
    shell = await Shell.open(path.join(daemon.sandboxDir(sandbox.id), 'console.sock'));
}, { timeout: 300000 });

after(async () => {
    shell?.close();
    await daemon?.destroy();
}, { timeout: 60000 });

test('before the desktop is up it says so, and then it works', options, async () => {
    const early = await client.send('GET', `/v1/sandboxes/${sandbox.id}/desktop/windows`);
    if (early.status !== 200)
        assert.equal(early.json.code, 'not_ready', early.json.message);
    await call('POST', 'wait', { body: { for: 'up', max_ms: 240000 }, ms: 260000 });
    const { items } = await eventually('a list of windows', () => call('GET', 'windows'), { ms: WAIT, every: 500 });
    assert.deepEqual(items.map(({ type }) => type).sort(), ['desktop', 'dock', 'dock']);
});

const example = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../sdk/python/examples/scripted.py');

/* What the script writes, and where. */
const paragraph = 'The quick brown fox jumps over the lazy dog.\nСъешь ещё этих мягких французских булок.\n天地玄黃,宇宙洪荒。\n';

test('the scripted model opens the editor, writes three scripts and saves; the recording shows it', options, async () => {
    const { stdout } = await promisify(execFile)('python3', [example, '--sandbox', sandbox.id],
        { env: { ...process.env, DESKFARM_URL: daemon.url }, timeout: 240000 });
    assert.equal(stdout.trim(), 'saved as three scripts.txt');
    const file = await client.call('GET', `/v1/sandboxes/${sandbox.id}/proxy/44772/files/download`, { query: { path: '/home/user/three scripts.txt' } });
    assert.equal(file.body.toString(), paragraph);

    const { recording } = await client.get(sandbox.id);
    const { items } = (await client.call('GET', `/v1/recordings/${recording.id}/actions`)).json;
    const done = items.filter((item) => item.action);
    /* Return is pressed again when the dialog did not take it. */
    assert.match(done.map(({ action }) => action.type).join(' '), /^click type key key type( key){1,4} key screenshot$/);
    assert.deepEqual(done.map((item) => item.outcome), done.map(() => 'done'));
    assert.equal(done[1].action.text, paragraph);
    assert.equal(done[1].effect, 'confirmed');
    /* Every picture before and after an action is there again, exact. */
    const pixels = [];
    for (const frame of [...new Set(done.flatMap(({ before, after }) => [before, after]))]) {
        const answer = await client.call('GET', `/v1/recordings/${recording.id}/frame`, { query: { frame } });
        assert.equal(JSON.parse(answer.headers['x-deskfarm-result']).exact, true, `frame ${frame}`);
        pixels.push(decodePng(answer.body).data.toString('latin1'));
    }
    assert.ok(new Set(pixels).size >= 5, `${new Set(pixels).size} different pictures`);
});

test('the clipboard goes both ways, with emoji and a megabyte', options, async () => {
    const texts = ['', 'plain', 'Grüße, Привет, 世界, 👩‍👩‍👧 é\n\ttab', '😀ü1234567\n'.repeat(90000)];
    for (const text of texts) {
        assert.equal((await call('PUT', 'clipboard', { body: { text } })).size, Buffer.byteLength(text));
        const back = await call('GET', 'clipboard');
        assert.equal(back.type, 'text');
        assert.ok(back.text === text, 'as it was set');
        /* Another program reads it: the large one comes in pieces. */
        const { output } = await shell.run('DISPLAY=:0 xclip -o -selection clipboard | md5sum');
        const { createHash } = await import('node:crypto');
        assert.ok(output.includes(createHash('md5').update(text).digest('hex')), `${text.length} characters: ${output}`);
    }
});

test('what a program copied is read', options, async () => {
    await shell.run("head -c 300000 /dev/zero | tr '\\0' x > /tmp/large; printf 'ж😀' >> /tmp/large");
    await shell.run('DISPLAY=:0 xclip -i -selection clipboard /tmp/large < /dev/null; printf marked | DISPLAY=:0 xclip -i -selection primary');
    const { text } = await call('GET', 'clipboard');
    assert.ok(text === `${'x'.repeat(300000)}ж😀`, `${text?.length} characters`);
    assert.equal((await call('GET', 'clipboard', { query: { selection: 'primary' } })).text, 'marked');
    assert.equal((await call('GET', 'clipboard', { query: { type: 'image' } })).type, null, 'xclip gives text for everything');
});

const record = (type, flags, payload) => {
    const head = Buffer.alloc(8);
    head[0] = type;
    head[1] = flags;
    head.writeUInt32LE(payload.length, 4);
    return frame(2, Buffer.concat([head, payload]));
};

test('who controls the live view is told what is copied, and pastes', options, async () => {
    const socket = await WebSocketClient.open(daemon.port, `/v1/sandboxes/${sandbox.id}/desktop/stream?role=control`,
        { headers: { 'Sec-WebSocket-Protocol': 'deskfarm.stream.1' } });
    const clips = () => socket.messages.flatMap(({ data }) => {
        const texts = [];
        for (let at = 0; at + 8 <= data.length; at += 8 + data.readUInt32LE(at + 4))
            if (data[at] === 16)
                texts.push(data.toString('utf8', at + 8, at + 8 + data.readUInt32LE(at + 4)));
        return texts;
    });
    socket.socket.write(record(64, 2, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]))); /* HELLO with clipboard */
    socket.socket.write(record(73, 2, Buffer.alloc(0))); /* take over */
    /* Only what is copied from now on is told, and when that begins nobody says: copy until it is told. */
    let n = 0;
    await eventually('it is told', async () => {
        await shell.run(`printf 'Größe ${n++}' | DISPLAY=:0 xclip -i -selection clipboard`);
        return clips().length > 0;
    }, { ms: WAIT, every: 500 });
    assert.match(clips()[0], /^Größe \d+$/);
    socket.socket.write(record(71, 0, Buffer.from('pasted ✓')));
    await eventually('it is there', async () => (await call('GET', 'clipboard')).text === 'pasted ✓', { ms: WAIT, every: 200 });
    socket.socket.destroy();
});

test('an image goes through the clipboard', options, async () => {
    const shot = await client.shot(sandbox.id, { format: 'png' });
    await call('PUT', 'clipboard', { body: { image: shot.body.toString('base64') } });
    const { type, image } = await call('GET', 'clipboard', { query: { type: 'image' } });
    assert.equal(type, 'image');
    assert.ok(Buffer.from(image.data, 'base64').equals(shot.body));
    assert.equal((await call('GET', 'clipboard')).type, null, 'no text');
});

let editor, area; /* mousepad's window and text node */

test('a program is launched, and its window found', options, async () => {
    const { windows: [window] } = await call('POST', 'launch', { body: { entry: 'org.xfce.mousepad', wait_ms: WAIT } });
    assert.match(window.title, /Mousepad/);
    assert.equal(window.class, 'Mousepad');
    editor = window.id;
    await call('POST', `windows/${editor}/activate`, { body: { wait_ms: WAIT } });
    area = (await findOne('the text', { role: 'text', app: 'mousepad', states: ['editable'] })).id;
});

test('text and value are set and read through the tree', options, async () => {
    const text = 'Zeile eins: Grüße\n第二行 😀\n';
    const { done, node } = await call('POST', `a11y/node/${area}/value`, { body: { text } });
    assert.equal(done, true);
    assert.equal(node.text, text);
    await call('POST', `a11y/node/${area}/value`, { body: { text: '' } });
    assert.equal(await read(area), '');
});

const corpus = {
    German: 'Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. „Äh“ – 3 €?',
    Russian: 'Съешь ещё этих мягких французских булок, да выпей же чаю! ЁЖ №5 «да»',
    CJK: '天地玄黃宇宙洪荒日月盈昃辰宿列張 いろはにほへと 다람쥐 헌 쳇바퀴에 타고파',
    emoji: '😀👩‍👩‍👧🇩🇪👍🏽 e\u0301 n\u0303 ﷺ 𝔘𝔫𝔦 ← → ∀x∈ℝ',
    mixed: 'if (x < 3) { puts("Ωμέγα\\n"); } // שלום مرحبا नमस्ते\n\tZeile 2',
};

/* The others are in the corpus of all layouts too. */
const typed = Object.entries(corpus).filter(([name]) => isFull || name === 'CJK' || name === 'mixed');

for (const [name, text] of typed) {
    test(`typed text arrives in an editor: ${name}`, options, async () => {
        await call('POST', `a11y/node/${area}/value`, { body: { text: '' } });
        await call('POST', `a11y/node/${area}/focus`);
        const { results: [result] } = await act({ type: 'type', text });
        assert.deepEqual([result.characters, result.effect], [[...text].length, 'confirmed']);
        await holds(text);
    });
}

test('texts by both ways keep their order with other actions', options, async () => {
    await call('POST', `a11y/node/${area}/value`, { body: { text: '' } });
    await call('POST', `a11y/node/${area}/focus`);
    await act({ type: 'type', text: 'one ' }, { type: 'type', text: 'два ' }, { type: 'key', keys: 'BackSpace' },
        { type: 'type', text: ' 三', press_enter: true }, { type: 'type', text: 'four' }, { type: 'key', keys: 'Home' }, { type: 'type', text: '→' });
    await holds('one два 三\n→four');
});

test('a text by the clipboard: the program has taken it, and the clipboard is as it was', options, async () => {
    await call('POST', `a11y/node/${area}/value`, { body: { text: '' } });
    await call('POST', `a11y/node/${area}/focus`);
    const text = 'naïve Ж 漢字 🙂\tand\nmore';
    for (const kept of ['what was there', '']) {
        await call('PUT', 'clipboard', { body: { text: kept } });
        const { results: [result] } = await act({ type: 'type', text, route: 'clipboard', press_enter: true });
        assert.deepEqual([result.route, result.characters, result.confirmed, result.effect], ['clipboard', [...text].length, true, 'confirmed']);
        assert.equal((await call('GET', 'clipboard')).text, kept);
    }
    await holds(`${text}\n${text}\n`);
});

test('what the layout lacks by its number, where GTK takes it', options, async () => {
    await call('POST', `a11y/node/${area}/value`, { body: { text: '' } });
    await call('POST', `a11y/node/${area}/focus`);
    const { results: [result] } = await act({ type: 'type', text: 'one два ☺🙂', route: 'unicode' });
    assert.deepEqual([result.route, result.routes], ['unicode', { keys: 5, unicode: 5 }]);
    await holds('one два ☺🙂');
});

test('a long text in many scripts is typed exactly', options, async (t) => {
    await call('POST', `a11y/node/${area}/value`, { body: { text: '' } });
    await call('POST', `a11y/node/${area}/focus`);
    const text = Array.from({ length: count('helpedCharacters') }, (_, i) => String.fromCodePoint(0x4e00 + i * 37)).join('');
    const start = performance.now();
    await call('POST', 'actions', { body: { actions: [{ type: 'type', text }], screenshot: false, settle: false } });
    t.diagnostic(`${Math.round(1000 * text.length / (performance.now() - start))} different characters/s by the helper`);
    assert.equal(await read(area), text);
});

test('the layout of the guest follows, and text stays exact', options, async () => {
    try {
        for (const [body, text] of [[{ layout: 'de' }, 'zyZY äöüß ^°`´ @€~'], [{ layout: 'ru' }, 'Привет'], [{ layout: 'us', variant: 'intl' }, '"quoted" \'a\'']]) {
            assert.equal((await call('PUT', 'keyboard', { body: { ...body, apply: true } })).layout, body.layout);
            assert.equal((await call('GET', 'keyboard')).variant, body.variant ?? '');
            await call('POST', `a11y/node/${area}/value`, { body: { text: '' } });
            await call('POST', `a11y/node/${area}/focus`);
            await act({ type: 'type', text });
            await holds(text, JSON.stringify(body));
        }
        assert.equal(await refused('PUT', 'keyboard', { body: { layout: 'klingon', apply: true } }), '400 bad_value');
        assert.equal(await refused('PUT', 'keyboard', { body: { layout: 'us', variant: '$(reboot)', apply: true } }), '400 bad_value');
    } finally {
        await call('PUT', 'keyboard', { body: { layout: 'us', apply: true } });
    }
});

for (const layout of corpusLayouts)
    test(`the corpus in a GTK text field under ${layout}`, options, async () => {
        const { name, variant } = splitLayout(layout);
        await call('PUT', 'keyboard', { body: { layout: name, variant: variant || undefined, apply: true } });
        for (const { name: what, text } of corpusFor(layout)) {
            await call('POST', `a11y/node/${area}/value`, { body: { text: '' } });
            await call('POST', `a11y/node/${area}/focus`);
            const { results: [result] } = await act({ type: 'type', text });
            assert.equal(result.characters, [...text].length, what);
            await holds(text, what);
        }
    });

test('the layout that it had comes back', options, async () => {
    assert.equal((await call('PUT', 'keyboard', { body: { layout: 'us', apply: true } })).layout, 'us');
});

test('a menu is opened and an item of it invoked', options, async () => {
    const menu = await findOne('the menu', { role: 'menu', name: 'Help', app: 'mousepad' });
    assert.ok(menu.bounds.width > 0 && menu.bounds.y < 200, 'its place is on the screen');
    const about = await findOne('the item', { role: 'menu item', name: 'About', app: 'mousepad', hidden: true });
    await call('POST', `a11y/node/${about.id}/invoke`, { body: {} });
    const dialog = await findOne('the dialog', { role: 'dialog', app: 'mousepad' });
    assert.match(dialog.name, /About/);
    /* A window manager maps a window first and gives it the focus then. */
    const shown = await eventually('it has the focus', async () =>
        (await call('GET', 'windows')).items.find(({ title, active }) => /About/.test(title) && active));
    assert.equal(shown.type, 'dialog');
    assert.equal((await call('POST', `windows/${shown.id}/close`, { body: { wait_ms: WAIT } })).done, true);
    assert.equal((await find({ role: 'dialog', app: 'mousepad' })).length, 0, 'it shows no more');
});

let terminal;

test('a terminal takes every script too', options, async () => {
    const { windows } = await call('POST', 'launch', { body: { entry: 'xfce4-terminal', wait_ms: WAIT } });
    terminal = windows[0].id;
    await call('POST', `windows/${terminal}/activate`, { body: { wait_ms: WAIT } });
    await eventually('a prompt', async () => (await find({ role: 'terminal', app: 'terminal' }))[0]?.text?.includes('$'), { ms: WAIT, every: 500 });
    const text = typed.map(([, one]) => one).join(' ').replace(/[\n\t]/g, ' ');
    await act({ type: 'type', text: "cat > /tmp/typed <<'END'", press_enter: true }, { type: 'type', text, press_enter: true },
        { type: 'type', text: 'END', press_enter: true }, { type: 'type', text: 'touch /tmp/typed.done', press_enter: true });
    await eventually('the file', async () => (await shell.run('test -e /tmp/typed.done')).status === 0, { ms: WAIT, every: 500 });
    const { body } = await client.send('GET', `/v1/sandboxes/${sandbox.id}/proxy/44772/files/download?path=/tmp/typed`);
    assert.equal(body.toString(), `${text}\n`);
});

test('windows are raised, moved, minimized and maximized', options, async () => {
    const top = async () => (await call('GET', 'windows')).items.filter(({ type }) => type === 'normal').at(-1).id;
    for (const id of [editor, terminal, editor]) {
        assert.equal((await call('POST', `windows/${id}/activate`, { body: { wait_ms: 20000 } })).done, true);
        assert.equal(await top(), id);
    }
    const { done, window } = await call('POST', `windows/${editor}/place`, { body: { x: 200, y: 150, width: 500, height: 400, wait_ms: 20000 } });
    assert.deepEqual([done, window.x, window.y, window.width, window.height], [true, 200, 150, 500, 400]);
    for (const state of [{ maximized: true }, { maximized: false }, { minimized: true }, { minimized: false }, { fullscreen: true }, { fullscreen: false }])
        assert.equal((await call('POST', `windows/${editor}/state`, { body: { ...state, wait_ms: 20000 } })).done, true, JSON.stringify(state));
});

test('a window is closed, and then it is gone, and its nodes are stale', options, async () => {
    const inside = await findOne('the terminal', { role: 'terminal', app: 'terminal' });
    assert.equal((await call('POST', `windows/${terminal}/close`, { body: { wait_ms: 30000 } })).done, true);
    assert.equal(await refused('GET', `windows/${terminal}`), '404 not_found');
    assert.equal(await refused('POST', `windows/${terminal}/activate`, { body: {} }), '404 not_found');
    await eventually('a stale node', async () => await refused('GET', `a11y/node/${inside.id}`) === '404 not_found', { ms: WAIT, every: 500 });
});

test('bad requests are refused, and change nothing', options, async () => {
    const rows = [
        ['GET', 'windows/0x1', {}, '404 not_found'],
        ['GET', 'windows/root', {}, '404 not_found'],
        ['GET', 'a11y/node/nonsense', {}, '400 bad_value'],
        ['GET', 'a11y/node/0000.1-1', {}, '404 not_found'],
        ['GET', `a11y/node/${area.replace(/-.*/, '-999999')}`, {}, '404 not_found'],
        ['GET', 'a11y/tree', { query: { node: '../../etc' } }, '400 bad_value'],
        ['GET', 'a11y/tree', { query: { window: '0x1' } }, '404 not_found'],
        ['GET', 'a11y/tree', { query: { nodes: '1000000' } }, '400 bad_value'],
        ['POST', 'a11y/find', { body: { states: ['glowing'] } }, '400 bad_value'],
        ['POST', 'a11y/find', { body: { colour: 'red' } }, '400 unknown_field'],
        ['POST', `a11y/node/${area}/invoke`, { body: { action: 'explode' } }, '400 bad_value'],
        ['POST', `a11y/node/${area}/value`, { body: {} }, '400 bad_value'],
        ['POST', `a11y/node/${area}/value`, { body: { value: 3 } }, '400 bad_value'],
        ['PUT', 'clipboard', { body: {} }, '400 bad_value'],
        ['PUT', 'clipboard', { body: { text: 'a', image: 'b' } }, '400 bad_value'],
        ['PUT', 'clipboard', { body: { image: 'iVBORw0KGgo*' } }, '400 bad_value'],
        ['PUT', 'clipboard', { body: { image: Buffer.from('no image at all').toString('base64') } }, '400 bad_value'],
        ['PUT', 'clipboard', { body: { text: 'x'.repeat(5 << 20) } }, '400 bad_value'],
        ['POST', 'launch', { body: {} }, '400 bad_value'],
        ['POST', 'launch', { body: { argv: ['/nonexistent'] } }, '404 not_found'],
        ['POST', 'launch', { body: { argv: ['true'], cwd: '/nonexistent' } }, '404 not_found'],
        ['POST', 'launch', { body: { entry: '../../../etc/passwd' } }, '403 forbidden'],
        ['POST', 'actions', { body: { actions: [{ type: 'type', text: 'fine' }, { type: 'type', text: 'a\u0007b' }] } }, '422 untypable'],
    ];
    await call('POST', `windows/${editor}/activate`, { body: { wait_ms: WAIT } });
    await call('POST', `a11y/node/${area}/value`, { body: { text: 'as it was' } });
    for (const [method, route, request, expected] of rows)
        assert.equal(await refused(method, route, request), expected, `${method} ${route} ${JSON.stringify(request).slice(0, 80)}`);
    assert.equal(await read(area), 'as it was');
});

test('a caller that goes away ends the typing', options, async () => {
    await call('POST', `a11y/node/${area}/value`, { body: { text: '' } });
    await call('POST', `a11y/node/${area}/focus`);
    const gone = new AbortController();
    const typing = client.send('POST', `/v1/sandboxes/${sandbox.id}/desktop/actions`,
        { body: { actions: [{ type: 'type', text: 'д'.repeat(500), delay_ms: 100 }], screenshot: false }, signal: gone.signal });
    await eventually('some text', async () => (await read(area)).length > 2, { ms: WAIT });
    gone.abort();
    await typing.catch(() => {});
    /* The next batch waits for the end of the typing: nothing of it comes behind the first key. */
    await act({ type: 'key', keys: 'Return' }, { type: 'type', text: 'end' });
    const text = await eventually('the next batch', async () => {
        const now = await read(area);
        return now.endsWith('end') && now;
    }, { ms: WAIT });
    assert.match(text, /^д+\nend$/);
    assert.equal(await read(area), text, 'no more comes');
    assert.ok(text.length < 500);
});

test('the helper that dies is started again, and the guest goes on', options, async () => {
    await shell.run('systemctl kill --kill-whom=main -s KILL deskfarm-desktop');
    const { items } = await eventually('a new helper', () => call('GET', 'windows'), { ms: WAIT, every: 500 });
    assert.ok(items.some(({ id }) => id === editor));
    await eventually('its accessibility bus', () => call('GET', `a11y/node/${area}`), { ms: WAIT, every: 500 });
});

test('only the desktop\'s user may be the helper', options, async () => {
    const script = "import socket\ns=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET)\ns.connect('/run/deskfarm/desktop.sock')\nprint(len(s.recv(10)))";
    const { output } = await shell.run(`python3 -c "${script.replaceAll('\n', ';')}"`);
    assert.match(output, /^0$/m, 'root is let go at once');
    assert.notEqual((await shell.run('sudo -u nobody python3 -c "import socket;s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET);s.connect(\'/run/deskfarm/desktop.sock\')"')).status, 0);
    await call('GET', 'windows');
});

test('a URL is opened in a browser, which takes every script', options, async (t) => {
    const page = '<meta charset=utf-8><title>Seite</title><textarea autofocus rows=20 cols=100 oninput="document.title=this.value"></textarea>';
    await shell.run(`echo ${Buffer.from(page).toString('base64')} | base64 -d > /tmp/page.html`);
    await call('POST', 'open', { body: { url: 'file:///tmp/page.html', wait_ms: 120000 } });
    const titled = (text) => eventually(`the title ${text}`, async () => (await call('GET', 'windows')).items.find(({ title }) => title.startsWith(text)), { ms: 120000, every: 1000 });
    const browser = await titled('Seite');
    assert.match(browser.class, /chrom/i);
    await call('POST', `windows/${browser.id}/activate`, { body: { wait_ms: WAIT } });
    const { x, y, width, height } = browser.content;
    /* Chromium drops what comes before its first picture of a page. */
    await eventually('the page takes keys', async () => {
        await act({ type: 'click', x: x + Math.round(width / 4), y: y + Math.round(height / 3) }, { type: 'type', text: 'x' },
            { type: 'wait_for', quiet_ms: 1000, max_ms: 20000 });
        return (await call('GET', 'windows')).items.some(({ title }) => title.startsWith('x'));
    }, { ms: 120000, every: 1000 });
    await act({ type: 'key', keys: 'ctrl+a' }, { type: 'type', text: 'Grüße Привет 世界 😀' });
    await titled('Grüße Привет 世界 😀');
    t.diagnostic(`browser: ${browser.title}`);
});
