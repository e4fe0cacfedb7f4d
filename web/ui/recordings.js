// All recordings, forks below what they were forked from; and a search over what was done in them.
import { ApiError, get, login, send } from "/ui/api.js";
import { describe } from "/ui/recording.js";

const REFRESH_MS = 5000;

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const field = () => /** @type {HTMLInputElement} */ (/** @type {HTMLFormElement} */ (byId("find")).elements.namedItem("q"));

/** @param {unknown} error */
function tell(error) {
  byId("problem").textContent = error instanceof Error ? error.message : String(error);
  byId("problem").hidden = false;
}

/** @param {number} bytes */
const size = (bytes) => bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

/** @param {(string | Node)[]} cells */
function row(cells) {
  const element = document.createElement("tr");
  for (const cell of cells) {
    const td = document.createElement("td");
    td.append(cell);
    element.append(td);
  }
  return element;
}

/** @param {string} href @param {string} text */
function anchor(href, text) {
  const element = document.createElement("a");
  element.href = href;
  element.textContent = text;
  return element;
}

/** @param {any} it */
function stateOf(it) {
  const element = document.createElement("span");
  element.className = "state";
  element.dataset.state = it.state;
  element.textContent = it.state;
  element.title = it.reason;
  return element;
}

/** @param {string} src */
function picture(src) {
  const image = new Image(112, 70);
  image.loading = "lazy";
  image.alt = "";
  image.src = src;
  image.addEventListener("error", () => image.remove());
  return image;
}

/** @param {any} it */
function deleteButton(it) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Delete";
  button.disabled = it.state !== "ended";
  button.addEventListener("click", async () => {
    if (!confirm(`Delete the recording of ${it.sandbox}?`)) return;
    await send("DELETE", `/v1/recordings/${it.id}`).catch(tell);
    await refresh();
  });
  return button;
}

/** @param {any} it @param {number} depth */
function recordingRow(it, depth) {
  const name = document.createElement("span");
  name.style.paddingLeft = `${depth * 1.2}rem`;
  name.append(depth ? "↳ " : "", anchor(`/recordings/${it.id}`, it.sandbox));
  const element = row([
    picture(`/v1/recordings/${it.id}/frame?time_us=9007199254740991&width=112&format=jpeg&quality=70`), name, it.image, stateOf(it),
    new Date(it.created_at).toLocaleString(), size(it.bytes), deleteButton(it),
  ]);
  element.dataset.id = it.id;
  return element;
}

/** @param {any[]} items @param {string} parent @param {number} depth @returns {HTMLElement[]} */
function rowsBelow(items, parent, depth) {
  const known = new Set(items.map((it) => it.id));
  return items.filter((it) => (known.has(it.parent_recording) ? it.parent_recording : "") === parent)
    .flatMap((it) => [recordingRow(it, depth), ...rowsBelow(items, it.id, depth + 1)]);
}

async function refresh() {
  const q = field().value;
  if (q) return;
  const { items, pagination } = await get("/v1/recordings?pageSize=200");
  byId("count").textContent = pagination.totalItems === 1 ? "1 recording" : `${pagination.totalItems} recordings`;
  byId("empty").hidden = items.length > 0;
  byId("table").hidden = items.length === 0;
  const key = JSON.stringify(items);
  if (byId("rows").dataset.key === key) return;
  byId("rows").dataset.key = key;
  byId("rows").replaceChildren(...rowsBelow(items, "", 0));
}

/** @param {string} q */
async function search(q) {
  const { items } = await get(`/v1/recording-search?q=${encodeURIComponent(q)}&limit=200`);
  byId("rows").dataset.key = "";
  byId("table").hidden = false;
  byId("count").textContent = `${items.length} found`;
  byId("rows").replaceChildren(...items.map((/** @type {any} */ it) => row([
    picture(`/v1/recordings/${it.recording}/frame?time_us=${it.at_us}&width=112&format=jpeg&quality=70`),
    anchor(`/recordings/${it.recording}#at=${it.at_us}`, describe(it)), it.kind, "", "", "", "",
  ])));
}

byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const q = field().value.trim();
  (q ? search(q) : refresh()).catch(tell);
});

for (;;) {
  try {
    await refresh();
    await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) await login();
    else {
      tell(error);
      await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
    }
  }
}
