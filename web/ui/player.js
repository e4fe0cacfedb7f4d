// Hands on a desktop: mouse, wheel, touch and keyboard of this page become inputs of the stream.
import { evdevCodes } from "/ui/keys.js";

/** @typedef {import("/ui/link.js").Link} Link */

const NOTCH = 120;
const PIXELS_PER_NOTCH = 100;
const LINES_PER_NOTCH = 3;
const BACKLOG_MAX = 2048; /* bytes not yet sent: moves wait meanwhile, only the last one counts */
const LONG_PRESS_MS = 550;
const TOUCH_SLOP = 12;

export class Hands {
  /** @param {HTMLCanvasElement} canvas @param {Link} link @param {() => void} leave the person wants their keys back */
  constructor(canvas, link, leave) {
    this.canvas = canvas;
    this.link = link;
    this.leave = leave;
    this.isLeaving = false;
    this.isControl = false;
    this.held = new Set();
    this.buttons = new Set();
    this.last = { x: 0, y: 0 };
    /** @type {{x: number, y: number} | null} */
    this.waiting = null;
    /** @type {Map<number, {x: number, y: number}>} */
    this.touches = new Map();
    this.pasteTimer = 0;
    const on = (/** @type {string} */ type, /** @type {(event: any) => void} */ handler, options = {}) =>
      canvas.addEventListener(type, (event) => this.isControl && handler(event), options);
    on("pointermove", (event) => this.pointerMove(event));
    on("pointerdown", (event) => this.pointerDown(event));
    on("pointerup", (event) => this.pointerUp(event));
    on("pointercancel", () => this.release());
    on("contextmenu", (event) => event.preventDefault());
    on("wheel", (event) => this.wheel(event), { passive: false });
    on("keydown", (event) => this.keyDown(event));
    on("keyup", (event) => this.keyUp(event));
    canvas.addEventListener("blur", () => this.release());
    window.addEventListener("blur", () => this.release());
    document.addEventListener("paste", (event) => this.paste(event));
  }

  /** @param {boolean} isControl */
  setControl(isControl) {
    this.isControl = isControl;
    this.held.clear();
    this.buttons.clear();
    this.touches.clear();
    if (isControl) this.canvas.focus({ preventScroll: true });
  }

  /** Native pixels under a point of the page. @param {{clientX: number, clientY: number}} event */
  pointOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const limit = (/** @type {number} */ v, /** @type {number} */ max) => Math.max(0, Math.min(max - 1, Math.floor(v)));
    this.last = {
      x: limit(((event.clientX - box.left) * this.canvas.width) / box.width, this.canvas.width),
      y: limit(((event.clientY - box.top) * this.canvas.height) / box.height, this.canvas.height),
    };
    return this.last;
  }

  /** @param {{x: number, y: number}} point */
  move(point) {
    if (this.link.backlog < BACKLOG_MAX) {
      this.waiting = null;
      this.link.move(point.x, point.y);
      return;
    }
    if (!this.waiting) setTimeout(() => this.waiting && this.move(this.waiting), 10);
    this.waiting = point;
  }

  // --- Pointer

  /** @param {PointerEvent} event */
  pointerMove(event) {
    if (event.pointerType === "touch") this.touchMove(event);
    else this.move(this.pointOf(event));
  }

  /** @param {PointerEvent} event */
  pointerDown(event) {
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch") this.touchDown(event);
    else this.press(event, event.button, true);
  }

  /** @param {PointerEvent} event */
  pointerUp(event) {
    event.preventDefault();
    if (event.pointerType === "touch") this.touchUp(event);
    else this.press(event, event.button, false);
  }

  /** @param {{clientX: number, clientY: number}} event @param {number} button @param {boolean} isDown */
  press(event, button, isDown) {
    const { x, y } = this.pointOf(event);
    if (button > 4) return;
    this.waiting = null;
    if (isDown) this.buttons.add(button);
    else this.buttons.delete(button);
    this.link.button(x, y, button, isDown);
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const unit = event.deltaMode === 0 ? NOTCH / PIXELS_PER_NOTCH : event.deltaMode === 1 ? NOTCH / LINES_PER_NOTCH : NOTCH * 3;
    const { x, y } = this.pointOf(event);
    this.link.wheel(x, y, event.deltaX * unit, event.deltaY * unit);
  }

  // --- Touch: a tap clicks, a long press clicks right, one finger drags, two fingers scroll

  /** @param {PointerEvent} event */
  touchDown(event) {
    this.touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.touches.size === 1) {
      this.tap = { x: event.clientX, y: event.clientY, isDrag: false, isDone: false };
      this.longPress = setTimeout(() => this.tapWith(event, 2), LONG_PRESS_MS);
    } else {
      clearTimeout(this.longPress);
      if (this.tap) this.tap.isDone = true;
    }
  }

  /** @param {{clientX: number, clientY: number}} event @param {number} button */
  tapWith(event, button) {
    if (!this.tap || this.tap.isDone || this.tap.isDrag) return;
    this.tap.isDone = true;
    this.press(event, button, true);
    this.press(event, button, false);
  }

  /** @param {PointerEvent} event */
  touchMove(event) {
    const before = this.touches.get(event.pointerId);
    if (!before) return;
    const dx = event.clientX - before.x, dy = event.clientY - before.y;
    this.touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.touches.size === 2) {
      const { x, y } = this.pointOf(event);
      this.link.wheel(x, y, (-dx * NOTCH) / 60, (-dy * NOTCH) / 60);
      return;
    }
    const tap = this.tap;
    if (!tap || tap.isDone) return;
    if (!tap.isDrag && Math.hypot(event.clientX - tap.x, event.clientY - tap.y) > TOUCH_SLOP) {
      clearTimeout(this.longPress);
      tap.isDrag = true;
      this.press({ clientX: tap.x, clientY: tap.y }, 0, true);
    }
    if (tap.isDrag) this.move(this.pointOf(event));
  }

  /** @param {PointerEvent} event */
  touchUp(event) {
    this.touches.delete(event.pointerId);
    clearTimeout(this.longPress);
    if (this.tap?.isDrag) {
      this.press(event, 0, false);
      this.tap.isDone = true;
      this.tap.isDrag = false;
    } else if (this.touches.size === 0) {
      this.tapWith(event, 0);
    }
  }

  // --- Keyboard

  /** Ctrl, Alt and Shift together, and nothing else, leave the desktop, for who has no mouse. @param {KeyboardEvent} event */
  keyDown(event) {
    const code = evdevCodes.get(event.code);
    this.isLeaving = event.ctrlKey && event.altKey && event.shiftKey && /^(Control|Alt|Shift)/.test(event.code);
    if (code === undefined) return;
    const isPaste = event.code === "KeyV" && (event.ctrlKey || event.metaKey);
    /* The browser tells what is pasted after this event; then the key goes on. */
    if (isPaste && !this.held.has(code)) {
      this.pasteTimer = window.setTimeout(() => this.pressKey(code), 60);
      return;
    }
    event.preventDefault();
    if (!event.repeat) this.pressKey(code);
  }

  /** @param {number} code */
  pressKey(code) {
    clearTimeout(this.pasteTimer);
    this.pasteTimer = 0;
    this.held.add(code);
    this.link.key(code, true);
  }

  /** @param {KeyboardEvent} event */
  keyUp(event) {
    const code = evdevCodes.get(event.code);
    if (code === undefined) return;
    event.preventDefault();
    if (this.pasteTimer && event.code === "KeyV") this.pressKey(code);
    if (this.held.delete(code)) this.link.key(code, false);
    if (!this.isLeaving) return;
    this.isLeaving = false;
    this.release();
    this.leave();
  }

  /** Down and up. @param {string} name a KeyboardEvent.code */
  tapKey(name) {
    const code = evdevCodes.get(name);
    if (code === undefined || !this.isControl) return;
    this.link.key(code, true);
    this.link.key(code, false);
  }

  /** @param {ClipboardEvent} event */
  paste(event) {
    if (!this.isControl || document.activeElement !== this.canvas) return;
    const text = event.clipboardData?.getData("text/plain");
    event.preventDefault();
    if (text) this.link.paste(text);
    if (this.pasteTimer) {
      clearTimeout(this.pasteTimer);
      this.pasteTimer = window.setTimeout(() => this.pressKey(/** @type {number} */ (evdevCodes.get("KeyV"))), 120);
    }
  }

  release() {
    if (!this.isControl || this.held.size + this.buttons.size === 0) return;
    this.held.clear();
    this.buttons.clear();
    this.link.release();
  }
}
