// One desktop: its screen, asked for again as soon as it differs from the frame shown.
import { ApiError, get, login, screenshot, show, sleep } from "/ui/api.js";

const WAIT_MS = 25000;
const STATE_MS = 5000;

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const id = location.pathname.split("/").pop() ?? "";
const screen = /** @type {HTMLImageElement} */ (byId("screen"));

/** @param {string} text */
function note(text) {
  byId("note").textContent = text;
  byId("note").hidden = text === "";
}

/** @param {string} state */
function setState(state) {
  byId("state").textContent = state;
  byId("state").dataset.state = state;
}

/** Resolves when the page is in sight. */
function inSight() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
}

/** @param {number | undefined} since */
async function next(since) {
  /** @type {Record<string, string | number>} */
  const params = { format: "webp", quality: 85 };
  if (since !== undefined) Object.assign(params, { if_changed_since: since, wait_ms: WAIT_MS });
  const shot = await screenshot(id, params);
  if (!shot) return since;
  await show(screen, shot.blob);
  note("");
  const size = shot.screen ?? shot.image;
  byId("size").textContent = `${size.width} × ${size.height}`;
  byId("frame").textContent = String(shot.image.frame);
  return shot.image.frame;
}

/**
 * What to do about an error: true when it is worth going on.
 * @param {unknown} error
 */
async function recover(error) {
  if (!(error instanceof ApiError)) {
    note("The daemon does not answer. Trying again…");
    await sleep(2000);
    return true;
  }
  if (error.status === 401) {
    await login();
    return true;
  }
  note(error.message);
  if (error.status === 404 || error.status === 410) return false;
  await sleep(1500);
  return true;
}

async function watchState() {
  for (;;) {
    await inSight();
    const sandbox = await get(`/v1/sandboxes/${id}`).catch((error) => error);
    if (!(sandbox instanceof Error)) setState(sandbox.status.state);
    else if (sandbox instanceof ApiError && sandbox.status === 404) return setState("Deleted");
    await sleep(STATE_MS);
  }
}

async function watchScreen() {
  /** @type {number | undefined} */
  let frame;
  for (let goOn = true; goOn; ) {
    try {
      await inSight();
      frame = await next(frame);
    } catch (error) {
      frame = undefined;
      goOn = await recover(error);
    }
  }
}

byId("exact").addEventListener("click", () => {
  const isExact = screen.classList.toggle("exact");
  byId("main").classList.toggle("scroll", isExact);
  byId("exact").setAttribute("aria-pressed", String(isExact));
});

byId("name").textContent = id;
document.title = `${id} – deskfarm`;
watchState();
watchScreen();
