// The replay page: one recording, or two side by side.
import { ApiError, get, login } from "/ui/api.js";
import { clockText, idleGaps, mapTime, skipIdle } from "/ui/clock.js";
import { Overlay } from "/ui/overlay.js";
import { Recording, describe } from "/ui/recording.js";
import { Replayer } from "/ui/replayer.js";
import { linkOf, rerun, wordsOf } from "/ui/rerun.js";
import { Timeline } from "/ui/timeline.js";

const FOLLOW_MS = 1000;
const STEP_US = 5000000; /* of the arrow keys */

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const pick = (/** @type {string} */ id) => /** @type {HTMLSelectElement} */ (byId(id));
const box = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (byId(id));
const id = location.pathname.split("/")[2];
const query = new URLSearchParams(location.search);

const recording = new Recording(id);
let time = 0, isPlaying = false, isFollowing = false, gaps = /** @type {{from: number, to: number}[]} */ ([]);

/** @param {string} text */
function note(text) {
  byId("note").textContent = text;
  byId("note").hidden = text === "";
}

// --- Views

/** One picture with its overlay. */
class View {
  /** @param {HTMLElement} element @param {Recording} of */
  constructor(element, of) {
    const part = (/** @type {string} */ name) => /** @type {HTMLCanvasElement} */ (element.querySelector(name));
    this.element = element;
    this.recording = of;
    this.canvas = part(".picture");
    this.replayer = new Replayer(this.canvas, part(".pointer"), of, {
      frame: () => this === main && showFacts(), size: () => this.layout(), failed: note,
    });
    this.overlay = new Overlay(part(".overlay"), part(".caption"), this.replayer);
    new ResizeObserver(() => this.layout()).observe(element);
  }

  get factor() {
    return Math.min(this.element.clientWidth / this.canvas.width, this.element.clientHeight / this.canvas.height) || 1;
  }

  layout() {
    const { factor, canvas } = this;
    canvas.style.width = `${canvas.width * factor}px`;
    canvas.style.height = `${canvas.height * factor}px`;
    this.draw();
  }

  /** @param {number} at */
  async showTime(at) {
    this.at = at;
    if (this.recording.frames.length > 0) await this.replayer.show(this.recording.frameAt(at));
    this.draw();
  }

  draw() {
    this.overlay.isOn = box("overlay").checked;
    this.overlay.draw(this.at ?? this.recording.first, this.factor);
  }
}

const main = new View(byId("view"), recording);
/** @type {View | null} */
let second = null;

function showFacts() {
  const frame = recording.frames[main.replayer.shown];
  if (!frame) return;
  byId("frame").textContent = String(frame.id);
  byId("frame").dataset.number = String(main.replayer.shown);
  byId("exact").textContent = frame.isExact ? "yes" : "no";
  byId("size").textContent = `${main.canvas.width} × ${main.canvas.height}`;
}

// --- Time

/** @param {number} to @param {{keep?: boolean}} [how] keep: goes on to play */
async function seek(to, { keep = false } = {}) {
  time = Math.min(recording.last, Math.max(recording.first, to));
  if (!keep) isFollowing = false;
  showTime();
  if (!keep) rememberSoon();
  await showPictures();
}

function showPictures() {
  const align = /** @type {"time" | "action"} */ (pick("align").value);
  return Promise.all([
    main.showTime(time), second?.showTime(mapTime(recording, second.recording, time, align)),
  ]);
}

function showTime() {
  byId("time").textContent = clockText(time - recording.first);
  byId("wall").textContent = recording.wall ? new Date((recording.wall + time - recording.first) / 1000).toLocaleString() : "";
  timeline.setTime(time);
  markNow();
}

let rememberTimer = 0;
function rememberSoon() {
  clearTimeout(rememberTimer);
  rememberTimer = window.setTimeout(() => history.replaceState(null, "", link()), 200);
}

function link() {
  const beside = second ? `?with=${second.recording.id}&align=${pick("align").value}` : "";
  return `${location.pathname}${beside}#t=${((time - recording.first) / 1e6).toFixed(3)}`;
}

/** #t=SECONDS, #frame=ID or #at=MICROSECONDS of the daemon's clock. */
function timeOfHash() {
  const hash = new URLSearchParams(location.hash.slice(1));
  if (hash.has("frame")) return recording.frames[recording.frameOf(Number(hash.get("frame")))]?.time;
  if (hash.has("at")) return Number(hash.get("at"));
  return hash.has("t") ? recording.first + Number(hash.get("t")) * 1e6 : undefined;
}

/** @param {boolean} on */
function setPlaying(on) {
  if (on && time >= recording.last && !recording.isRunning) time = recording.first;
  isPlaying = on;
  byId("play").textContent = on ? "Pause" : "Play";
  byId("play").setAttribute("aria-pressed", String(on));
  if (on) requestAnimationFrame((now) => tick(now, now));
  else rememberSoon();
}

/** @param {number} now @param {number} before */
async function tick(now, before) {
  if (!isPlaying) return;
  let to = time + (now - before) * 1000 * Number(pick("speed").value);
  if (box("skip").checked) to = skipIdle(gaps, to);
  if (to >= recording.last && !recording.isRunning) setPlaying(false);
  await seek(to, { keep: true });
  if (isPlaying) requestAnimationFrame((next) => tick(next, now));
}

/** @param {number} by */
function step(by) {
  setPlaying(false);
  const n = Math.min(recording.frames.length - 1, Math.max(0, recording.frameAt(time) + by));
  return seek(recording.frames[n].time);
}

/** @param {1 | -1} way */
function jump(way) {
  const times = recording.notes.filter((it) => it.kind !== "event").map((it) => it.at_us);
  const to = way > 0 ? times.find((at) => at > time + 1000) : times.findLast((at) => at < time - 1000);
  if (to !== undefined) seek(to);
}

// --- The list

function fillNotes() {
  const q = box("search").value.toLowerCase();
  byId("notes").replaceChildren(...recording.notes.filter((it) => !q || JSON.stringify(it).toLowerCase().includes(q)).map((it) => {
    const item = document.createElement("li"), button = document.createElement("button");
    const when = document.createElement("time"), what = document.createElement("span");
    item.dataset.kind = it.kind;
    item.dataset.at = String(it.at_us);
    when.textContent = clockText(it.at_us - recording.first);
    what.textContent = describe(it);
    what.classList.toggle("bad", it.outcome === "failed");
    button.type = "button";
    button.title = [it.by?.key || it.by?.dialect ? `by ${it.by.key || "a local caller"} (${it.by.dialect})` : "", it.error?.message ?? ""].filter(Boolean).join("\n");
    button.append(when, what);
    button.addEventListener("click", () => seek(it.at_us));
    item.append(button);
    return item;
  }));
  markNow();
}

function markNow() {
  /** @type {Element | undefined} */
  let now;
  for (const item of byId("notes").children) {
    item.classList.remove("is-now");
    if (Number(/** @type {HTMLElement} */ (item).dataset.at) <= time) now = item;
  }
  now?.classList.add("is-now");
  if (isPlaying) now?.scrollIntoView({ block: "nearest" });
}

// --- Forks and the other recording

/** @type {any[]} */
let all = [];

async function fillTree() {
  all = (await get("/v1/recordings?pageSize=200")).items;
  const select = pick("beside"), chosen = second?.recording.id ?? query.get("with") ?? "";
  select.replaceChildren(new Option("nothing", ""), ...all.filter((it) => it.id !== id).map((it) => new Option(`${it.id} ${it.image}`, it.id)));
  select.value = chosen;
  let root = all.find((it) => it.id === id);
  const known = (/** @type {string} */ wanted) => all.find((it) => it.id === wanted);
  while (root?.parent_recording && known(root.parent_recording)) root = known(root.parent_recording);
  byId("tree").replaceChildren(...(root ? [branch(root)] : []));
  byId("tree-box").hidden = !root || !all.some((it) => it.parent_recording === root.id);
}

/** A fork begins where its parent was forked: that moment of the parent is linked too. @param {any} it */
function branch(it) {
  const item = document.createElement("li"), open = document.createElement("a"), list = document.createElement("ul");
  open.href = `/recordings/${it.id}`;
  open.textContent = it.sandbox;
  if (it.id === id) open.setAttribute("aria-current", "page");
  item.append(open, ` ${it.state}`);
  for (const child of all.filter((other) => other.parent_recording === it.id).reverse()) {
    const below = branch(child), moment = document.createElement("a");
    moment.textContent = "at the fork";
    moment.className = "quiet";
    moment.href = `/recordings/${it.id}#t=${Math.max(0, (Date.parse(child.created_at) - Date.parse(it.created_at)) / 1000).toFixed(3)}`;
    below.insertBefore(document.createTextNode(" · "), below.querySelector("ul"));
    below.insertBefore(moment, below.querySelector("ul"));
    list.append(below);
  }
  item.append(list);
  return item;
}

/** @param {string} other */
async function setBeside(other) {
  second?.element.remove();
  second = null;
  byId("align-box").hidden = !other;
  if (other) {
    const element = /** @type {HTMLElement} */ (byId("view").cloneNode(true));
    element.removeAttribute("id");
    element.querySelector(".picture")?.removeAttribute("id");
    const view = new View(element, new Recording(other));
    await view.recording.refresh();
    byId("views").append(element);
    second = view;
    /** @type {HTMLElement} */ (element.querySelector("figcaption")).textContent = view.recording.about.sandbox;
  }
  /** @type {HTMLElement} */ (byId("view").querySelector("figcaption")).textContent = other ? recording.about.sandbox : "";
  main.layout();
  rememberSoon();
  await showPictures();
}

// --- Once more

async function runAgain() {
  const button = /** @type {HTMLButtonElement} */ (byId("rerun")), words = byId("rerun-note");
  const tell = (/** @type {string} */ text) => {
    words.hidden = false;
    words.textContent = text;
  };
  button.disabled = true;
  try {
    const it = await rerun(id, tell), link = document.createElement("a");
    tell(wordsOf(it));
    link.href = linkOf(it);
    link.textContent = "Side by side";
    if (it.again) words.append(link);
  } catch (error) {
    tell(error instanceof Error ? error.message : String(error));
  }
  button.disabled = false;
}

// --- The page

function showAbout() {
  const { about } = recording;
  byId("name").textContent = `${about.sandbox} · ${about.image}`;
  byId("state").textContent = about.state;
  byId("state").dataset.state = about.state;
  byId("state").title = about.reason ?? "";
  byId("live").hidden = !recording.isRunning;
  byId("desktop").hidden = !recording.isRunning;
  /** @type {HTMLAnchorElement} */ (byId("desktop")).href = `/desktops/${about.sandbox}`;
  byId("length").textContent = clockText(recording.last - recording.first);
  document.title = `${about.sandbox} – recording – deskfarm`;
  if (recording.damage.length > 0) note("A part of this recording is damaged and cannot be shown.");
  gaps = idleGaps(recording);
}

const timeline = new Timeline(byId("timeline"), recording, (to) => seek(to));
byId("play").addEventListener("click", () => setPlaying(!isPlaying));
byId("back").addEventListener("click", () => step(-1));
byId("forward").addEventListener("click", () => step(1));
byId("previous").addEventListener("click", () => jump(-1));
byId("next").addEventListener("click", () => jump(1));
byId("overlay").addEventListener("change", () => [main, second].forEach((view) => view?.draw()));
byId("rerun").addEventListener("click", runAgain);
byId("search").addEventListener("input", fillNotes);
byId("live").addEventListener("click", () => {
  isFollowing = true;
  seek(recording.last, { keep: true });
});
byId("link").addEventListener("click", () => navigator.clipboard?.writeText(location.origin + link()).catch(() => {}));
byId("beside").addEventListener("change", () => setBeside(pick("beside").value).catch((error) => note(error.message)));
byId("align").addEventListener("change", () => {
  rememberSoon();
  showPictures();
});
window.addEventListener("hashchange", () => {
  const to = timeOfHash();
  if (to !== undefined) seek(to);
});
document.addEventListener("keydown", (event) => {
  if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement || event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = {
    " ": () => setPlaying(!isPlaying), ",": () => step(-1), ".": () => step(1), n: () => jump(1), p: () => jump(-1),
    ArrowLeft: () => seek(time - STEP_US), ArrowRight: () => seek(time + STEP_US), Home: () => seek(recording.first), End: () => seek(recording.last),
  };
  const act = keys[/** @type {keyof typeof keys} */ (event.key)];
  if (!act) return;
  event.preventDefault();
  act();
});

/** A recording that is being written grows. */
async function follow() {
  while (recording.isRunning) {
    await new Promise((resolve) => setTimeout(resolve, FOLLOW_MS));
    if (document.hidden) continue;
    const isNew = await recording.refresh().catch(() => false);
    showAbout();
    if (!isNew) continue;
    fillNotes();
    timeline.isStale = true;
    timeline.draw();
    if (isFollowing) seek(recording.last, { keep: true });
  }
}

async function begin() {
  for (;;) {
    try {
      await recording.refresh();
      break;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      await login();
    }
  }
  showAbout();
  fillNotes();
  timeline.isStale = true;
  timeline.draw();
  pick("align").value = query.get("align") === "action" ? "action" : "time";
  await seek(timeOfHash() ?? recording.frames[0]?.time ?? recording.first, { keep: true });
  await fillTree();
  if (query.get("with")) await setBeside(String(query.get("with")));
  follow();
}

/* For tests and the curious. */
Object.assign(window, { deskfarm: { recording, main, seek, isReady: begin().then(() => true, (error) => note(error.message)) } });
Object.defineProperty(/** @type {any} */ (window).deskfarm, "time", { get: () => time });
Object.defineProperty(/** @type {any} */ (window).deskfarm, "second", { get: () => second });
