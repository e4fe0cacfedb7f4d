/** The Unicode corpus, and the layouts that it is typed under. */
import fs from 'node:fs';
import { isFull } from './counts.mjs';

const { texts, layouts } = JSON.parse(fs.readFileSync(new URL('../../corpus/unicode.json', import.meta.url)));

/** Eight that differ most. */
const most = ['us', 'de', 'fr', 'ru', 'gr', 'tr', 'pl', 'jp'];

export const corpusTexts = texts;
export const corpusLayouts = isFull ? layouts : ['us', 'de', 'ru', 'jp'];

/** Every fourth text, so that each comes under one layout at least; with full counts all of them under the eight. */
export function corpusFor(layout) {
    const at = corpusLayouts.indexOf(layout);
    return isFull && most.includes(layout) ? texts : texts.filter((_, i) => i % 4 === at % 4);
}

/** "de(nodeadkeys)" as setxkbmap has it. */
export function splitLayout(layout) {
    const [, name, variant = ''] = /^([^(]*)(?:\((.*)\))?$/.exec(layout);
    return { name, variant };
}
