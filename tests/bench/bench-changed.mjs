// What is saved by sending only what changed: node bench-changed.mjs (DESKFARM_BUILD names the build).
//
// A task of 50 steps on debian-xfce: an editor is opened, written into, searched and saved, a terminal is used, windows are
// switched, and a model looks twice now and then, as models do. The run is recorded. After each step the screen is
// taken in four ways, from the same frame:
//
//   whole        every screenshot whole
//   unchanged    if_changed_since: no picture when nothing changed
//   crop         the same, and only the part that holds the changes
//
// Bytes are those of the picture as it is sent (not in base64). Tokens: width * height / 750 per picture, Anthropic's rule
// for its older models; and 85 + 170 per tile of 512 pixels, OpenAI's for theirs (both for a picture of this size unscaled).
// Load does not change the figures, except through what the desktop paints by itself.
import { lacksImage } from '../integration/lib/daemon.mjs';
import { createDesktop } from '../integration/lib/templates.mjs';
import { printMachine, printTable, runWithDaemon } from './report.mjs';

const type = (text) => ({ type: 'type', text });
const key = (keys) => ({ type: 'key', keys });
const click = (x, y) => ({ type: 'click', x, y });
const look = { type: 'wait', duration_ms: 10 };
const paragraphs = ['The quick brown fox jumps over the lazy dog.\n', 'Pack my box with five dozen liquor jugs.\n', 'How vexingly quick daft zebras jump.\n'];

/** Fifty steps, one or two actions each. */
const steps = [
    [look], [click(760, 777)], [look], ...paragraphs.map((text) => [type(text)]), [look], [key('ctrl+Home')], [key('ctrl+f')], [type('zebras')],
    [key('Return')], [key('Escape')], [look], [key('ctrl+End')], ...paragraphs.map((text) => [type(text)]), [key('ctrl+s')], [look], [type('notes.txt')],
    [key('Return')], [look], [click(568, 777)], [look], [type('ls -l\n')], [type('cat notes.txt\n')], [look], [type('wc notes.txt\n')], [key('alt+Tab')],
    [look], [key('ctrl+Home')], [key('shift+ctrl+Right'), key('ctrl+b')], [key('End')], [type(' Really.')], [key('ctrl+s')], [look], [key('alt+Tab')],
    [type('date\n')], [type('clear\n')], [look], [type('seq 20\n')], [key('ctrl+l')], [look], [click(70, 115)], [key('alt+Tab')], [key('F10')],
    [key('Escape')], [look], [type('exit\n')], [look],
];

const anthropic = ({ width, height }) => Math.ceil(width * height / 750);
const openai = ({ width, height }) => 85 + 170 * Math.ceil(width / 512) * Math.ceil(height / 512);

class Way {
    constructor(name) {
        Object.assign(this, { name, pictures: 0, bytes: 0, anthropic: 0, openai: 0 });
    }

    add(image, bytes) {
        this.pictures++;
        this.bytes += bytes;
        this.anthropic += anthropic(image);
        this.openai += openai(image);
    }
}

await runWithDaemon(lacksImage('debian-xfce'), async (daemon) => {
    const client = daemon.client();
    await printMachine(client);
    const { id } = await createDesktop(client, { recording: true });
    const path = `/v1/sandboxes/${id}/desktop`;
    await client.call('POST', `${path}/wait`, { body: { for: 'up', max_ms: 300000 }, ms: 310000 });
    for (const format of ['png', 'jpeg']) {
        const ways = { whole: new Way('every screenshot whole'), unchanged: new Way('if_changed_since'), crop: new Way('if_changed_since and crop') };
        let frame = 0;
        for (const actions of steps) {
            await client.call('POST', `${path}/actions`, { body: { actions, screenshot: false, settle: { first_ms: 1500, max_ms: 20000 } }, ms: 60000 });
            const shot = (query) => client.call('GET', `${path}/screenshot`, { query: { format, ...query }, headers: { accept: `image/${format}` } })
                .then((answer) => ({ ...JSON.parse(answer.headers['x-deskfarm-result']), bytes: answer.body?.length ?? 0 }));
            const whole = await shot({});
            ways.whole.add(whole.image, whole.bytes);
            if (frame) {
                for (const [way, query] of [[ways.unchanged, {}], [ways.crop, { crop: true }]]) {
                    const { changed, image, bytes } = await shot({ if_changed_since: frame, ...query });
                    if (changed)
                        way.add(image, bytes);
                }
            } else {
                ways.unchanged.add(whole.image, whole.bytes);
                ways.crop.add(whole.image, whole.bytes);
            }
            frame = whole.image.frame;
        }
        const saved = (way, what) => (way === ways.whole ? '' : ` (-${(100 * (1 - way[what] / ways.whole[what])).toFixed(0)} %)`);
        printTable([`${steps.length} steps, ${format}`, 'pictures', 'bytes', 'tokens, Anthropic', 'tokens, OpenAI'], Object.values(ways).map((way) =>
            [way.name, way.pictures, ...['bytes', 'anthropic', 'openai'].map((what) => `${way[what]}${saved(way, what)}`)]));
    }
    const { items } = (await client.call('GET', '/v1/recordings', { query: { sandbox: id } })).json;
    console.log(`\nRecorded: ${items[0].id}, ${items[0].actions ?? '?'} actions.`);
});
