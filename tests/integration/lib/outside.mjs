/**
 * What is beyond a guest's network: a host behind a router, in a network namespace of its own, and servers
 * there or on this host. Needs root.
 */
import { execFileSync, spawn } from 'node:child_process';
import { within } from './wait.mjs';

const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });

export class Outside {
    /**
     * @param {number} number of the test file, since files run side by side: 203.0.113.NUMBER
     * @param {{router?: string}} options router: an address that this host gets (/30); every guest's network
     *   starts anew because of it. Default: none.
     */
    constructor(number, { router } = {}) {
        Object.assign(this, { address: `203.0.113.${number}`, namespace: `dfbeyond${number}`, link: `dfb${number}`, router });
        this.remove();
        ip('netns', 'add', this.namespace);
        ip('link', 'add', this.link, 'type', 'veth', 'peer', 'name', 'dfb', 'netns', this.namespace);
        if (router)
            ip('addr', 'add', `${router}/30`, 'dev', this.link);
        ip('link', 'set', this.link, 'up');
        this.inside('link', 'set', 'dfb', 'up');
        this.inside('link', 'set', 'lo', 'up');
        this.inside('addr', 'add', `${this.address}/32`, 'dev', 'lo');
        this.inside('route', 'add', 'default', 'dev', 'dfb');
        ip('route', 'add', `${this.address}/32`, 'dev', this.link);
    }

    inside(...args) {
        ip('-n', this.namespace, ...args);
    }

    remove() {
        for (const args of [['netns', 'del', this.namespace], ['link', 'del', this.link]]) {
            try {
                ip(...args);
            } catch { /* it was not there */ }
        }
    }
}

/**
 * Runs in a process of its own: greets who comes, and tells of each what happens to it, a line of JSON each
 * ({at, visitor, event, text}). What it reads goes to all visitors that are there.
 */
const serverCode = `
const all = new Set();
let n = 0;
const keeps = process.argv[2] === 'keeps';
require('node:net').createServer((socket) => {
    const visitor = ++n, at = Date.now();
    const say = (event, text) => console.log(JSON.stringify({ at: Date.now(), visitor, event, text }));
    console.log(JSON.stringify({ at, visitor, event: 'came' }));
    all.add(socket);
    socket.setEncoding('latin1');
    socket.on('data', (text) => say('said', text));
    socket.on('error', (error) => say('error', error.code));
    socket.on('close', () => { all.delete(socket); say('left'); });
    if (keeps)
        socket.write('answer\\n');
    else
        socket.end('answer\\n');
}).listen(Number(process.argv[1]), '0.0.0.0', () => console.log(JSON.stringify({ event: 'listening' })));
process.stdin.on('data', (text) => all.forEach((socket) => socket.write(text)));`;

export class Server {
    /** @param {{at?: Outside, keeps?: boolean}} options keeps: connections stay open until the visitor leaves */
    static async start(port, { at, keeps = false } = {}) {
        const prefix = at ? ['ip', 'netns', 'exec', at.namespace] : [];
        const [command, ...rest] = [...prefix, process.execPath, '-e', serverCode, String(port), keeps ? 'keeps' : ''];
        const self = new Server();
        self.events = [];
        self.child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
        let left = '';
        self.child.stdout.setEncoding('utf8');
        await within(10000, 'a listening server', new Promise((resolve) => {
            self.child.stdout.on('data', (text) => {
                const lines = (left + text).split('\n');
                left = lines.pop();
                self.events.push(...lines.map((line) => JSON.parse(line)));
                if (self.events[0]?.event === 'listening')
                    resolve();
            });
        }));
        return self;
    }

    /** @returns {{at: number, visitor: number, event: string, text?: string}[]} */
    of(event) {
        return this.events.filter((it) => it.event === event);
    }

    get visitors() {
        return this.of('came').length;
    }

    say(text) {
        this.child.stdin.write(text);
    }

    end() {
        this.child.kill();
    }
}
