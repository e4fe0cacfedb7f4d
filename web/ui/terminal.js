// A terminal in the guest. It belongs to the sandbox, not to this page: a page that is loaded again, or loses its
// connection, goes on with the same one. Its id is kept behind the '#' of the address.
import { ApiError, login, send, sleep } from "/ui/api.js";
import { allowInlineStyle } from "/ui/inline-style.js";

const STDIN = 0, STDOUT = 1, REPLAY = 3;
const TAKEN_OVER = 4001;
const RETRY_MS = [200, 500, 1000, 2000, 5000];

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const id = location.pathname.split("/")[2] ?? "";
const base = `/v1/sandboxes/${id}/proxy/44772/pty`;
const encoder = new TextEncoder();

let session = location.hash.slice(1);
let offset = 0; // bytes of the terminal's output that are shown
let tries = 0;
/** @type {WebSocket | null} */
let socket = null;

allowInlineStyle();
// @ts-ignore: xterm.js and addon-fit.js are plain scripts
const terminal = new Terminal({ fontSize: 15, scrollback: 10000, cursorBlink: true, theme: { background: "#10141a" } });
// @ts-ignore
const fit = new FitAddon.FitAddon();
terminal.loadAddon(fit);

/** @param {string} text */
function note(text) {
  byId("note").textContent = text;
  byId("note").hidden = text === "";
}

/** @param {string} text @param {"Running" | "Pending" | "Failed"} kind */
function setState(text, kind) {
  byId("state").textContent = text;
  byId("state").dataset.state = kind;
}

/** @param {object} word */
function say(word) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(word));
}

/** @param {string | Uint8Array} keys */
function type(keys) {
  if (socket?.readyState !== WebSocket.OPEN) return;
  const bytes = typeof keys === "string" ? encoder.encode(keys) : keys;
  for (let at = 0; at < bytes.length; at += 32768) {
    const part = bytes.subarray(at, at + 32768), message = new Uint8Array(part.length + 1);
    message[0] = STDIN;
    message.set(part, 1);
    socket.send(message);
  }
}

/* --- The connection ---------------------------------------------------------------------------- */

/** @param {ArrayBuffer} data */
function takeOutput(data) {
  const kind = new Uint8Array(data, 0, 1)[0];
  const skip = kind === REPLAY ? 9 : 1;
  if (kind !== STDOUT && kind !== REPLAY) return;
  if (kind === REPLAY) {
    const from = Number(new DataView(data).getBigInt64(1));
    if (from > offset && offset > 0) terminal.write(`\r\n[${from - offset} bytes were not kept]\r\n`);
    offset = from;
  }
  const bytes = new Uint8Array(data, skip);
  offset += bytes.length;
  terminal.write(bytes);
}

/** @param {string} text */
function takeWord(text) {
  const word = JSON.parse(text);
  if (word.type === "connected") {
    tries = 0;
    note("");
    setState("Connected", "Running");
    sendSize();
  } else if (word.type === "exit") {
    over(word.exit_code === 0 ? "Ended" : `Ended with ${word.exit_code}`);
  } else if (word.type === "error" && word.code !== "INVALID_FRAME") {
    over("Ended");
    note(word.error);
  }
}

/** @param {string} text */
function over(text) {
  setState(text, "Failed");
  session = "";
  history.replaceState(null, "", location.pathname);
  byId("again").hidden = false;
  socket?.close();
  socket = null;
}

/** Makes a terminal unless the page has one that is still there. */
async function findSession() {
  if (session) {
    const isThere = await send("GET", `${base}/${session}`).then(() => true, (error) => {
      if (error instanceof ApiError && error.status === 404) return false;
      throw error;
    });
    if (isThere) return;
  }
  offset = 0;
  terminal.reset();
  session = (await (await send("POST", base, {})).json()).session_id;
  history.replaceState(null, "", `#${session}`);
}

function open() {
  const query = `since=${offset}&takeover=1&cols=${terminal.cols}&rows=${terminal.rows}`;
  const url = new URL(`${base}/${session}/ws?${query}`, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const mine = new WebSocket(url);
  mine.binaryType = "arraybuffer";
  mine.onmessage = ({ data }) => (typeof data === "string" ? takeWord(data) : takeOutput(data));
  mine.onclose = ({ code }) => {
    if (socket !== mine) return;
    socket = null;
    if (code === TAKEN_OVER) {
      setState("Taken over", "Failed");
      note("This terminal was opened in another window.");
    } else {
      again();
    }
  };
  socket = mine;
}

async function connect() {
  setState("Connecting", "Pending");
  try {
    await findSession();
    open();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      await login();
      terminal.focus();
      return connect();
    }
    note(error instanceof ApiError ? error.message : "The daemon does not answer. Trying again…");
    if (error instanceof ApiError && ![502, 503].includes(error.status)) {
      setState("Not connected", "Failed");
      byId("again").hidden = false;
      return;
    }
    again();
  }
}

async function again() {
  setState("Connecting again", "Pending");
  await sleep(RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
  await connect();
}

/* --- Size, keys, clipboard --------------------------------------------------------------------- */

function sendSize() {
  byId("size").textContent = `${terminal.cols} × ${terminal.rows}`;
  say({ type: "resize", cols: terminal.cols, rows: terminal.rows });
}

async function copy() {
  const text = terminal.getSelection();
  if (text) await navigator.clipboard?.writeText(text).catch(() => note("The browser does not let this page copy."));
  terminal.focus();
}

async function paste() {
  const text = await navigator.clipboard?.readText().catch(() => undefined);
  if (text === undefined) note("The browser does not let this page paste; use its own menu or Ctrl+V.");
  else terminal.paste(text);
  terminal.focus();
}

/** False: xterm leaves the key alone. @param {KeyboardEvent} event */
function onKey(event) {
  const isOurs = event.ctrlKey && event.shiftKey && ["KeyC", "KeyV"].includes(event.code);
  if (isOurs && event.type === "keydown") {
    event.preventDefault();
    if (event.code === "KeyC") copy();
    else paste();
  }
  // Ctrl+V and Cmd+V: the browser's own paste, which xterm listens for.
  const isPaste = event.code === "KeyV" && (event.metaKey || (event.ctrlKey && !event.altKey));
  return !isOurs && !isPaste;
}

byId("name").textContent = id;
/** @type {HTMLAnchorElement} */ (byId("name")).href = `/desktops/${id}`;
document.title = `Terminal of ${id} – deskfarm`;
terminal.open(byId("terminal"));
terminal.attachCustomKeyEventHandler(onKey);
terminal.onData(type);
terminal.onBinary((/** @type {string} */ text) => type(Uint8Array.from(text, (c) => c.charCodeAt(0))));
terminal.onResize(sendSize);
new ResizeObserver(() => fit.fit()).observe(byId("terminal"));
byId("copy").addEventListener("click", copy);
byId("paste").addEventListener("click", paste);
byId("again").addEventListener("click", () => {
  byId("again").hidden = true;
  connect();
});
fit.fit();
terminal.focus();
connect();
