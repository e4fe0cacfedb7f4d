// The time line of a replay: how much the screen changed, idle gaps, actions, marks, forks; a picture under the mouse.
import { clockText, idleGaps } from "/ui/clock.js";
import { describe } from "/ui/recording.js";

const THUMB = 200;
const COLOURS = { action: "--accent", mark: "--warn", event: "--quiet" };

/** @typedef {import("/ui/recording.js").Recording} Recording */

export class Timeline {
  /** @param {HTMLElement} element @param {Recording} recording @param {(time: number) => void} seek */
  constructor(element, recording, seek) {
    this.element = element;
    this.recording = recording;
    this.canvas = /** @type {HTMLCanvasElement} */ (element.querySelector("canvas"));
    this.head = /** @type {HTMLElement} */ (element.querySelector(".head"));
    this.hover = /** @type {HTMLElement} */ (element.querySelector(".hover"));
    this.strip = /** @type {HTMLElement} */ (element.querySelector(".strip"));
    this.time = 0;
    this.hoverTimer = 0;
    const go = (/** @type {PointerEvent} */ event) => seek(this.timeAt(event.clientX));
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      go(event);
    });
    element.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) go(event);
      this.showHover(event);
    });
    element.addEventListener("pointerleave", () => (this.hover.hidden = true));
    new ResizeObserver(() => this.draw()).observe(element);
  }

  get span() {
    return Math.max(1, this.recording.last - this.recording.first);
  }

  /** @param {number} clientX */
  timeAt(clientX) {
    const box = this.canvas.getBoundingClientRect();
    return this.recording.first + Math.min(1, Math.max(0, (clientX - box.left) / box.width)) * this.span;
  }

  /** @param {number} time */
  placeOf(time) {
    return Math.min(1, Math.max(0, (time - this.recording.first) / this.span));
  }

  /** @param {PointerEvent} event */
  showHover(event) {
    const time = this.timeAt(event.clientX), box = this.element.getBoundingClientRect();
    const near = this.recording.notes.filter((note) => Math.abs(note.at_us - time) < (this.span / box.width) * 6).slice(0, 4);
    this.hover.hidden = false;
    this.hover.style.left = `${Math.min(box.width - THUMB - 10, Math.max(0, event.clientX - box.left - THUMB / 2))}px`;
    /** @type {HTMLElement} */ (this.hover.querySelector("span")).textContent =
      [clockText(time - this.recording.first), ...near.map(describe)].join(" · ").slice(0, 160);
    clearTimeout(this.hoverTimer);
    this.hoverTimer = window.setTimeout(() => {
      /** @type {HTMLImageElement} */ (this.hover.querySelector("img")).src = this.recording.thumbnail(time, THUMB);
    }, 60);
  }

  /** @param {number} time */
  setTime(time) {
    this.time = time;
    this.head.style.left = `${this.placeOf(time) * 100}%`;
    this.element.setAttribute("aria-valuenow", String(Math.round((time - this.recording.first) / 1000)));
    this.element.setAttribute("aria-valuetext", clockText(time - this.recording.first));
  }

  draw() {
    const ratio = devicePixelRatio, { clientWidth, clientHeight } = this.canvas;
    const width = Math.max(1, Math.round(clientWidth * ratio)), height = Math.max(1, Math.round(clientHeight * ratio));
    this.canvas.width = width;
    this.canvas.height = height;
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    const style = getComputedStyle(this.element), colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    context.fillStyle = colour("--line");
    for (const { from, to } of idleGaps(this.recording))
      context.fillRect(this.placeOf(from) * width, 0, (this.placeOf(to) - this.placeOf(from)) * width, height);
    this.drawActivity(context, width, height, colour("--quiet"));
    for (const note of this.recording.notes) {
      context.fillStyle = colour(COLOURS[/** @type {keyof typeof COLOURS} */ (note.kind)] ?? "--quiet");
      const tall = note.kind === "action" ? 0.55 : 1;
      context.fillRect(Math.round(this.placeOf(note.at_us) * width), height * (1 - tall), Math.max(1, 2 * ratio), height * tall);
    }
    this.element.setAttribute("aria-valuemax", String(Math.round(this.span / 1000)));
    this.fillStrip();
    this.setTime(this.time || this.recording.first);
  }

  /** Bars of how many frames a slice of time has. @param {CanvasRenderingContext2D} context @param {number} width @param {number} height @param {string} colour */
  drawActivity(context, width, height, colour) {
    const bars = new Float64Array(Math.max(1, Math.floor(width / 3)));
    for (const frame of this.recording.frames) bars[Math.min(bars.length - 1, Math.floor(this.placeOf(frame.time) * bars.length))]++;
    const most = Math.max(1, ...bars);
    context.fillStyle = colour;
    context.globalAlpha = 0.45;
    bars.forEach((n, i) => {
      const h = n ? Math.max(2, (Math.sqrt(n / most) * height) / 2) : 0;
      context.fillRect(i * 3, height - h, 2, h);
    });
    context.globalAlpha = 1;
  }

  /** Pictures along the line. */
  fillStrip() {
    const n = Math.max(1, Math.floor(this.strip.clientWidth / 130));
    if (this.recording.frames.length === 0) return;
    if (this.strip.childElementCount === n && !this.isStale) return;
    this.isStale = false;
    this.strip.replaceChildren(...Array.from({ length: n }, (_, i) => {
      const image = new Image();
      image.loading = "lazy";
      image.alt = "";
      image.draggable = false;
      image.src = this.recording.thumbnail(this.recording.first + ((i + 0.5) / n) * this.span, 128);
      return image;
    }));
  }
}
