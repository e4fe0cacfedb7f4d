/** The Unicode corpus, and the layouts that it is typed under. */
import fs from 'node:fs';
import { isFull } from './counts.mjs';

const { texts, layouts } = JSON.parse(fs.readFileSync(new URL('../../corpus/unicode.json', import.meta.url)));

/** Eight that differ most; with full counts all of them. */
const fewer = ['us', 'de', 'fr', 'ru', 'gr', 'tr', 'pl', 'jp'];

export const corpusTexts = texts;
export const corpusLayouts = isFull ? layouts : fewer;

/** Every fourth text, so that each comes under two layouts at least; with full counts those eight get all of them. */
export function corpusFor(layout) {
    const at = corpusLayouts.indexOf(layout);
    return isFull && fewer.includes(layout) ? texts : texts.filter((_, i) => i % 4 === at % 4);
}

/** "de(nodeadkeys)" as setxkbmap has it. */
export function splitLayout(layout) {
    const [, name, variant = ''] = /^([^(]*)(?:\((.*)\))?$/.exec(layout);
    return { name, variant };
}
