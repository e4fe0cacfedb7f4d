// One desktop, live: its picture, who controls it, and hands on it.
import { ApiError, get, login } from "/ui/api.js";
import { Hands } from "/ui/player.js";
import { Link } from "/ui/link.js";
import { Screen } from "/ui/screen.js";
import { evdevCodes } from "/ui/keys.js";

const STATE_MS = 5000;
const READOUT_MS = 500;
const RESIZE_QUIET_MS = 400;
const HOLDERS = ["", "a person", "an agent"];
const NOTE_MS = 5000;
/* What a browser or its system does not let through. */
const CHORDS = ["ControlLeft AltLeft Delete", "AltLeft Tab", "AltLeft F4", "MetaLeft", "ControlLeft Escape", "Escape", "Tab", "F11",
  "PrintScreen", "ControlLeft KeyW", "ControlLeft KeyT", "ControlLeft AltLeft F1", "ControlLeft AltLeft F7"];

/** @template {HTMLElement} T @param {string} id @returns {T} */
const byId = (id) => /** @type {T} */ (document.getElementById(id));
const id = location.pathname.split("/").pop() ?? "";
/** @type {HTMLCanvasElement} */
const canvas = byId("screen");
/** @type {HTMLCanvasElement} */
const pointer = byId("pointer");
const box = byId("frame-box");
const main = byId("main");
/** @type {HTMLSelectElement} */
const mode = byId("mode");
/** @type {HTMLButtonElement} */
const controlButton = byId("control");
/** @type {HTMLTextAreaElement} */
const typed = byId("typed");

let isControl = false, hasControlOnce = false, hasToldKeys = false, holder = 0, frames = 0;
let shape = { width: 0, height: 0, hotX: 0, hotY: 0, url: "" };
let guestPointer = { x: 0, y: 0, isVisible: false };

/** @param {string} text */
function note(text) {
  byId("note").textContent = text;
  byId("note").hidden = text === "";
}

/** For a while. @param {string} text */
function noteSoon(text) {
  note(text);
  setTimeout(() => byId("note").textContent === text && note(""), NOTE_MS);
}

/** @param {string} state */
function setState(state) {
  byId("state").textContent = state;
  byId("state").dataset.state = state;
}

// --- Size of the picture

function scale() {
  const { width, height } = canvas;
  if (mode.value !== "fit") return 1;
  return Math.min(main.clientWidth / width, main.clientHeight / height);
}

function layout() {
  const factor = scale();
  canvas.style.width = `${canvas.width * factor}px`;
  canvas.style.height = `${canvas.height * factor}px`;
  canvas.style.imageRendering = Number.isInteger(factor) ? "pixelated" : "auto";
  main.classList.toggle("scroll", mode.value === "exact");
  movePointer();
}

let resizeTimer = 0;
function askForSize() {
  clearTimeout(resizeTimer);
  if (mode.value !== "resize" || !isControl) return;
  const width = Math.max(320, Math.floor(main.clientWidth / 8) * 8), height = Math.max(200, Math.floor(main.clientHeight));
  if (width === canvas.width && height === canvas.height) return;
  resizeTimer = window.setTimeout(() => link.resize(width, height), RESIZE_QUIET_MS);
}

// --- The pointer: the browser's own while in control, else a picture where the guest has it

function movePointer() {
  const isShown = guestPointer.isVisible && shape.width > 0 && !isControl;
  pointer.hidden = !isShown;
  const factor = scale();
  pointer.style.transform = `translate(${guestPointer.x * factor}px, ${guestPointer.y * factor}px) scale(${factor})`;
  pointer.style.transformOrigin = "0 0";
  canvas.style.cursor = !isControl ? "default" : !shape.url || !guestPointer.isVisible ? "none" : `url(${shape.url}) ${shape.hotX} ${shape.hotY}, default`;
}

/** @param {ImageData | null} image @param {number} hotX @param {number} hotY */
function setShape(image, hotX, hotY) {
  shape = { width: image?.width ?? 0, height: image?.height ?? 0, hotX, hotY, url: "" };
  if (image) {
    pointer.width = image.width;
    pointer.height = image.height;
    pointer.getContext("2d")?.putImageData(image, 0, 0);
    /* Browsers take shapes of up to 128 pixels. */
    shape.url = image.width <= 128 && image.height <= 128 ? pointer.toDataURL() : "";
  }
  movePointer();
}

// --- Role

/** @param {boolean} isMine @param {number} by @param {string} name */
function setRole(isMine, by, name) {
  isControl = isMine;
  hasControlOnce ||= isMine;
  holder = by;
  const role = byId("role");
  role.dataset.role = isMine ? "control" : by ? "other" : "view";
  role.textContent = isMine ? "In control" : by ? `Watching · ${name || HOLDERS[by]} acts` : "Watching";
  controlButton.textContent = isMine ? "Give back" : by ? "Take over" : "Take control";
  controlButton.setAttribute("aria-pressed", String(isMine));
  box.classList.toggle("is-control", isMine);
  main.dataset.role = role.textContent;
  byId("keys").hidden = !isMine;
  byId("keyboard").hidden = !isMine || !matchMedia("(pointer: coarse)").matches;
  hands.setControl(isMine);
  movePointer();
  askForSize();
  if (!isMine || hasToldKeys) return;
  hasToldKeys = true;
  noteSoon("Keys go to the desktop now. Ctrl+Alt+Shift together brings them back to this page.");
}

controlButton.addEventListener("click", () => link.wish(isControl ? 0 : holder ? 2 : 1));

// --- The stream

let role = "control";
async function getUrl() {
  try {
    return await askForUrl();
  } catch (error) {
    /* A key that may only look. */
    if (!(error instanceof ApiError) || error.status !== 403 || role === "view") throw error;
    role = "view";
    controlButton.hidden = true;
    return askForUrl();
  }
}

async function askForUrl() {
  const response = await fetch(`/v1/sandboxes/${id}/desktop/stream`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ role }),
    signal: AbortSignal.timeout(8000),
  }).catch(() => {
    throw new Error("The daemon does not answer.");
  });
  const said = await response.json().catch(() => ({}));
  if (response.ok) return String(said.url);
  if (response.status === 401) await login();
  throw new ApiError(response.status, said.code ?? "", said.message ?? "The daemon does not answer.");
}

const screen = new Screen(canvas);
const link = new Link(getUrl, screen, {
  state(state, why) {
    box.classList.toggle("is-lost", state !== "open");
    if (state !== "open") byId("frame").dataset.exact = "false";
    if (state === "open") {
      note("");
      /* Whoever was in control when the connection broke still wants to be. */
      if (hasControlOnce && isControl) link.wish(1);
    }
    if (state === "lost") note(`${why ?? ""} Connecting again…`);
    if (state === "ended") note(why ?? "The desktop has gone.");
  },
  screen(state) {
    note(state === 1 ? "The screen is off." : state === 0 && frames === 0 ? "Waiting for a picture…" : "");
  },
  size(width, height) {
    byId("size").textContent = `${width} × ${height}`;
    box.hidden = false;
    layout();
  },
  frame(frame) {
    if (frames++ === 0) note("");
    byId("frame").textContent = String(frame.id);
    byId("frame").dataset.exact = String(frame.isExact);
  },
  role: setRole,
  shape: setShape,
  cursor(x, y, isVisible) {
    guestPointer = { x, y, isVisible };
    movePointer();
  },
  clipboard: takeCopied,
  refused: (_type, why) => noteSoon(why),
});
const hands = new Hands(canvas, link, () => controlButton.focus());

// --- The rest of the page

mode.addEventListener("change", () => {
  layout();
  askForSize();
});
new ResizeObserver(() => {
  layout();
  askForSize();
}).observe(main);
byId("full").addEventListener("click", async () => {
  if (document.fullscreenElement) return document.exitFullscreen();
  await document.documentElement.requestFullscreen();
  canvas.focus();
  /* Chromium: Escape, Alt+Tab and the like go to the desktop; holding Escape ends it. */
  /** @type {any} */ (navigator).keyboard?.lock?.().catch(() => {});
});
document.addEventListener("fullscreenchange", () => {
  const isFull = document.fullscreenElement !== null;
  document.body.classList.toggle("is-full", isFull);
  byId("full").textContent = isFull ? "Leave full screen" : "Full screen";
  layout();
});

const keysMenu = /** @type {HTMLDetailsElement} */ (byId("keys"));
/** @param {string} code */
const keyName = (code) => code.replace(/^Key|Left$/g, "").replace("Control", "Ctrl").replace("Meta", "Super").replace("Delete", "Del")
  .replace("Escape", "Esc").replace("PrintScreen", "Print");
keysMenu.querySelector(".list")?.append(...CHORDS.map((chord) => {
  const button = document.createElement("button"), codes = chord.split(" ");
  button.type = "button";
  button.textContent = codes.map(keyName).join("+");
  button.addEventListener("click", () => {
    const numbers = codes.map((code) => /** @type {number} */ (evdevCodes.get(code)));
    for (const number of numbers) link.key(number, true);
    for (const number of numbers.reverse()) link.key(number, false);
    keysMenu.open = false;
    canvas.focus();
  });
  return button;
}));
keysMenu.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  keysMenu.open = false;
  keysMenu.querySelector("summary")?.focus();
});
document.addEventListener("pointerdown", (event) => {
  if (!keysMenu.contains(/** @type {Node} */ (event.target))) keysMenu.open = false;
});

// --- What was copied in the desktop goes to this computer's clipboard, at once where the browser lets us, else by a button

let copiedText = "";
/** @param {string} text */
function takeCopied(text) {
  copiedText = text;
  const written = document.hasFocus() && navigator.clipboard ? navigator.clipboard.writeText(text) : Promise.reject();
  written.then(() => {
    byId("copied").hidden = true;
    noteSoon("Copied from the desktop.");
  }, () => {
    byId("copied").hidden = false;
  });
}

byId("copied").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(copiedText);
  } catch {
    /* Plain HTTP has no such thing; a selection can be copied everywhere. */
    typed.value = copiedText;
    typed.select();
    document.execCommand("copy");
    typed.value = BEFORE;
  }
  byId("copied").hidden = true;
  canvas.focus();
});

// --- A touch keyboard types into a field. It always holds a character, so that deleting is noticed.

const BEFORE = "\u200b";
typed.value = BEFORE;
byId("keyboard").addEventListener("click", () => {
  typed.focus();
  typed.setSelectionRange(BEFORE.length, BEFORE.length);
});
typed.addEventListener("input", (event) => {
  if (/** @type {InputEvent} */ (event).isComposing) return;
  takeTyped();
});
typed.addEventListener("compositionend", takeTyped);
function takeTyped() {
  const text = typed.value.replace(BEFORE, "");
  if (text) link.type(text);
  else if (typed.value === "") link.type("\b"); /* a key would overtake what is being typed */
  typed.value = BEFORE;
  typed.setSelectionRange(BEFORE.length, BEFORE.length);
}
typed.addEventListener("keydown", (event) => {
  if (!/^(Arrow|Home|End|Page|Escape|Tab|Delete|F\d)/.test(event.code)) return;
  event.preventDefault();
  hands.tapKey(event.code);
});
document.addEventListener("visibilitychange", () => link.show(!document.hidden));

let before = { bytes: 0, time: performance.now() };
setInterval(() => {
  const now = performance.now(), { bytes, latency, rtt } = link.stats;
  const rate = ((bytes - before.bytes) * 8) / (now - before.time);
  before = { bytes, time: now };
  byId("rate").textContent = rate >= 1000 ? `${(rate / 1000).toFixed(1)} Mbit/s` : `${Math.round(rate)} kbit/s`;
  const ms = Number.isNaN(latency) ? rtt : latency;
  byId("latency").textContent = Number.isNaN(ms) ? "–" : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
  byId("latency").title = Number.isNaN(latency) ? "Round trip to the daemon" : "From an input to its picture";
}, READOUT_MS);

async function watchState() {
  for (;;) {
    const sandbox = await get(`/v1/sandboxes/${id}`).catch((error) => error);
    if (!(sandbox instanceof Error)) {
      setState(sandbox.status.state);
      byId("open-recording").hidden = !sandbox.recording;
      if (sandbox.recording) /** @type {HTMLAnchorElement} */ (byId("open-recording")).href = `/recordings/${sandbox.recording.id}`;
    }
    else if (sandbox instanceof ApiError && sandbox.status === 404) return setState("Deleted");
    await new Promise((resolve) => setTimeout(resolve, STATE_MS));
  }
}

/** @type {HTMLAnchorElement} */ (byId("open-terminal")).href = `/desktops/${id}/terminal`;
byId("name").textContent = id;
document.title = `${id} – deskfarm`;
watchState();
/* For tests and the curious. */
Object.assign(window, { deskfarm: { link, screen, hands } });
