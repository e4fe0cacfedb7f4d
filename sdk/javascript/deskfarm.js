/**
 * A client of deskfarm's API: one file, nothing but what Node 18, Deno, Bun and browsers have. Types for TypeScript
 * are beside it in deskfarm.d.ts.
 *
 *     const farm = new Deskfarm();                       // or new Deskfarm({ url: 'https://farm.example', key: '…' })
 *     const desktop = await farm.create('debian-xfce');
 *     await desktop.waitUp();
 *     const seen = await desktop.act([{ type: 'click', x: 568, y: 777 }, { type: 'type', text: 'hello' }]);
 *     const answer = await desktop.say('anthropic', message);   // what a model said, in its own language
 *     await desktop.delete();
 */

const environment = globalThis.process?.env ?? {};

/** What the API answered instead: a stable code, the HTTP status, and the whole answer. */
export class DeskfarmError extends Error {
    constructor(status, code, message, body) {
        super(`${code}: ${message}`);
        Object.assign(this, { name: 'DeskfarmError', status, code, body });
    }
}

function decodeBase64(text) {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

/** A daemon. Its address and key come from DESKFARM_URL and DESKFARM_KEY unless they are given. */
export class Deskfarm {
    constructor({ url = environment.DESKFARM_URL, key = environment.DESKFARM_KEY } = {}) {
        this.url = (url || 'http://127.0.0.1:7070').replace(/\/+$/, '');
        this.key = key;
    }

    /** One request: parsed JSON, or bytes when the answer is something else; undefined without a body. */
    async call(method, path, { body, query = {}, accept = 'application/json', signal } = {}) {
        const asked = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
        const search = asked.length ? `?${new URLSearchParams(asked.map(([k, v]) => [k, String(v)]))}` : '';
        const headers = { accept };
        if (this.key)
            headers.authorization = `Bearer ${this.key}`;
        if (body !== undefined)
            headers['content-type'] = 'application/json';
        const answer = await fetch(this.url + path + search, {
            method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
        const isJson = answer.headers.get('content-type')?.startsWith('application/json');
        const data = isJson ? await answer.json() : new Uint8Array(await answer.arrayBuffer());
        if (!answer.ok)
            throw new DeskfarmError(answer.status, data.code ?? 'http', data.message ?? answer.statusText, data);
        return isJson || data.length ? data : undefined;
    }

    /** A new sandbox; options are further fields of sandbox_create. */
    async create(image, { timeout = 3600, ...options } = {}) {
        const { id } = await this.call('POST', '/v1/sandboxes', { body: { image: { uri: image }, timeout, ...options } });
        return new Sandbox(this, id);
    }

    /** One that is there already. */
    sandbox(id) {
        return new Sandbox(this, id);
    }

    async sandboxes() {
        return (await this.call('GET', '/v1/sandboxes')).items;
    }
}

/** A desktop. */
export class Sandbox {
    constructor(farm, id) {
        Object.assign(this, { farm, id, path: `/v1/sandboxes/${encodeURIComponent(id)}` });
    }

    get() {
        return this.farm.call('GET', this.path);
    }

    async delete() {
        await this.farm.call('DELETE', this.path);
    }

    /** Waits for "up", "settled" or "change". */
    wait(what = 'settled', options = {}) {
        return this.farm.call('POST', `${this.path}/desktop/wait`, { body: { for: what, max_ms: 60000, ...options } });
    }

    waitUp(max_ms = 300000) {
        return this.wait('up', { max_ms });
    }

    /** Does the actions in order; the answer with the settled screen as bytes in `image.bytes`. */
    async act(actions, options = {}) {
        const body = await this.farm.call('POST', `${this.path}/desktop/actions`, { body: { actions: [actions].flat(), ...options } });
        if (body.image) {
            body.image.bytes = decodeBase64(body.image.data);
            delete body.image.data;
        }
        return body;
    }

    screenshot(query = {}) {
        return this.farm.call('GET', `${this.path}/desktop/screenshot`, { query, accept: 'image/*' });
    }

    /** What to declare to a model: {tools, image: {width, height}}. */
    tools(dialect, query = {}) {
        return this.farm.call('GET', `${this.path}/desktop/dialects/${dialect}`, { query });
    }

    /** Does what a model said and returns what its API wants to be sent next. */
    say(dialect, said, query = {}) {
        return this.farm.call('POST', `${this.path}/desktop/dialects/${dialect}`, { body: said, query });
    }

    /** What is open in the desktop. */
    async windows() {
        return (await this.farm.call('GET', `${this.path}/desktop/windows`)).items;
    }

    /** The keyboard's layout, also the guest's own. Texts arrive whatever it is. */
    setLayout(layout, variant) {
        return this.farm.call('PUT', `${this.path}/desktop/keyboard`, { body: { layout, variant, apply: true } });
    }

    /** A file of the guest. */
    read(path) {
        return this.farm.call('GET', `${this.path}/proxy/44772/files/download`, { query: { path }, accept: '*/*' });
    }

    /** Runs a command by a shell in the guest: {exitCode, result}. */
    exec(command, options = {}) {
        return this.farm.call('POST', `/daytona/toolbox/${this.id}/process/execute`, { body: { command, ...options } });
    }

    fork(options = {}) {
        return this.farm.call('POST', `${this.path}/fork`, { body: options });
    }
}
