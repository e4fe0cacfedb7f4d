/**
 * A WebSocket client for tests: what the daemon sends and how it ends, and frames as wrong as a test
 * wants them. RFC 6455 without extensions.
 */
import crypto from 'node:crypto';
import net from 'node:net';
import { eventually, within } from './wait.mjs';

/** A masked frame. `length` lies about the size of the payload. */
export function frame(opcode, payload = '', { last = true, mask = true, reserved = 0, length } = {}) {
    const body = Buffer.from(payload), size = BigInt(length ?? body.length);
    const head = [(last ? 0x80 : 0) | reserved | opcode];
    if (size < 126n)
        head.push(Number(size));
    else if (size < 65536n)
        head.push(126, Number(size >> 8n), Number(size & 255n));
    else
        head.push(127, ...[7, 6, 5, 4, 3, 2, 1, 0].map((i) => Number(size >> BigInt(8 * i) & 255n)));
    if (!mask)
        return Buffer.concat([Buffer.from(head), body]);
    head[1] |= 0x80;
    const key = crypto.randomBytes(4), masked = Buffer.from(body);
    for (let i = 0; i < masked.length; i++)
        masked[i] ^= key[i % 4];
    return Buffer.concat([Buffer.from(head), key, masked]);
}

export class WebSocketClient {
    /** Connects and sends the upgrade. `answer` has status and headers once it came. */
    constructor(port, path, { headers = {}, host = `localhost:${port}`, socket } = {}) {
        this.messages = []; /* {opcode, data} */
        this.socket = socket ?? net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
        this.rest = Buffer.alloc(0);
        this.parts = [];
        this.isClosed = false;
        const all = {
            Host: host, Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13',
            'Sec-WebSocket-Key': crypto.randomBytes(16).toString('base64'), ...headers,
        };
        this.key = all['Sec-WebSocket-Key'];
        this.socket.write(`GET ${path} HTTP/1.1\r\n${Object.entries(all).filter(([, v]) => v !== null)
            .map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n`);
        this.socket.on('data', (data) => this.feed(data));
        this.socket.on('error', () => {});
        this.socket.on('end', () => {
            this.isEnded = true;
        });
        this.socket.on('close', () => {
            this.isClosed = true;
        });
    }

    /** Connects and fails unless the daemon agrees. */
    static async open(port, path, options) {
        const self = new WebSocketClient(port, path, options);
        await self.answered();
        if (self.status !== 101)
            throw new Error(`${path}: ${self.status} ${self.body}`);
        return self;
    }

    async answered() {
        await eventually('the upgrade is answered', async () => this.status ?? (this.isClosed && -1), { ms: 40000, every: 5 });
        if (this.status !== 101)
            await within(20000, 'the refusal ends', new Promise((resolve) => {
                const check = () => (this.isEnded || this.isClosed ? resolve() : setTimeout(check, 5));
                check();
            }));
        return this;
    }

    feed(data) {
        this.rest = Buffer.concat([this.rest, data]);
        if (this.status === undefined)
            this.takeHead();
        if (this.status === 101)
            while (this.takeFrame());
        else if (this.status !== undefined)
            this.body = this.rest.toString();
    }

    takeHead() {
        const end = this.rest.indexOf('\r\n\r\n');
        if (end < 0)
            return;
        const lines = this.rest.subarray(0, end).toString('latin1').split('\r\n');
        this.headers = Object.fromEntries(lines.slice(1).map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(),
            line.slice(line.indexOf(':') + 1).trim()]));
        this.rest = this.rest.subarray(end + 4);
        this.status = Number(lines[0].split(' ')[1]);
    }

    takeFrame() {
        if (this.rest.length < 2)
            return false;
        let size = this.rest[1] & 0x7f, at = 2;
        if (size === 126 && this.rest.length >= 4)
            [size, at] = [this.rest.readUInt16BE(2), 4];
        else if (size === 127 && this.rest.length >= 10)
            [size, at] = [Number(this.rest.readBigUInt64BE(2)), 10];
        else if (size >= 126)
            return false;
        if (this.rest.length < at + size)
            return false;
        const opcode = this.rest[0] & 15, data = Buffer.from(this.rest.subarray(at, at + size));
        this.rest = this.rest.subarray(at + size);
        if (opcode === 8 && this.socket.writable)
            this.send(8, data.subarray(0, 2)); /* else the daemon waits for it, ten seconds */
        if (opcode === 8)
            this.close = { code: size ? data.readUInt16BE(0) : 1005, reason: data.subarray(2).toString() };
        this.messages.push({ opcode, data });
        return true;
    }

    send(opcode, payload, options) {
        this.socket.write(frame(opcode, payload, options));
    }

    json(value) {
        this.send(1, JSON.stringify(value));
    }

    /** The next message from `from` on that fits. */
    until(what, fits, ms = 40000) {
        return eventually(what, async () => this.messages.find(fits), { ms, every: 5 });
    }

    /** Waits until the daemon has ended it; the close code, or undefined. */
    async ended(ms = 40000) {
        await eventually('the WebSocket ends', async () => this.isEnded || this.isClosed, { ms, every: 5 });
        return this.close?.code;
    }

    destroy() {
        this.socket.destroy();
    }
}
