/** The Unicode corpus, and the layouts that it is typed under. */
import fs from 'node:fs';
import { isFull } from './counts.mjs';

const { texts, layouts } = JSON.parse(fs.readFileSync(new URL('../../corpus/unicode.json', import.meta.url)));

/** Eight that differ most; with full counts all of them. */
const fewer = ['us', 'de', 'fr', 'ru', 'gr', 'tr', 'pl', 'jp'];

export const corpusTexts = texts;
export const corpusLayouts = isFull ? layouts : fewer;

/**
 * Every eighth text, so that each comes under one layout at least; with full counts all of them under those eight, and every
 * fourth under the others.
 */
export function corpusFor(layout) {
    const at = corpusLayouts.indexOf(layout), step = isFull ? 4 : 8;
    return isFull && fewer.includes(layout) ? texts : texts.filter((_, i) => i % step === at % step);
}

/** "de(nodeadkeys)" as setxkbmap has it. */
export function splitLayout(layout) {
    const [, name, variant = ''] = /^([^(]*)(?:\((.*)\))?$/.exec(layout);
    return { name, variant };
}
