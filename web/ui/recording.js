// A recording as a page reads it: its index, its actions, and blocks of its file by HTTP range.
//
// A block reaches from one place to begin at to the next, about a megabyte. It is all that is needed to show any frame
// in it. The last few blocks are kept.
import { get, send } from "/ui/api.js";
import { TYPES, u64 } from "/ui/screen.js";

const BLOCKS_KEPT = 6;
const ENTRY_HEAD = 16, ENTRY_TAIL = 4;
const SOLID = 4, VIDEO = 10;

/** @typedef {{time: number, offset: number, id: number, isExact: boolean, block: Block}} FrameRow captured, in µs */
/** @typedef {{segment: number, offset: number, end: number, first: number, last: number}} Block first, last: numbers of its frames */
/** @typedef {import("/ui/screen.js").RecordHead & {time: number}} Entry */
/** @typedef {{view: DataView, bytes: Uint8Array, entries: Entry[], frameAt: number[]}} Content frameAt: place of each FRAME in entries */

/** @param {number} type */
export const isPaint = (type) => type >= SOLID && type <= VIDEO;

/**
 * Splits a part of a recording's file into its entries. What is cut short at the end is left out.
 * @param {Uint8Array} bytes
 * @returns {Content}
 */
export function parseEntries(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** @type {Entry[]} */
  const entries = [];
  const frameAt = [];
  for (let at = 0; at + ENTRY_HEAD + ENTRY_TAIL <= bytes.length; ) {
    const size = view.getUint32(at + 12, true), end = at + ENTRY_HEAD + size + ENTRY_TAIL;
    if (end > bytes.length) break;
    const type = view.getUint8(at + 8);
    if (type === TYPES.FRAME) frameAt.push(entries.length);
    entries.push({
      time: u64(view, at), type, flags: view.getUint8(at + 9), number: view.getUint16(at + 10, true), at: at + ENTRY_HEAD, size,
    });
    at = end;
  }
  return { view, bytes, entries, frameAt };
}

export class Recording {
  /** @param {string} id */
  constructor(id) {
    this.id = id;
    /** @type {FrameRow[]} */
    this.frames = [];
    /** @type {Block[]} */
    this.blocks = [];
    /** @type {any[]} actions, events and marks, by time */
    this.notes = [];
    /** @type {any} */
    this.about = {};
    this.first = 0;
    this.last = 0;
    this.wall = 0;
    /** @type {any[]} */
    this.damage = [];
    this.end = { segment: 0, offset: -1 };
    /** @type {Map<Block, {end: number, content: Promise<Content>}>} */
    this.kept = new Map();
    this.bytesRead = 0;
  }

  get isRunning() {
    return this.about.state !== "ended";
  }

  /** Reads what is new since the last time. True when there was something. */
  async refresh() {
    const path = `/v1/recordings/${this.id}`;
    this.about = await get(path);
    const { segment, offset } = this.end;
    const index = await get(`${path}/index${segment ? `?segment=${segment}&offset=${Math.max(0, offset)}` : ""}`);
    if (!segment) {
      this.first = index.first_us;
      this.wall = index.wall_us;
    }
    this.last = Math.max(this.last, index.last_us);
    this.damage = index.damage;
    let isNew = false;
    for (const it of index.segments) isNew = this.addSegment(it) || isNew;
    if (isNew || this.notes.length === 0) {
      const { items } = await get(`${path}/actions`);
      this.notes = items.sort((/** @type {any} */ a, /** @type {any} */ b) => a.at_us - b.at_us);
    }
    return isNew;
  }

  /** @param {any} it */
  addSegment(it) {
    const begins = it.begins.map((/** @type {number[]} */ [offset, time]) => ({ offset, time }));
    let block = this.blocks.at(-1);
    if (block?.segment !== it.number) block = undefined;
    for (const [time, offset, id, flags] of it.frames) {
      while (begins.length > 0 && begins[0].offset < offset) {
        if (block) block.end = begins[0].offset;
        block = { segment: it.number, offset: begins[0].offset, end: it.bytes, first: this.frames.length, last: this.frames.length };
        this.blocks.push(block);
        begins.shift();
      }
      if (!block) continue; /* before any place to begin at */
      block.last = this.frames.length;
      this.frames.push({ time, offset, id, isExact: flags === 1, block });
      this.end = { segment: it.number, offset };
    }
    if (block) block.end = it.bytes;
    return it.frames.length > 0;
  }

  /** Number of the last frame captured at or before the time; the first one when all are later. @param {number} time */
  frameAt(time) {
    let low = 0, high = this.frames.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.frames[middle].time <= time) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  /** @param {number} id */
  frameOf(id) {
    const exact = this.frames.findIndex((frame) => frame.id === id && frame.isExact);
    return exact >= 0 ? exact : this.frames.findIndex((frame) => frame.id >= id);
  }

  /** @param {Block} block @returns {Promise<Content>} */
  content(block) {
    const kept = this.kept.get(block);
    this.kept.delete(block);
    const it = kept?.end === block.end ? kept : { end: block.end, content: this.read(block) };
    it.content.catch(() => this.kept.delete(block));
    this.kept.set(block, it);
    if (this.kept.size > BLOCKS_KEPT) this.kept.delete(/** @type {Block} */ (this.kept.keys().next().value));
    return it.content;
  }

  /** @param {Block} block */
  async read(block) {
    const response = await fetch(`/v1/recordings/${this.id}/stream?segment=${block.segment}`, {
      headers: { Range: `bytes=${block.offset}-${block.end - 1}` },
    });
    if (response.status !== 206) throw new Error(`The daemon answered ${response.status} for a part of the recording.`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    this.bytesRead += bytes.length;
    return parseEntries(bytes);
  }

  /** Address of a small picture of a moment. @param {number} time @param {number} width */
  thumbnail(time, width) {
    return `/v1/recordings/${this.id}/frame?time_us=${Math.round(time)}&width=${width}&format=jpeg&quality=70`;
  }

  /** @param {string} label */
  async mark(label) {
    return (await send("POST", `/v1/recordings/${this.id}/marks`, { label })).json();
  }
}

/** An action, event or mark in a few words. @param {any} note */
export function describe(note) {
  if (note.kind === "mark") return note.label;
  if (note.kind === "event") {
    const detail = note.text ?? note.command ?? note.argv?.join(" ") ?? note.name ?? note.children?.join(", ") ?? note.checkpoint ?? note.image ?? "";
    return `${String(note.event).replaceAll("_", " ")}${detail ? `: ${detail}` : ""}`;
  }
  const a = note.action ?? {};
  const place = note.native ? ` ${note.native.join(", ")}` : "";
  switch (a.type) {
    case "type": return a.redacted ? "type (secret)" : `type “${a.text}”`;
    case "key": return `key ${[a.keys].flat().join(" ")}`;
    case "scroll": return `scroll ${a.direction ?? `${a.dx ?? 0}, ${a.dy ?? 0}`}${place}`;
    case "click": return `${a.button && a.button !== "left" ? `${a.button} ` : ""}${a.count > 1 ? ["", "", "double ", "triple "][a.count] : ""}click${place}`;
    default: return `${a.type ?? note.type}${place}`;
  }
}
