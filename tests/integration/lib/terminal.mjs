/** A terminal in the guest, by the execd protocol. */
import { eventually } from './wait.mjs';
import { WebSocketClient } from './websocket.mjs';

export class Terminal {
    static async create(client, id, body = {}) {
        const answer = await client.call('POST', `/v1/sandboxes/${id}/proxy/44772/pty`, { body });
        return Object.assign(new Terminal(), { client, id, session: answer.json.session_id, offset: 0 });
    }

    get path() {
        return `/v1/sandboxes/${this.id}/proxy/44772/pty/${this.session}`;
    }

    /** Attaches; everything that comes is collected in `text`. */
    async attach(query = '', options = {}) {
        this.text = '';
        this.seen = 0;
        this.socket = await WebSocketClient.open(this.client.where.port, `${this.path}/ws${query}`, options);
        return this;
    }

    /** All output so far. */
    read() {
        for (; this.seen < this.socket.messages.length; this.seen++) {
            const { opcode, data } = this.socket.messages[this.seen];
            if (opcode !== 2)
                continue;
            const body = data.subarray(data[0] === 3 ? 9 : 1);
            if (data[0] === 3)
                this.offset = Number(data.readBigUInt64BE(1));
            this.offset += body.length;
            this.text += body.toString('latin1');
        }
        return this.text;
    }

    type(text) {
        this.socket.send(2, Buffer.concat([Buffer.from([0]), Buffer.from(text)]));
    }

    until(what, pattern, ms = 40000) {
        return eventually(what, async () => pattern.exec(this.read()), { ms, every: 10 });
    }

    words() {
        return this.socket.messages.filter(({ opcode }) => opcode === 1).map(({ data }) => JSON.parse(data));
    }

    word(type, ms = 40000) {
        return eventually(`the word ${type}`, async () => this.words().find((word) => word.type === type), { ms, every: 5 });
    }
}

/** Runs a shell command in the guest and returns its output; fails when it does. */
export async function run(client, id, command, ms = 60000) {
    const terminal = await Terminal.create(client, id, { command });
    await terminal.attach();
    const { exit_code: code } = await terminal.word('exit', ms);
    await client.call('DELETE', terminal.path);
    const text = terminal.read().replaceAll('\r\n', '\n');
    terminal.socket.destroy();
    if (code !== 0)
        throw new Error(`${command}: exit ${code}: ${text}`);
    return text;
}
