/** Text, windows and marks on a real desktop: what Tesseract reads off it, and what its programs tell. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { Daemon, lacksImage } from './lib/daemon.mjs';
import { createDesktop } from './lib/templates.mjs';
import { decodePng } from './lib/png.mjs';

const hasTesseract = fs.existsSync('/usr/share/tesseract-ocr');
const skip = lacksImage('debian-xfce') || (!hasTesseract && 'tesseract-ocr is not installed');
const options = { skip, timeout: 300000 };
let daemon, client, id;

const post = async (name, body) => (await client.call('POST', `/v1/sandboxes/${id}/desktop/${name}`, { body, ms: 200000 })).json;
const act = (...actions) => post('actions', { actions, screenshot: false, settle: { first_ms: 3000, max_ms: 30000 } });
/** Where the text of a match is, as one word of lower case. */
const texts = ({ matches }) => matches.map(({ text }) => text);

const partsRead = async () => Number((await client.call('GET', '/metrics')).body.toString().match(/ocr_parts_total (\d+)/)[1]);

before(async () => {
    if (skip)
        return;
    daemon = await Daemon.start();
    client = daemon.client();
    id = (await createDesktop(client)).id;
    await post('wait', { for: 'up', max_ms: 240000 });
}, { timeout: 300000 });

after(() => daemon?.destroy(), { timeout: 60000 });

test('labels are read where they are', options, async () => {
    const { matches: [trash], frame } = await post('find', { text: 'trash' });
    assert.equal(trash.text, 'Trash');
    assert.ok(trash.x >= 45 && trash.x + trash.width <= 95 && trash.y >= 104 && trash.y + trash.height <= 126, JSON.stringify(trash));
    assert.ok(frame > 0);
    const all = await post('find', { region: { x: 0, y: 30, width: 200, height: 400 } });
    assert.deepEqual(texts(all), ['Trash', 'File System', 'Home']);
    assert.deepEqual(texts(await post('find', { text: 'filesystem' })), ['File System']);
    assert.deepEqual(texts(await post('find', { text: 'nowhere to be seen' })), []);
    /* By the point that is told, the thing itself is hit. */
    const { matches: [home] } = await post('find', { text: 'Home', space: 'norm1000' });
    assert.ok(home.point.x > 40 && home.point.x < 70 && home.point.y > 420 && home.point.y < 450, JSON.stringify(home));
});

test('what did not change is not read again', options, async () => {
    const region = { x: 0, y: 30, width: 200, height: 400 };
    await post('find', { region });
    const before = await partsRead();
    for (let i = 0; i < 20; i++)
        assert.equal((await post('find', { region })).matches.length, 3);
    assert.equal(await partsRead(), before);
    assert.ok(before > 0);
});

test('marks: a number for each thing, drawn and listed', options, async () => {
    const plain = decodePng((await client.shot(id, { cursor: false, settle: true })).body);
    const { marks, image, accessibility } = await post('marks', { screenshot: { cursor: false } });
    assert.deepEqual(marks.map(({ number }) => number), marks.map((_, i) => i + 1));
    const trash = marks.find((mark) => mark.text === 'Trash');
    assert.ok(trash, JSON.stringify(marks.map((m) => m.text ?? m.name)));
    assert.ok(marks.some((mark) => mark.source === 'accessibility' && mark.node), `controls are marked too: ${JSON.stringify(accessibility)}`);
    assert.match(accessibility.state, /^(complete|partial)$/);
    const picture = decodePng(Buffer.from(image.data, 'base64'));
    const edge = [trash.native.x, trash.native.y + (trash.native.height >> 1)];
    assert.notDeepEqual(picture.at(...edge), plain.at(...edge), 'a box is drawn around it');
    assert.deepEqual(picture.at(640, 500), plain.at(640, 500), 'and nothing elsewhere');
    assert.match(image.id, /^f\d+-1280x800$/);
    const only = await post('marks', { sources: ['text'], region: { x: 0, y: 30, width: 200, height: 150 } });
    assert.deepEqual(only.marks.map((m) => [m.source, m.text]), [['text', 'Trash']]);
    assert.equal(only.accessibility, undefined, 'it was not asked');
});

test('marks say when the guest\'s word is late or missing', options, async () => {
    const exec = (command) => client.call('POST', `/daytona/toolbox/${id}/process/execute`, { body: { command } });
    const asked = () => post('marks', { screenshot: { scale: 0.25 } });
    await exec('pkill -STOP -x deskfarm-deskto');
    try {
        const { accessibility: late, marks } = await asked();
        assert.equal(late.state, 'late', JSON.stringify(late));
        assert.ok(late.message && marks.every((mark) => mark.source === 'text'));
    } finally {
        await exec('pkill -CONT -x deskfarm-deskto');
    }
    const answers = await client.send('POST', `/v1/sandboxes/${id}/desktop/marks`, { body: { sources: ['accessibility'] }, ms: 60000 });
    assert.equal(answers.json.accessibility?.state ?? answers.status, 'complete', JSON.stringify(answers.json).slice(0, 300));
});

test('a text is waited for, and a window by its title', options, async () => {
    const window = post('wait', { for: 'window', text: 'TERMINAL', max_ms: 120000 });
    await act({ type: 'click', x: 568, y: 777 });
    const opened = await window;
    assert.equal(opened.result, 'found');
    assert.match(opened.found.window.title, /terminal/i);
    await post('wait', { for: 'settled', quiet_ms: 1000, max_ms: 60000 });
    const text = post('wait', { for: 'text', text: 'deskfarm reads 2468', max_ms: 120000 });
    await act({ type: 'type', text: 'clear; echo deskfarm reads $((1234 + 1234))\n' });
    const met = await text;
    assert.equal(met.result, 'found', JSON.stringify(met));
    const [match] = met.found.matches;
    const { x, y, width, height } = opened.found.window;
    assert.ok(match.x >= x && match.y >= y && match.x + match.width <= x + width && match.y + match.height <= y + height, JSON.stringify([match, opened.found.window]));
    const batch = await post('actions', { settle: false, screenshot: false, actions: [
        { type: 'type', text: 'clear\n' }, { type: 'wait_for', kind: 'text', text: 'deskfarm reads 2468', absent: true, max_ms: 60000 }] });
    assert.equal(batch.results[1].result, 'gone');
});
