/**
 * A TCP relay that behaves like a worse network, one way and the other: delay, rate, a bounded buffer in front of
 * the bottleneck, and stalls. TCP's own loss recovery shows as stalls: that is how loss is imitated.
 */
import net from 'node:net';

/** One direction: what comes from `from` reaches `to` later. */
class Pipe {
    constructor(from, to, shape) {
        this.shape = shape;
        this.queue = [];
        this.bytes = 0;
        this.freeAt = 0; /* when the bottleneck is idle again */
        from.on('data', (data) => this.take(data, from));
        from.on('close', () => {
            this.isOver = true;
            this.endIfDone();
        });
        this.to = to;
        this.isOver = false;
    }

    /** After what is under way. */
    endIfDone() {
        if (this.isOver && this.bytes === 0)
            this.to.end();
    }

    take(data, from) {
        const { kbits, delayMs, bufferBytes } = this.shape, now = performance.now();
        /* In packets, so that a small message behind a large one waits no longer than it must. */
        for (let at = 0; at < data.length; at += 1448) {
            const part = data.subarray(at, at + 1448);
            const stall = this.shape.stall();
            this.freeAt = Math.max(now, this.freeAt, stall) + (kbits ? (part.length * 8) / kbits : 0);
            this.bytes += part.length;
            this.queue.push(part);
            setTimeout(() => {
                /* Timers of different lengths may pass each other by a millisecond: in the order of arrival. */
                const first = this.queue.shift();
                this.bytes -= first.length;
                this.to.write(first);
                this.endIfDone();
                if (from.isPaused() && this.bytes < bufferBytes / 2)
                    from.resume();
            }, this.freeAt + delayMs - now);
        }
        if (this.bytes >= bufferBytes)
            from.pause();
    }
}

/**
 * @param {number} port of the server on loopback
 * @param {{kbits?: number, delayMs?: number, bufferBytes?: number, loss?: number}} shape delay one way; loss: share of
 *   packets that cost a stall of a round trip and 20 ms
 */
export async function startRelay(port, { kbits = 0, delayMs = 0, bufferBytes = 65536, loss = 0 } = {}) {
    let stalledUntil = 0;
    const stall = () => {
        const now = performance.now();
        if (loss && Math.random() < loss)
            stalledUntil = Math.max(stalledUntil, now + 2 * delayMs + 20);
        return stalledUntil;
    };
    const shape = { kbits, delayMs, bufferBytes, stall };
    const server = net.createServer((client) => {
        const upstream = net.connect({ port, host: '127.0.0.1', noDelay: true });
        client.setNoDelay(true);
        for (const socket of [client, upstream])
            socket.on('error', () => socket.destroy());
        new Pipe(client, upstream, shape);
        new Pipe(upstream, client, shape);
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    return {
        port: server.address().port,
        /** Nothing passes for that long. */
        stall(ms) {
            stalledUntil = performance.now() + ms;
        },
        close: () => server.close(),
    };
}

export const LINKS = {
    loopback: null,
    '20ms': { delayMs: 10 },
    '60ms-1%': { delayMs: 30, loss: 0.01 },
    '5mbit': { kbits: 5000, delayMs: 10 },
    '1mbit': { kbits: 1000, delayMs: 15 },
    '200kbit': { kbits: 200, delayMs: 15 },
};
