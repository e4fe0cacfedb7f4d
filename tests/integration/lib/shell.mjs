/** The root shell on a guest's serial console (images/debian-xfce/README.md). */
import net from 'node:net';
import { eventually, within } from './wait.mjs';

export class Shell {
    /** Connects and waits for the prompt of a guest that may still be booting. */
    static async open(socketPath, ms = 240000) {
        const self = new Shell();
        self.text = '';
        await eventually('the console', () => new Promise((resolve, reject) => {
            self.socket = net.connect(socketPath, () => resolve(true));
            self.socket.on('error', reject);
        }), { ms: 20000 });
        self.socket.setEncoding('utf8');
        self.socket.on('data', (part) => {
            self.text += part;
            self.wake?.();
        });
        await eventually('a prompt', async () => {
            self.socket.write('\n');
            return /# $/.test(self.text);
        }, { ms, every: 1000 });
        return self;
    }

    /** Runs a command as root. @returns {Promise<{status: number, output: string}>} */
    async run(command, ms = 60000) {
        this.text = '';
        const done = new Promise((resolve) => {
            this.wake = () => {
                const match = /^([\s\S]*?)__RC(\d+)__/.exec(this.text);
                if (match)
                    resolve({ status: Number(match[2]), output: match[1].replaceAll('\r', '') });
            };
        });
        this.socket.write(`${command}; echo "__R"C$?__\n`);
        return within(ms, command, done);
    }

    close() {
        this.socket?.destroy();
    }
}
