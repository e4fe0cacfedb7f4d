// The picture of a stream (docs/stream.md): decodes tiles into memory and paints what changed onto a canvas.
//
// Memory holds every exact pixel, so a copy or a kept tile costs no read from the canvas. JPEG and video are
// painted on the canvas only; the server never moves such pixels. A frame without them is painted at once,
// within the message's own event: nothing is queued or delayed to the next display refresh.

const TILE = 64;
const SCREEN = 2, FRAME = 3, SOLID = 4, PALETTE = 5, TRUE = 6, KEPT = 7, JPEG = 8, COPY = 9, VIDEO = 10, VIDEO_END = 11;
export const KEPT_TILES = 1024;

/** @typedef {{id: number, epoch: number, captured: number, input: number, isExact: boolean}} Frame */
/** @typedef {{type: number, flags: number, number: number, at: number, size: number}} RecordHead */
/** @typedef {{x: number, y: number, w: number, h: number}} Rect */
/** @typedef {(region: number, flags: number, rect: Rect, unit: Uint8Array) => Promise<CanvasImageSource & {close?: () => void} | null>} VideoDecoderFn */

/** @param {DataView} view @param {number} at */
export const u64 = (view, at) => view.getUint32(at, true) + view.getUint32(at + 4, true) * 4294967296;

const scratch = new Uint32Array(TILE * TILE);
const colours = new Uint32Array(256);
const seen = new Uint32Array(64);

/**
 * Decodes a PALETTE tile of w x h pixels into scratch.
 * @param {Uint8Array} data @param {number} at @param {boolean} isGrey @param {number} w @param {number} h
 */
function decodePalette(data, at, isGrey, w, h) {
  const n = data[at++] + 1, end = w * h;
  for (let i = 0; i < n; i++) {
    const r = data[at++], g = isGrey ? r : data[at++], b = isGrey ? r : data[at++];
    colours[i] = (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
  }
  let bits = 1;
  while (1 << bits < n) bits++;
  const mask = (1 << bits) - 1;
  for (let i = 0; i < end; ) {
    const op = data[at++];
    let length = (op & 63) + 1;
    if ((op & 63) === 63) {
      let more;
      do length += more = data[at++];
      while (more === 255);
    }
    const stop = i + length;
    if (stop > end || !(length > 0)) throw new Error("a tile is too long");
    if (op < 64) {
      for (; i < stop; i++) scratch[i] = scratch[i - w];
    } else if (op < 128) {
      scratch.fill(scratch[i - 1], i, stop);
      i = stop;
    } else {
      for (let held = 0, count = 0; i < stop; i++) {
        if (count < bits) {
          held |= data[at++] << count;
          count += 8;
        }
        scratch[i] = colours[held & mask];
        held >>= bits;
        count -= bits;
      }
    }
  }
}

/**
 * Decodes n pixels of QOI operations into out, as bytes red, green, blue, alpha.
 * @param {Uint8Array} data @param {number} at @param {Uint32Array} out @param {number} n
 */
export function decodeTrue(data, at, out, n) {
  let r = 0, g = 0, b = 0, a = 255;
  seen.fill(0);
  for (let i = 0; i < n; i++) {
    const op = data[at++];
    let run = 0;
    if (op >= 254) {
      r = data[at++];
      g = data[at++];
      b = data[at++];
      if (op === 255) a = data[at++];
    } else if (op < 64) {
      const c = seen[op];
      r = c & 255;
      g = (c >> 8) & 255;
      b = (c >> 16) & 255;
      a = c >>> 24;
    } else if (op < 128) {
      r = (r + ((op >> 4) & 3) - 2) & 255;
      g = (g + ((op >> 2) & 3) - 2) & 255;
      b = (b + (op & 3) - 2) & 255;
    } else if (op < 192) {
      const dg = (op & 63) - 32, more = data[at++];
      r = (r + dg + (more >> 4) - 8) & 255;
      g = (g + dg) & 255;
      b = (b + dg + (more & 15) - 8) & 255;
    } else {
      run = op & 63;
    }
    const c = ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;
    seen[(r * 3 + g * 5 + b * 7 + a * 11) & 63] = c;
    out[i] = c;
    for (; run > 0 && i + 1 < n; run--) out[++i] = c;
  }
}

export class Screen {
  /** @param {HTMLCanvasElement} canvas @param {VideoDecoderFn} [decodeVideo] */
  constructor(canvas, decodeVideo) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
    this.decodeVideo = decodeVideo;
    this.epoch = 0;
    this.columns = 0;
    this.image = new ImageData(1, 1);
    this.pixels = new Uint32Array(this.image.data.buffer);
    /** @type {Map<bigint, Uint32Array>} oldest first */
    this.kept = new Map();
    /** @type {Uint8Array} which tiles of memory the canvas does not show yet */
    this.isDirty = new Uint8Array(1);
    /** @type {Map<number, Rect>} video regions */
    this.regions = new Map();
    /** @type {(region: number) => void} */
    this.onVideoEnd = () => {};
  }

  /** A connection begins: the store is empty. */
  reset() {
    this.kept.clear();
    this.epoch = 0;
  }

  /** @param {DataView} view @param {number} at */
  resize(view, at) {
    const epoch = u64(view, at), width = view.getUint16(at + 8, true), height = view.getUint16(at + 10, true);
    if (epoch === this.epoch) return false;
    this.epoch = epoch;
    /* After a reconnection the old picture stays until it is painted over: no black flash. */
    if (width !== this.image.width || height !== this.image.height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.columns = Math.ceil(width / TILE);
      this.image = new ImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer).fill(0xff000000);
      this.isDirty = new Uint8Array(this.columns * Math.ceil(height / TILE));
    }
    for (const region of this.regions.keys()) this.onVideoEnd(region);
    this.regions.clear();
    return true;
  }

  /** @param {number} tile @returns {Rect} */
  rectOf(tile) {
    const x = (tile % this.columns) * TILE, y = Math.floor(tile / this.columns) * TILE;
    return { x, y, w: Math.min(TILE, this.image.width - x), h: Math.min(TILE, this.image.height - y) };
  }

  /** Puts a tile's pixels into memory. @param {number} tile @param {Uint32Array} from @param {Rect} r */
  blit(tile, from, r) {
    const { pixels } = this, stride = this.image.width;
    for (let y = 0, i = 0, to = r.y * stride + r.x; y < r.h; y++, to += stride)
      for (let x = 0; x < r.w; x++) pixels[to + x] = from[i++];
    this.isDirty[tile] = 1;
  }

  /** Makes the tile in scratch the store's newest. @param {bigint} hash @param {number} n */
  keep(hash, n) {
    let tile = this.kept.get(hash);
    if (tile) {
      this.kept.delete(hash);
    } else if (this.kept.size >= KEPT_TILES) {
      const oldest = /** @type {bigint} */ (this.kept.keys().next().value);
      const spare = /** @type {Uint32Array} */ (this.kept.get(oldest));
      if (spare.length === n) tile = spare;
      this.kept.delete(oldest);
    }
    tile ??= new Uint32Array(n);
    tile.set(n === scratch.length ? scratch : scratch.subarray(0, n));
    this.kept.set(hash, tile);
  }

  /** @param {DataView} view @param {RecordHead} r */
  paintKept(view, r) {
    const hash = view.getBigUint64(r.at, true), tile = this.kept.get(hash);
    if (!tile) throw new Error("the server names a tile that is gone");
    this.kept.delete(hash);
    this.kept.set(hash, tile);
    this.blit(r.number, tile, this.rectOf(r.number));
  }

  /** @param {DataView} view @param {Uint8Array} bytes @param {RecordHead} r */
  paintCode(view, bytes, r) {
    const rect = this.rectOf(r.number);
    if (r.type === PALETTE) decodePalette(bytes, r.at + 8, (r.flags & 1) !== 0, rect.w, rect.h);
    else decodeTrue(bytes, r.at + 8, scratch, rect.w * rect.h);
    this.keep(view.getBigUint64(r.at, true), rect.w * rect.h);
    this.blit(r.number, scratch, rect);
  }

  /** @param {DataView} view @param {RecordHead} r */
  paintSolid(view, r) {
    const rgb = view.getUint32(r.at, true), stride = this.image.width;
    const colour = (0xff000000 | ((rgb & 255) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
    for (let tile = r.number; tile <= r.number + r.flags; tile++) {
      const { x, y, w, h } = this.rectOf(tile);
      for (let row = y; row < y + h; row++) this.pixels.fill(colour, row * stride + x, row * stride + x + w);
      this.isDirty[tile] = 1;
    }
  }

  /** @param {DataView} view @param {RecordHead} r */
  paintCopy(view, r) {
    const at = (/** @type {number} */ i) => view.getUint16(r.at + 2 * i, true);
    const sx = at(0), sy = at(1), x = at(2), y = at(3), w = at(4), h = at(5), stride = this.image.width;
    const down = y > sy;
    for (let i = 0; i < h; i++) {
      const row = down ? h - 1 - i : i, from = (sy + row) * stride + sx;
      this.pixels.copyWithin((y + row) * stride + x, from, from + w);
    }
    for (let ty = Math.floor(y / TILE); ty <= Math.floor((y + h - 1) / TILE); ty++)
      for (let tx = Math.floor(x / TILE); tx <= Math.floor((x + w - 1) / TILE); tx++)
        this.isDirty[ty * this.columns + tx] = 1;
  }

  /** Brings the dirty tiles onto the canvas, neighbours in one call. */
  flush() {
    const { isDirty, columns, context, image } = this;
    for (let tile = 0; tile < isDirty.length; ) {
      if (!isDirty[tile]) {
        tile++;
        continue;
      }
      const first = tile, rowEnd = (Math.floor(tile / columns) + 1) * columns;
      while (tile < rowEnd && isDirty[tile]) isDirty[tile++] = 0;
      const { x, y, h } = this.rectOf(first), last = this.rectOf(tile - 1);
      context.putImageData(image, 0, 0, x, y, last.x + last.w - x, h);
    }
  }

  /** @param {Uint8Array} bytes @param {RecordHead} r */
  async drawJpeg(bytes, r) {
    const { x, y } = this.rectOf(r.number);
    const bitmap = await createImageBitmap(new Blob([bytes.subarray(r.at + 4, r.at + r.size)], { type: "image/jpeg" }));
    return () => {
      this.context.drawImage(bitmap, x, y);
      bitmap.close();
    };
  }

  /** @param {DataView} view @param {Uint8Array} bytes @param {RecordHead} r */
  async drawVideo(view, bytes, r) {
    const at = (/** @type {number} */ i) => view.getUint16(r.at + 2 * i, true);
    const rect = { x: at(0), y: at(1), w: at(2), h: at(3) };
    this.regions.set(r.number, rect);
    const picture = await this.decodeVideo?.(r.number, r.flags, rect, bytes.subarray(r.at + 12, r.at + r.size));
    return () => {
      if (!picture) return;
      this.context.drawImage(picture, 0, 0, rect.w, rect.h, rect.x, rect.y, rect.w, rect.h);
      picture.close?.();
    };
  }

  /**
   * Paints one record; a promise when it must be decoded elsewhere first.
   * @param {DataView} view @param {Uint8Array} bytes @param {RecordHead} r
   * @returns {Promise<() => void> | undefined}
   */
  paint(view, bytes, r) {
    switch (r.type) {
      case SOLID: this.paintSolid(view, r); break;
      case PALETTE:
      case TRUE: this.paintCode(view, bytes, r); break;
      case KEPT: this.paintKept(view, r); break;
      case COPY: this.paintCopy(view, r); break;
      case JPEG: return this.drawJpeg(bytes, r);
      case VIDEO: return this.drawVideo(view, bytes, r);
      case VIDEO_END:
        this.regions.delete(r.number);
        this.onVideoEnd(r.number);
        break;
    }
    return undefined;
  }

  /**
   * Paints the records of a frame. Nothing is awaited when all of it is exact tiles.
   * @param {DataView} view @param {Uint8Array} bytes @param {RecordHead[]} records
   * @returns {Promise<void> | undefined}
   */
  paintAll(view, bytes, records) {
    /** @type {Promise<() => void>[]} */
    const pending = [];
    for (const r of records) {
      const later = this.paint(view, bytes, r);
      if (later) pending.push(later);
    }
    if (pending.length === 0) return this.flush();
    return Promise.all(pending).then((draws) => {
      for (const draw of draws) draw();
      this.flush();
    });
  }
}

/** @param {DataView} view @returns {RecordHead[]} */
export function splitRecords(view) {
  const records = [];
  for (let at = 0; at < view.byteLength; ) {
    if (at + 8 > view.byteLength) throw new Error("a record is cut short");
    const size = view.getUint32(at + 4, true);
    if (at + 8 + size > view.byteLength) throw new Error("a record is cut short");
    records.push({
      type: view.getUint8(at), flags: view.getUint8(at + 1), number: view.getUint16(at + 2, true), at: at + 8, size,
    });
    at += 8 + size;
  }
  return records;
}

/** @param {DataView} view @param {RecordHead} r @returns {Frame} */
export function readFrame(view, r) {
  return {
    id: u64(view, r.at), epoch: u64(view, r.at + 8), captured: u64(view, r.at + 16), input: u64(view, r.at + 24),
    isExact: (r.flags & 1) !== 0,
  };
}

export const TYPES = { WELCOME: 1, SCREEN, FRAME, CURSOR_SHAPE: 12, CURSOR: 13, ROLE: 14, PONG: 15, CLIPBOARD: 16, PICTURE: 17, REFUSED: 18 };
