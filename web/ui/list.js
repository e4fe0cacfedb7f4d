// The list of desktops. Pictures are asked for one after the other and only for cards in sight: a browser
// opens few connections to one host, and an unchanged screen costs an empty answer.
import { ApiError, get, login, screenshot, send, show, sleep } from "/ui/api.js";

/** @typedef {import("/ui/api.js").Sandbox} Sandbox */
/** @typedef {{element: HTMLElement, sandbox: Sandbox, frame?: number, inSight: boolean}} Card */

const REFRESH_MS = 2000;

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @type {Map<string, Card>} */
const cards = new Map();

const sight = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const card = cards.get(/** @type {HTMLElement} */ (entry.target).dataset.id ?? "");
    if (card) card.inSight = entry.isIntersecting;
  }
});

/** @param {unknown} error */
function tell(error) {
  byId("problem").textContent = error instanceof Error ? error.message : String(error);
  byId("problem").hidden = false;
}

/** @param {string} created */
function age(created) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(created)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`;
}

/**
 * @param {Sandbox} sandbox
 * @returns {Card}
 */
function makeCard(sandbox) {
  const template = /** @type {HTMLTemplateElement} */ (byId("card"));
  const element = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
  element.dataset.id = sandbox.id;
  for (const link of element.querySelectorAll("a")) link.href = `/desktops/${sandbox.id}`;
  const name = /** @type {HTMLElement} */ (element.querySelector(".name"));
  name.textContent = sandbox.id;
  const button = /** @type {HTMLButtonElement} */ (element.querySelector("button"));
  button.setAttribute("aria-label", `Delete ${sandbox.id}`);
  button.addEventListener("click", () => remove(sandbox.id, button));
  const card = { element, sandbox, inSight: true };
  cards.set(sandbox.id, card);
  sight.observe(element);
  return card;
}

/**
 * @param {string} id
 * @param {HTMLButtonElement} button
 */
async function remove(id, button) {
  if (!confirm(`Delete desktop ${id}? What is in it is lost.`)) return;
  button.disabled = true;
  await send("DELETE", `/v1/sandboxes/${id}`).catch(tell);
  await refreshList();
}

/** @param {Card} card */
function fillCard(card) {
  const { element, sandbox } = card;
  const state = /** @type {HTMLElement} */ (element.querySelector(".state"));
  state.textContent = sandbox.status.state;
  state.dataset.state = sandbox.status.state;
  state.title = sandbox.status.message ?? "";
  /** @type {HTMLElement} */ (element.querySelector(".image")).textContent = sandbox.image?.uri ?? "";
  /** @type {HTMLElement} */ (element.querySelector(".age")).textContent = age(sandbox.createdAt);
}

async function refreshList() {
  const list = await get("/v1/sandboxes?pageSize=200");
  const total = list.pagination?.totalItems ?? list.items.length;
  byId("count").textContent = total === 1 ? "1 desktop" : `${total} desktops`;
  byId("empty").hidden = total > 0;
  const seen = new Set();
  for (const sandbox of list.items) {
    seen.add(sandbox.id);
    const card = cards.get(sandbox.id) ?? makeCard(sandbox);
    card.sandbox = sandbox;
    fillCard(card);
    if (!card.element.isConnected) byId("cards").append(card.element);
  }
  for (const [id, card] of cards) {
    if (seen.has(id)) continue;
    card.element.remove();
    cards.delete(id);
  }
}

/** @param {Card} card */
async function refreshPicture(card) {
  /** @type {Record<string, string | number>} */
  const params = { format: "webp", quality: 70, out_width: 400 };
  if (card.frame !== undefined) params.if_changed_since = card.frame;
  const shot = await screenshot(card.sandbox.id, params);
  if (!shot) return;
  card.frame = shot.image.frame;
  await show(/** @type {HTMLImageElement} */ (card.element.querySelector("img")), shot.blob);
}

async function refreshPictures() {
  for (const card of [...cards.values()]) {
    if (card.inSight && card.sandbox.status.state === "Running" && !document.hidden)
      await refreshPicture(card).catch((error) => {
        if (error instanceof ApiError && error.status === 401) throw error;
      });
  }
}

async function fillImages() {
  const form = /** @type {HTMLFormElement} */ (byId("create"));
  const select = /** @type {HTMLSelectElement} */ (form.elements.namedItem("image"));
  const images = await get("/v1/images");
  select.replaceChildren(...images.items.map((/** @type {{name: string, description?: string}} */ image) => {
    const option = new Option(image.name, image.name);
    option.title = image.description ?? "";
    return option;
  }));
  form.hidden = images.items.length === 0;
}

byId("create").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = /** @type {HTMLFormElement} */ (event.target);
  const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
  button.disabled = true;
  byId("problem").hidden = true;
  const uri = /** @type {HTMLSelectElement} */ (form.elements.namedItem("image")).value;
  await send("POST", "/v1/sandboxes", { image: { uri } }).then(refreshList).catch(tell);
  button.disabled = false;
});

byId("logout").addEventListener("click", async () => {
  await send("POST", "/logout").catch(tell);
  location.reload();
});

for (let isFilled = false; ; ) {
  try {
    if (!isFilled) await fillImages();
    isFilled = true;
    await refreshList();
    await refreshPictures();
    await sleep(REFRESH_MS);
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      await login();
      byId("logout").hidden = false;
    } else {
      tell(error);
      await sleep(REFRESH_MS * 2);
    }
  }
}
