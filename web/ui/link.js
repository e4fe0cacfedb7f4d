// One connection to a desktop's stream: gets a ticket, opens the WebSocket, hands frames to a Screen and everything
// else to its listener, acknowledges, and connects again by itself until it is closed.
import { Video, canDecodeVideo } from "/ui/video.js";
import { Screen, TYPES, readFrame, splitRecords, u64, decodeTrue, KEPT_TILES } from "/ui/screen.js";

const VERSION = 1;
const HELLO = 64, ACK = 65, KEY = 66, MOVE = 67, BUTTON = 68, WHEEL = 69, RELEASE = 70, PASTE = 71, RESIZE = 72, WISH = 73,
  PING = 74, REFRESH = 75, SHOW = 76, TEXT = 77;
const HELLO_VIDEO = 1, HELLO_CLIPBOARD = 2, HELLO_PICTURES = 4;
/* A lost connection is tried again this soon, so that a view is live within a second of a daemon that is back;
 * after PATIENCE_MS without any less often. */
const RETRY_MS = [50, 100, 200, 400];
const PATIENCE_MS = 120000;
const RETRY_LATER_MS = 2000;
const PING_MS = 2000;
/* A server that says nothing for so long, pings included, is gone: a laptop slept, a network changed. */
const SILENCE_MS = 7000;

/** @typedef {import("/ui/screen.js").Frame} Frame */
/**
 * @typedef {object} Listener
 * @property {(state: "connecting" | "open" | "lost" | "ended", why?: string) => void} [state]
 * @property {(screen: number) => void} [screen] 0 unknown, 1 off, 2 on
 * @property {(frame: Frame) => void} [frame] painted
 * @property {(width: number, height: number) => void} [size]
 * @property {(isControl: boolean, holder: number, name: string) => void} [role]
 * @property {(shape: ImageData | null, hotX: number, hotY: number) => void} [shape]
 * @property {(x: number, y: number, isVisible: boolean) => void} [cursor]
 * @property {(text: string) => void} [clipboard]
 * @property {(type: number, why: string) => void} [refused]
 * @property {(picture: Blob) => void} [picture]
 */

/** A record with this payload. @param {number} type @param {number} flags @param {(view: DataView) => void} [fill] @param {number} [size] */
function record(type, flags = 0, fill, size = 0) {
  const view = new DataView(new ArrayBuffer(8 + size));
  view.setUint8(0, type);
  view.setUint8(1, flags);
  view.setUint32(4, size, true);
  if (fill) fill(new DataView(view.buffer, 8));
  return view.buffer;
}

/** @param {DataView} view @param {number} at @param {number} value */
function setU64(view, at, value) {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 4294967296), true);
}

export class Link {
  /**
   * @param {() => Promise<string>} getUrl a WebSocket's address, good for one connection
   * @param {Screen | null} screen
   * @param {Listener} listener
   * @param {{pictures?: {width: number, height: number}, video?: boolean}} [options]
   */
  constructor(getUrl, screen, listener, options = {}) {
    this.getUrl = getUrl;
    this.screen = screen;
    this.listener = listener;
    this.options = options;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.isClosed = false;
    this.isShown = true;
    this.nTries = 0;
    this.lostAt = 0;
    this.heardAt = 0;
    this.askedAt = 0; /* when a ping was sent that nothing has followed */
    this.retryTimer = 0;
    /** @type {Promise<void>} messages that wait for a decoder */
    this.queue = Promise.resolve();
    this.nQueued = 0;
    this.nextInput = 1;
    /** @type {Map<number, number>} input id -> when it was sent, ms */
    this.sent = new Map();
    this.stats = { bytes: 0, frames: 0, rtt: NaN, latency: NaN, connects: 0 };
    if (screen) this.useVideo(screen);
    this.timer = setInterval(() => this.ping(), PING_MS);
    this.hurry = () => this.retryTimer && this.retryNow();
    window.addEventListener("online", this.hurry);
    document.addEventListener("visibilitychange", this.hurry);
    this.connect();
  }

  /** Video until it fails once: then a new connection without. @param {Screen} screen */
  useVideo(screen) {
    this.video = new Video(() => {
      this.options.video = false;
      this.socket?.close();
    });
    screen.decodeVideo = this.video.decode;
    screen.onVideoEnd = (region) => this.video?.close(region);
  }

  async connect() {
    this.listener.state?.("connecting");
    try {
      this.options.video ??= this.screen !== null && (await canDecodeVideo());
      const url = await this.getUrl();
      if (this.isClosed) return;
      this.open(new WebSocket(url, "deskfarm.stream.1"));
    } catch (error) {
      const status = /** @type {{status?: number}} */ (error).status;
      if (status === 404 || status === 410) {
        this.isClosed = true;
        this.listener.state?.("ended", /** @type {Error} */ (error).message);
      } else {
        this.retry(/** @type {Error} */ (error).message);
      }
    }
  }

  /** @param {string} why */
  retry(why) {
    if (this.isClosed) return;
    this.lostAt ||= performance.now();
    this.listener.state?.("lost", why);
    const isLong = performance.now() - this.lostAt > PATIENCE_MS;
    const ms = isLong ? RETRY_LATER_MS : RETRY_MS[Math.min(this.nTries++, RETRY_MS.length - 1)];
    this.retryTimer = window.setTimeout(() => this.retryNow(), ms);
  }

  retryNow() {
    clearTimeout(this.retryTimer);
    this.retryTimer = 0;
    this.connect();
  }

  /** @param {WebSocket} socket */
  open(socket) {
    this.socket = socket;
    this.askedAt = performance.now();
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.stats.connects++;
      this.screen?.reset();
      this.video?.closeAll();
      this.sent.clear();
      this.hello();
      if (this.screen) this.ping();
      if (!this.isShown) this.send(record(SHOW, 0));
    };
    socket.onmessage = (event) => this.receive(event.data, socket);
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.retry(event.reason || "The connection was lost.");
    };
  }

  hello() {
    const { pictures, video } = this.options;
    const flags = (video ? HELLO_VIDEO : 0) | HELLO_CLIPBOARD | (pictures ? HELLO_PICTURES : 0);
    this.send(record(HELLO, flags, (view) => {
      view.setUint16(0, VERSION, true);
      view.setUint16(2, pictures ? 0 : KEPT_TILES, true);
      view.setUint16(4, pictures?.width ?? 0, true);
      view.setUint16(6, pictures?.height ?? 0, true);
    }, 8));
  }

  close() {
    this.isClosed = true;
    clearInterval(this.timer);
    clearTimeout(this.retryTimer);
    window.removeEventListener("online", this.hurry);
    document.removeEventListener("visibilitychange", this.hurry);
    this.socket?.close();
    this.socket = null;
    this.video?.closeAll();
  }

  /** @param {ArrayBuffer} data */
  send(data) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(data);
  }

  /** Bytes that the browser has not sent yet. */
  get backlog() {
    return this.socket?.bufferedAmount ?? 0;
  }

  /** @param {ArrayBuffer} data @param {WebSocket} socket */
  receive(data, socket) {
    if (this.socket !== socket) return;
    this.heardAt = performance.now();
    this.stats.bytes += data.byteLength;
    if (this.nQueued === 0) {
      const later = this.apply(data, socket);
      if (later) this.enqueue(later);
    } else {
      this.enqueue(this.queue.then(() => this.apply(data, socket)));
    }
  }

  /** @param {Promise<void>} work */
  enqueue(work) {
    this.nQueued++;
    this.queue = work.catch((error) => this.fail(error)).then(() => {
      this.nQueued--;
    });
  }

  /** What cannot be painted is asked for again, all of it. @param {unknown} error */
  fail(error) {
    console.error("stream:", error);
    this.socket?.close();
  }

  /**
   * @param {ArrayBuffer} data
   * @param {WebSocket} socket
   * @returns {Promise<void> | undefined}
   */
  apply(data, socket) {
    const view = new DataView(data), bytes = new Uint8Array(data);
    try {
      const records = splitRecords(view);
      const at = records.findIndex((r) => r.type === TYPES.FRAME);
      for (const r of at < 0 ? records : records.slice(0, at)) this.take(view, bytes, r);
      if (at < 0) return undefined;
      const frame = readFrame(view, records[at]);
      const later = this.screen?.paintAll(view, bytes, records.slice(at + 1));
      if (later) return later.then(() => this.painted(frame, socket));
      this.painted(frame, socket);
    } catch (error) {
      this.fail(error);
    }
    return undefined;
  }

  /** @param {Frame} frame @param {WebSocket} socket */
  painted(frame, socket) {
    if (this.socket !== socket) return;
    this.nTries = this.lostAt = 0;
    this.stats.frames++;
    this.ack(frame.id);
    for (const [id, time] of this.sent) {
      if (id > frame.input) break;
      this.stats.latency = performance.now() - time;
      this.sent.delete(id);
    }
    this.listener.frame?.(frame);
  }

  /** @param {number} id */
  ack(id) {
    this.send(record(ACK, 0, (view) => setU64(view, 0, id), 8));
  }

  /** A record that is not a frame's. @param {DataView} view @param {Uint8Array} bytes @param {import("/ui/screen.js").RecordHead} r */
  take(view, bytes, r) {
    const text = (/** @type {number} */ skip) => new TextDecoder().decode(bytes.subarray(r.at + skip, r.at + r.size));
    switch (r.type) {
      case TYPES.WELCOME:
        this.listener.state?.("open");
        break;
      case TYPES.SCREEN:
        if (r.flags === 2 && this.screen?.resize(view, r.at))
          this.listener.size?.(this.screen.image.width, this.screen.image.height);
        this.listener.screen?.(r.flags);
        break;
      case TYPES.ROLE:
        this.listener.role?.(r.flags === 1, view.getUint8(r.at), text(1));
        break;
      case TYPES.CURSOR_SHAPE: this.takeShape(view, bytes, r); break;
      case TYPES.CURSOR:
        this.listener.cursor?.(view.getInt32(r.at, true), view.getInt32(r.at + 4, true), (r.flags & 1) !== 0);
        break;
      case TYPES.PONG:
        this.stats.rtt = performance.now() - u64(view, r.at) / 1000;
        break;
      case TYPES.CLIPBOARD: this.listener.clipboard?.(text(0)); break;
      case TYPES.REFUSED: this.listener.refused?.(r.flags, text(0)); break;
      case TYPES.PICTURE:
        this.nTries = this.lostAt = 0;
        this.ack(u64(view, r.at));
        this.listener.picture?.(new Blob([bytes.subarray(r.at + 24, r.at + r.size)], { type: "image/jpeg" }));
        break;
    }
  }

  /** @param {DataView} view @param {Uint8Array} bytes @param {import("/ui/screen.js").RecordHead} r */
  takeShape(view, bytes, r) {
    const at = (/** @type {number} */ i) => view.getUint16(r.at + 2 * i, true);
    if (r.size < 8 || at(0) === 0 || at(1) === 0) {
      this.listener.shape?.(null, 0, 0);
      return;
    }
    const image = new ImageData(at(0), at(1));
    decodeTrue(bytes, r.at + 8, new Uint32Array(image.data.buffer), at(0) * at(1));
    this.listener.shape?.(image, at(2), at(3));
  }

  // --- What the person does. Points are native pixels.

  /** @param {number} type @param {number} flags @param {number} size @param {(view: DataView) => void} [fill] */
  input(type, flags, size, fill) {
    const id = this.nextInput++;
    this.sent.set(id, performance.now());
    if (this.sent.size > 256) this.sent.delete(/** @type {number} */ (this.sent.keys().next().value));
    this.send(record(type, flags, (view) => {
      setU64(view, 0, id);
      fill?.(view);
    }, 8 + size));
    return id;
  }

  /** @param {number} code evdev @param {boolean} isDown */
  key(code, isDown) {
    return this.input(KEY, isDown ? 1 : 0, 2, (view) => view.setUint16(8, code, true));
  }

  /** @param {DataView} view @param {number} x @param {number} y */
  static setPoint(view, x, y) {
    view.setUint16(8, Math.max(0, Math.min(65535, x)), true);
    view.setUint16(10, Math.max(0, Math.min(65535, y)), true);
  }

  /** @param {number} x @param {number} y */
  move(x, y) {
    return this.input(MOVE, 0, 4, (view) => Link.setPoint(view, x, y));
  }

  /** @param {number} x @param {number} y @param {number} button @param {boolean} isDown */
  button(x, y, button, isDown) {
    return this.input(BUTTON, isDown ? 1 : 0, 5, (view) => {
      Link.setPoint(view, x, y);
      view.setUint8(12, button);
    });
  }

  /** @param {number} x @param {number} y @param {number} dx @param {number} dy in 1/120 notch */
  wheel(x, y, dx, dy) {
    const limit = (/** @type {number} */ v) => Math.max(-32768, Math.min(32767, Math.round(v)));
    return this.input(WHEEL, 0, 8, (view) => {
      Link.setPoint(view, x, y);
      view.setInt16(12, limit(dx), true);
      view.setInt16(14, limit(dy), true);
    });
  }

  release() {
    return this.input(RELEASE, 0, 0);
  }

  /** @param {string} text */
  type(text) {
    const bytes = new TextEncoder().encode(text).subarray(0, 4096);
    return this.input(TEXT, 0, bytes.length, (view) => new Uint8Array(view.buffer, 16).set(bytes));
  }

  /** @param {string} text */
  paste(text) {
    const bytes = new TextEncoder().encode(text);
    if (bytes.length < 1000000) this.send(record(PASTE, 0, (view) => new Uint8Array(view.buffer, 8).set(bytes), bytes.length));
  }

  /** @param {number} width @param {number} height */
  resize(width, height) {
    this.send(record(RESIZE, 0, (view) => {
      view.setUint16(0, width, true);
      view.setUint16(2, height, true);
    }, 4));
  }

  /** @param {0 | 1 | 2} wish give back, control, take over */
  wish(wish) {
    this.send(record(WISH, wish));
  }

  refresh() {
    this.send(record(REFRESH));
  }

  /** @param {boolean} isShown */
  show(isShown) {
    if (this.isShown === isShown) return;
    this.isShown = isShown;
    this.send(record(SHOW, isShown ? 1 : 0));
  }

  ping() {
    const socket = this.socket, now = performance.now();
    if (socket && this.heardAt < this.askedAt && now - this.askedAt > SILENCE_MS) {
      this.socket = null; /* its close event may take a minute */
      socket.close();
      this.retry("The server does not answer.");
      return;
    }
    if (this.heardAt >= this.askedAt) this.askedAt = now;
    this.send(record(PING, 0, (view) => setU64(view, 0, Math.floor(performance.now() * 1000)), 8));
  }
}
