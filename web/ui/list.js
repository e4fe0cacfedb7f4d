// The wall of desktops: live pictures of those in sight.
import { ApiError, get, login, send, show, sleep } from "/ui/api.js";
import { Link } from "/ui/link.js";

/** @typedef {import("/ui/api.js").Sandbox} Sandbox */
/** @typedef {{element: HTMLElement, sandbox: Sandbox, inSight: boolean, link?: Link}} Card */

const REFRESH_MS = 2000;
const PICTURE = { width: 480, height: 320 };

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @type {Map<string, Card>} */
const cards = new Map();

const sight = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const card = cards.get(/** @type {HTMLElement} */ (entry.target).dataset.id ?? "");
    if (!card) continue;
    card.inSight = entry.isIntersecting;
    watch(card);
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
    watch(card);
  }
  for (const [id, card] of cards) {
    if (seen.has(id)) continue;
    card.element.remove();
    watch(card);
    cards.delete(id);
  }
}

/**
 * A card that is in sight has a stream of small pictures: one a second at most, none while nothing changes.
 * @param {Card} card
 */
function watch(card) {
  const isWanted = card.inSight && card.sandbox.status.state === "Running" && !document.hidden && card.element.isConnected;
  if (!isWanted) {
    card.link?.close();
    card.link = undefined;
    return;
  }
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const url = `${scheme}://${location.host}/v1/sandboxes/${card.sandbox.id}/desktop/stream?role=view`;
  card.link ??= new Link(async () => url, null, {
    picture: (blob) => show(/** @type {HTMLImageElement} */ (card.element.querySelector("img")), blob).catch(() => {}),
    role: (_isMine, holder) => {
      /** @type {HTMLElement} */ (card.element.querySelector(".holder")).textContent = ["", "a person acts", "an agent acts"][holder] ?? "";
    },
  }, { pictures: PICTURE, video: false });
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

document.addEventListener("visibilitychange", () => {
  for (const card of cards.values()) watch(card);
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
