/** A client of the HTTP API over kept-alive connections, and raw sockets for hostile requests. */
import http from 'node:http';
import net from 'node:net';
import { eventually, within } from './wait.mjs';

export class ApiError extends Error {
    constructor(answer, request) {
        super(`${request}: ${answer.status} ${answer.json?.code ?? ''}: ${answer.json?.message ?? answer.body}`);
        this.status = answer.status;
        this.code = answer.json?.code;
        this.answer = answer;
    }
}

function parseJson(headers, body) {
    if (!headers['content-type']?.startsWith('application/json'))
        return undefined;
    try {
        return JSON.parse(body.toString());
    } catch {
        return undefined;
    }
}

export class Client {
    /**
     * @param {{port?: number, socketPath?: string, key?: string, headers?: object}} where
     */
    constructor({ port, socketPath, key, headers = {} }) {
        this.where = socketPath ? { socketPath } : { host: '127.0.0.1', port };
        this.host = port ? `localhost:${port}` : 'localhost';
        this.headers = key ? { authorization: `Bearer ${key}`, ...headers } : headers;
        this.agent = new http.Agent({ keepAlive: true, maxSockets: 32 });
    }

    close() {
        this.agent.destroy();
    }

    /**
     * One request, whatever its answer is.
     * @returns {Promise<{status: number, headers: object, body: Buffer, json: any, ms: number}>}
     */
    send(method, path, { query, body, headers = {}, signal, ms = 120000 } = {}) {
        const data = body === undefined || body instanceof Buffer || typeof body === 'string'
            ? body : JSON.stringify(body);
        const all = { host: this.host, ...this.headers, ...headers };
        if (data !== undefined) {
            all['content-type'] ??= 'application/json';
            all['content-length'] ??= Buffer.byteLength(data);
        }
        for (const name of Object.keys(all))
            if (all[name] === null)
                delete all[name];
        const search = Object.keys(query ?? {}).length ? `?${new URLSearchParams(query)}` : '';
        const start = performance.now();
        return within(ms, `${method} ${path}`, new Promise((resolve, reject) => {
            const request = http.request(
                { ...this.where, agent: this.agent, method, path: path + search, headers: all, signal },
                (response) => {
                    const parts = [];
                    response.on('data', (part) => parts.push(part));
                    response.on('error', reject);
                    response.on('end', () => {
                        const bytes = Buffer.concat(parts);
                        resolve({
                            status: response.statusCode, headers: response.headers, body: bytes,
                            json: parseJson(response.headers, bytes), ms: performance.now() - start,
                        });
                    });
                });
            request.on('error', reject);
            request.end(data);
        }));
    }

    /** A request that has to succeed. */
    async call(method, path, options) {
        const answer = await this.send(method, path, options);
        if (answer.status >= 300)
            throw new ApiError(answer, `${method} ${path}`);
        return answer;
    }

    /** Creates a sandbox of the image; more of the body in options. */
    async create(image, options = {}) {
        const body = { image: { uri: image }, network: 'none', ...options };
        return (await this.call('POST', '/v1/sandboxes', { body })).json;
    }

    /** A fork of a sandbox that runs: its id. */
    async fork(id) {
        const { json } = await this.call('POST', `/v1/sandboxes/${id}/fork`, { body: {} });
        return json.items[0].id;
    }

    async get(id) {
        return (await this.call('GET', `/v1/sandboxes/${id}`)).json;
    }

    /** Waits for a state and returns the sandbox. Fails early when it can no longer be reached. */
    async waitState(id, state, ms = 60000) {
        const ends = ['Failed', 'Terminated'];
        const sandbox = await eventually(`sandbox ${id} ${state}`, async () => {
            const now = await this.get(id);
            return now.status.state === state || ends.includes(now.status.state) ? now : undefined;
        }, { ms, every: 100 });
        if (sandbox.status.state !== state)
            throw new Error(`sandbox ${id} is ${sandbox.status.state}: ${sandbox.status.reason} ${sandbox.status.message}`);
        return sandbox;
    }

    async delete(id) {
        await this.call('DELETE', `/v1/sandboxes/${id}`);
    }

    /** A batch that has to succeed. Neither settles nor takes a screenshot unless asked to. */
    async act(id, actions, options = {}) {
        const body = { actions: [actions].flat(), settle: false, screenshot: false, ...options };
        const answer = await this.call('POST', `/v1/sandboxes/${id}/desktop/actions`, { body });
        return Object.assign(answer.json, { ms: answer.ms });
    }

    /** A screenshot as bytes, with its headers and `result`, the rest of the answer. */
    async shot(id, query = {}, options = {}) {
        const path = `/v1/sandboxes/${id}/desktop/screenshot`;
        const answer = await this.call('GET', path, { query, ...options });
        answer.result = JSON.parse(answer.headers['x-deskfarm-result'] ?? 'null');
        return answer;
    }

    display(id) {
        return this.call('GET', `/v1/sandboxes/${id}/desktop/display`).then((answer) => answer.json);
    }

    resize(id, width, height) {
        return this.call('PUT', `/v1/sandboxes/${id}/desktop/display`, { body: { width, height } })
            .then((answer) => answer.json);
    }
}

/**
 * Writes bytes to a fresh connection and returns all that came until the daemon closed it, or until
 * `isDone(text)`.
 */
export function raw(port, bytes, { ms = 10000, isDone = () => false, half = false } = {}) {
    const socket = net.connect(port, '127.0.0.1');
    let text = '';
    const done = new Promise((resolve) => {
        socket.on('data', (part) => {
            text += part.toString('latin1');
            if (isDone(text))
                resolve();
        });
        socket.on('close', resolve);
        socket.on('error', resolve); /* a reset is an answer too */
    });
    if (half)
        socket.end(bytes);
    else
        socket.write(bytes);
    return within(ms, `raw request (so far: ${text.slice(0, 200)})`, done)
        .then(() => text).finally(() => socket.destroy());
}

/** Whether the text holds n whole responses with Content-Length or without a body. */
export function hasResponses(n) {
    return (text) => {
        let rest = text;
        for (let i = 0; i < n; i++) {
            const end = rest.indexOf('\r\n\r\n');
            if (end < 0)
                return false;
            const length = Number(/content-length: *(\d+)/i.exec(rest.slice(0, end))?.[1] ?? 0);
            if (rest.length < end + 4 + length)
                return false;
            rest = rest.slice(end + 4 + length);
        }
        return true;
    };
}
