// What was done, drawn over a replay: the pointer's clicks and drags, keys, typed text, and who did it.
import { evdevCodes } from "/ui/keys.js";

const SHOWN_US = 1200000;
const keyNames = new Map([...evdevCodes].map(([name, code]) => [code, name.replace(/^(Key|Digit)/, "")]));

/** @typedef {import("/ui/replayer.js").Replayer} Replayer */

export class Overlay {
  /** @param {HTMLCanvasElement} canvas @param {HTMLElement} caption @param {Replayer} replayer */
  constructor(canvas, caption, replayer) {
    this.canvas = canvas;
    this.caption = caption;
    this.replayer = replayer;
    this.isOn = true;
  }

  /** @param {number} time @param {number} factor of the canvas's size on the page */
  draw(time, factor) {
    const { replayer, canvas } = this, { screen, cursor, pointer } = replayer;
    if (canvas.width !== screen.canvas.width || canvas.height !== screen.canvas.height) {
      canvas.width = screen.canvas.width;
      canvas.height = screen.canvas.height;
    }
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.clearRect(0, 0, canvas.width, canvas.height);
    pointer.hidden = !cursor.isVisible || !cursor.hasShape;
    pointer.style.transformOrigin = "0 0";
    pointer.style.transform = `translate(${cursor.x * factor}px, ${cursor.y * factor}px) scale(${factor})`;
    const words = this.isOn ? [...this.drawActions(context, time), ...this.drawInputs(context, time)] : [];
    this.caption.textContent = words.join("   ").slice(-200);
    this.caption.hidden = words.length === 0;
  }

  /** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} age 0 to 1 @param {string} colour */
  ring(context, x, y, age, colour) {
    context.globalAlpha = 1 - age;
    context.strokeStyle = colour;
    context.lineWidth = 3;
    context.beginPath();
    context.arc(x, y, 6 + age * 22, 0, 2 * Math.PI);
    context.stroke();
    context.globalAlpha = 1;
  }

  /** @param {CanvasRenderingContext2D} context @param {number} time */
  drawActions(context, time) {
    const words = [];
    for (const note of this.replayer.recording.notes) {
      if (note.at_us > time) break;
      const end = note.injected_us?.[1] ?? note.at_us;
      if (time > end + SHOWN_US) continue;
      if (note.event === "typed") words.push(note.text);
      if (note.kind !== "action") continue;
      const age = Math.min(1, Math.max(0, (time - end) / SHOWN_US)), a = note.action ?? {};
      if (note.native && a.type !== "type" && a.type !== "key") this.ring(context, note.native[0], note.native[1], age, a.type === "move" ? "#888" : "#ff3b6b");
      if (a.type === "type") words.push(a.redacted ? "••••••" : a.text);
      else if (a.type === "key" || a.type === "hold_key") words.push([a.keys].flat().join(" "));
      else if (a.type === "scroll") words.push(`scroll ${a.direction ?? ""}`);
    }
    return words;
  }

  /** A person's. @param {CanvasRenderingContext2D} context @param {number} time */
  drawInputs(context, time) {
    const words = [];
    for (const input of this.replayer.inputs) {
      if (input.time > time || time > input.time + SHOWN_US) continue;
      if (input.kind === "button" && input.isDown) this.ring(context, input.x, input.y, (time - input.time) / SHOWN_US, "#16a34a");
      if (input.kind === "key" && input.isDown) words.push(keyNames.get(input.code) ?? `key ${input.code}`);
    }
    return words;
  }
}
