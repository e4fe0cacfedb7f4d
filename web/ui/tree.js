// The tree: templates, checkpoints and desktops, each below what it came from, with a picture, and with
// what can be made of it.
import { ApiError, get, login, screenshot, send, show, sleep } from "/ui/api.js";

/**
 * @typedef {{kind: "template" | "checkpoint" | "sandbox", id: string, parent: string, name: string, state: string,
 *   image: string, created_at: string, sandbox: string}} Item
 * @typedef {{element: HTMLElement, item: Item, inSight: boolean, frame: number, isBusy: boolean}} Node
 */

const REFRESH_MS = 2000;
const PICTURE = { format: "jpeg", out_width: 320 };

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @type {Map<string, Node>} */
const nodes = new Map();

const sight = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const node = nodes.get(/** @type {HTMLElement} */ (entry.target).dataset.id ?? "");
    if (!node) continue;
    node.inSight = entry.isIntersecting;
    lookAt(node);
  }
});

/** @param {unknown} error */
function tell(error) {
  byId("problem").textContent = error instanceof Error ? error.message : String(error);
  byId("problem").hidden = false;
}

/** @param {Node} node */
const part = (node, /** @type {string} */ selector) => /** @type {HTMLElement} */ (node.element.querySelector(`:scope > .node ${selector}`));

/* --- What can be done with an item --- */

/** @type {Record<Item["kind"], {label: string, isMain?: boolean, run: (item: Item) => Promise<unknown> | undefined}[]>} */
const deeds = {
  sandbox: [
    { label: "Fork", isMain: true, run: ({ id }) => send("POST", `/v1/sandboxes/${id}/fork`, {}) },
    {
      label: "Checkpoint",
      run: ({ id }) => {
        const name = prompt("A name for the checkpoint, for whoever reads the tree:", "");
        return name === null ? undefined : send("POST", `/v1/sandboxes/${id}/checkpoints`, { name: name.slice(0, 60) });
      },
    },
  ],
  checkpoint: [
    { label: "New desktop", isMain: true, run: ({ id }) => send("POST", `/v1/checkpoints/${id}/sandboxes`, {}) },
    {
      label: "Go back",
      run: ({ id, name, sandbox }) => (confirm(`Put ${sandbox} back to ${name || id}? What it did since is lost.`)
        ? send("POST", `/v1/sandboxes/${sandbox}/restore`, { checkpoint: id }) : undefined),
    },
    {
      label: "Delete",
      run: ({ id, name }) => (confirm(`Delete checkpoint ${name || id}? What came from it stays.`) ? send("DELETE", `/v1/checkpoints/${id}`) : undefined),
    },
  ],
  template: [{ label: "New desktop", isMain: true, run: ({ id }) => send("POST", `/v1/checkpoints/${id}/sandboxes`, {}) }],
};

/** @param {Node} node */
function addButtons(node) {
  part(node, ".does").replaceChildren(...deeds[node.item.kind].map(({ label, isMain, run }) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.className = isMain ? "main" : "";
    button.setAttribute("aria-label", `${label}: ${node.item.name || node.item.id}`);
    button.addEventListener("click", async () => {
      byId("problem").hidden = true;
      button.disabled = true;
      await Promise.resolve(run(node.item)).then(refresh).catch(tell);
      button.disabled = false;
    });
    return button;
  }));
}

/* --- Pictures --- */

/** @param {Node} node */
async function lookAt(node) {
  const { item } = node;
  const isAlive = item.kind === "sandbox" && (item.state === "Running" || item.state === "Paused");
  if (!isAlive || !node.inSight || node.isBusy || document.hidden || !node.element.isConnected) return;
  node.isBusy = true;
  try {
    const shot = await screenshot(item.id, node.frame ? { ...PICTURE, if_changed_since: node.frame } : PICTURE);
    if (shot) {
      node.frame = shot.image.frame;
      await show(/** @type {HTMLImageElement} */ (part(node, "img")), shot.blob);
    }
  } catch { /* it ended, or has no screen yet: the next look tells */ }
  node.isBusy = false;
}

/* --- The tree --- */

/** @param {string} created */
function age(created) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(created)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`;
}

const kinds = { template: "Template", checkpoint: "Checkpoint", sandbox: "Desktop" };

/**
 * @param {Item} item
 * @returns {Node}
 */
function makeNode(item) {
  const template = /** @type {HTMLTemplateElement} */ (byId("node"));
  const element = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
  element.dataset.id = item.id;
  const node = { element, item, inSight: false, frame: 0, isBusy: false };
  /** @type {HTMLElement} */ (element.querySelector(".node")).classList.add(item.kind);
  part(node, ".kind").textContent = kinds[item.kind];
  if (item.kind === "sandbox")
    for (const link of element.querySelectorAll("a")) link.href = `/desktops/${item.id}`;
  addButtons(node);
  nodes.set(item.id, node);
  sight.observe(element);
  return node;
}

/** @param {Node} node */
function fill(node) {
  const { item } = node;
  part(node, ".name").textContent = item.kind === "template" ? item.image : item.name || item.id;
  const state = part(node, ".state");
  state.textContent = item.state;
  state.dataset.state = item.state;
  const facts = [item.name || item.kind === "template" ? item.id : "", item.kind === "sandbox" ? item.image : "", age(item.created_at)];
  part(node, ".facts").textContent = facts.filter(Boolean).join(" · ");
  for (const button of part(node, ".does").querySelectorAll("button"))
    button.hidden = item.kind === "sandbox" && item.state !== "Running" && item.state !== "Paused";
}

/** Puts each element where it belongs, in the order of the answer; what is in place is not touched. */
function place() {
  /** @type {Map<Element, number>} */
  const used = new Map();
  for (const { element, item } of nodes.values()) {
    const above = nodes.get(item.parent)?.element.querySelector(":scope > ul") ?? byId("tree");
    const at = used.get(above) ?? 0;
    used.set(above, at + 1);
    if (above.children[at] !== element) above.insertBefore(element, above.children[at] ?? null);
  }
}

async function refresh() {
  /** @type {Item[]} */
  const items = (await get("/v1/tree")).items;
  const seen = new Set(items.map(({ id }) => id));
  for (const [id, node] of nodes)
    if (!seen.has(id)) {
      node.element.remove();
      sight.unobserve(node.element);
      nodes.delete(id);
    }
  for (const item of items) {
    const node = nodes.get(item.id) ?? makeNode(item);
    node.item = item;
    fill(node);
  }
  place();
  const n = items.filter(({ kind }) => kind === "sandbox").length;
  byId("count").textContent = n === 1 ? "1 desktop" : `${n} desktops`;
  byId("empty").hidden = items.length > 0;
  for (const node of nodes.values()) lookAt(node);
}

for (;;) {
  try {
    await refresh();
    await sleep(REFRESH_MS);
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      await login();
    } else {
      tell(error);
      await sleep(REFRESH_MS * 2);
    }
  }
}
