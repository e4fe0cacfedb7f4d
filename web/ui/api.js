// The API as the pages use it: fetch, errors with their code, and logging in.

/** @typedef {{id: string, image?: {uri: string}, status: {state: string, message?: string}, createdAt: string}} Sandbox */

export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * Sends a request and waits for its headers; throws ApiError unless the answer is good.
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @param {AbortSignal} [signal]
 * @returns {Promise<Response>}
 */
export async function send(method, path, body, signal) {
  const headers = body ? { "Content-Type": "application/json" } : undefined;
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal });
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  throw new ApiError(response.status, said.code ?? "unknown", said.message ?? `The daemon answered ${response.status}.`);
}

/**
 * @param {string} path
 * @returns {Promise<any>}
 */
export async function get(path) {
  return (await send("GET", path)).json();
}

/**
 * Replaces the page's main part by a login form; resolves when a key was accepted.
 * @returns {Promise<void>}
 */
export function login() {
  const main = /** @type {HTMLElement} */ (document.getElementById("main"));
  const form = document.createElement("form");
  form.className = "login";
  form.innerHTML = `
    <h2>Log in</h2>
    <p class="quiet">This daemon has API keys. Yours is kept in a cookie that scripts cannot read.</p>
    <label>API key <input name="key" type="password" autocomplete="current-password" required></label>
    <p class="note bad" role="alert" hidden></p>
    <button class="main">Log in</button>`;
  main.before(form);
  main.hidden = true;
  const input = /** @type {HTMLInputElement} */ (form.elements.namedItem("key"));
  const problem = /** @type {HTMLElement} */ (form.querySelector("[role=alert]"));
  input.focus();
  return new Promise((resolve) => {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await send("POST", "/login", { key: input.value });
        form.remove();
        main.hidden = false;
        resolve();
      } catch (error) {
        problem.textContent = /** @type {Error} */ (error).message;
        problem.hidden = false;
        input.select();
      }
    });
  });
}

/**
 * Takes a screenshot. Null when frame `since` is still shown.
 * @param {string} id
 * @param {Record<string, string | number>} params
 * @param {AbortSignal} [signal]
 * @returns {Promise<{blob: Blob, image: {frame: number, width: number, height: number}, screen?: {width: number, height: number}} | null>}
 */
export async function screenshot(id, params, signal) {
  const query = new URLSearchParams(Object.entries(params).map(([name, value]) => [name, String(value)]));
  const response = await send("GET", `/v1/sandboxes/${id}/desktop/screenshot?${query}`, undefined, signal);
  if (response.status === 204) return null;
  const result = JSON.parse(response.headers.get("X-Deskfarm-Result") ?? "{}");
  return { blob: await response.blob(), image: result.image ?? {}, screen: result.screen };
}

/**
 * Shows a blob in an image element once it is decoded, and frees the one before.
 * @param {HTMLImageElement} element
 * @param {Blob} blob
 */
export async function show(element, blob) {
  const next = new Image();
  next.src = URL.createObjectURL(blob);
  await next.decode();
  const before = element.src;
  element.src = next.src;
  element.hidden = false;
  if (before.startsWith("blob:")) URL.revokeObjectURL(before);
}

/** @param {number} ms */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
