// Shows a recording on a canvas: any frame, in either direction. The decoder is the live view's own (screen.js).
//
// Painting is one chain of work: a new wish replaces the one that waits, and stops the one under way between frames.
import { Video, canDecodeVideo } from "/ui/video.js";
import { Screen, TYPES, decodeTrue } from "/ui/screen.js";
import { isPaint } from "/ui/recording.js";

const BEGIN = 128;

/** @typedef {import("/ui/recording.js").Recording} Recording */
/** @typedef {import("/ui/recording.js").Content} Content */
/** @typedef {import("/ui/recording.js").Block} Block */

export class Replayer {
  /**
   * @param {HTMLCanvasElement} canvas @param {HTMLCanvasElement} pointer @param {Recording} recording
   * @param {{frame?: (number: number) => void, size?: () => void, failed?: (why: string) => void}} listener
   */
  constructor(canvas, pointer, recording, listener) {
    this.recording = recording;
    this.listener = listener;
    this.pointer = pointer;
    this.screen = new Screen(canvas);
    /** Number of the frame that is shown; -1: none. */
    this.shown = -1;
    /** @type {Block | null} */
    this.block = null;
    this.next = 0; /* entry of the block to go on with */
    this.cursor = { x: 0, y: 0, isVisible: false, hotX: 0, hotY: 0, hasShape: false };
    /** @type {{time: number, x: number, y: number, kind: string, code: number, isDown: boolean}[]} a person's inputs in this block */
    this.inputs = [];
    this.wish = -1;
    /** @type {Promise<void> | null} */
    this.working = null;
    this.hasVideo = canDecodeVideo().then((can) => {
      if (!can) return;
      const video = new Video(() => {});
      this.screen.decodeVideo = video.decode;
      this.screen.onVideoEnd = (region) => video.close(region);
      this.video = video;
    });
  }

  /** Shows frame number n; resolves when it, or a later wish, is shown. @param {number} n */
  show(n) {
    this.wish = Math.max(0, Math.min(n, this.recording.frames.length - 1));
    this.working ??= this.work().finally(() => {
      this.working = null;
    });
    return this.working;
  }

  async work() {
    await this.hasVideo;
    while (this.wish >= 0 && this.shown !== this.wish) {
      try {
        await this.goTo(this.wish);
      } catch (error) {
        this.block = null;
        this.shown = -1;
        this.listener.failed?.(error instanceof Error ? error.message : String(error));
        return;
      }
    }
  }

  /** @param {number} n */
  async goTo(n) {
    const { block } = this.recording.frames[n];
    const content = await this.recording.content(block);
    if (this.wish !== n && this.recording.frames[this.wish]?.block !== block) return;
    if (this.block !== block || n <= this.shown) {
      this.block = block;
      this.next = 0;
      this.shown = -1;
      this.inputs = [];
    }
    let at = Math.max(this.shown + 1, block.first);
    while (at <= n && this.wish >= at) {
      await this.paintFrame(content, at - block.first);
      this.shown = at++;
    }
    this.listener.frame?.(this.shown);
  }

  /** Applies entries up to the end of the block's frame k. @param {Content} content @param {number} k */
  async paintFrame(content, k) {
    const { entries, frameAt, view, bytes } = content;
    if (k >= frameAt.length) throw new Error("The recording ends early here.");
    for (; this.next <= frameAt[k]; this.next++) this.take(content, entries[this.next]);
    const first = this.next;
    while (this.next < entries.length && isPaint(entries[this.next].type)) this.next++;
    await this.screen.paintAll(view, bytes, entries.slice(first, this.next));
    /* Where the pointer went after this frame belongs to it. */
    while (this.next < entries.length && !this.beginsFrame(entries[this.next].type)) this.take(content, entries[this.next++]);
  }

  /** @param {number} type */
  beginsFrame(type) {
    return type === TYPES.FRAME || type === TYPES.SCREEN || type === 11;
  }

  /** @param {Content} content @param {import("/ui/recording.js").Entry} r */
  take({ view, bytes }, r) {
    switch (r.type) {
      case TYPES.SCREEN:
        if (r.flags & BEGIN) {
          this.video?.closeAll();
          this.screen.regions.clear();
          this.screen.reset();
        }
        if ((r.flags & 127) === 2 && this.screen.resize(view, r.at)) this.listener.size?.();
        break;
      case 11: this.screen.paint(view, bytes, r); break;
      case TYPES.CURSOR_SHAPE: this.takeShape(view, bytes, r); break;
      case TYPES.CURSOR:
        Object.assign(this.cursor, { x: view.getInt32(r.at, true), y: view.getInt32(r.at + 4, true), isVisible: (r.flags & 1) !== 0 });
        break;
      case 66: this.inputs.push({ time: r.time, kind: "key", code: view.getUint16(r.at + 8, true), isDown: (r.flags & 1) === 1, x: 0, y: 0 }); break;
      case 67:
      case 68:
        this.inputs.push({
          time: r.time, kind: r.type === 67 ? "move" : "button", x: view.getUint16(r.at + 8, true), y: view.getUint16(r.at + 10, true),
          code: r.type === 68 ? view.getUint8(r.at + 12) : 0, isDown: (r.flags & 1) === 1,
        });
        break;
    }
  }

  /** @param {DataView} view @param {Uint8Array} bytes @param {import("/ui/screen.js").RecordHead} r */
  takeShape(view, bytes, r) {
    const at = (/** @type {number} */ i) => view.getUint16(r.at + 2 * i, true);
    this.cursor.hasShape = r.size >= 8 && at(0) > 0 && at(1) > 0;
    if (!this.cursor.hasShape) return;
    const image = new ImageData(at(0), at(1));
    decodeTrue(bytes, r.at + 8, new Uint32Array(image.data.buffer), at(0) * at(1));
    this.pointer.width = at(0);
    this.pointer.height = at(1);
    this.pointer.getContext("2d")?.putImageData(image, 0, 0);
    Object.assign(this.cursor, { hotX: at(2), hotY: at(3) });
  }
}
