/** The bytes of a viewer without a picture: what the stream's tests of many viewers share (docs/stream.md). */
import { frame } from '../integration/lib/websocket.mjs';

export function record(type, payload, flags = 0) {
    const head = Buffer.alloc(8);
    head[0] = type;
    head[1] = flags;
    head.writeUInt32LE(payload.length, 4);
    return Buffer.concat([head, payload]);
}

/** Acknowledges the frames that came since the last call; how many. */
export function acknowledge(client) {
    let n = 0;
    for (const { data } of client.messages.splice(0))
        for (let at = 0; at + 8 <= data.length; at += 8 + data.readUInt32LE(at + 4))
            if (data[at] === 3) {
                client.socket.write(frame(2, record(65, data.subarray(at + 8, at + 16))));
                n++;
            }
    return n;
}
