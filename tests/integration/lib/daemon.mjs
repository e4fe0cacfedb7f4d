/**
 * A deskfarmd of a test's own: a fresh state directory, a free port, and a look at what it left
 * behind. A sanitizer's report, an unexpected exit or a process that outlives its test fails the test.
 */
import { spawn, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client } from './client.mjs';
import { eventually, within } from './wait.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
export const buildDir = path.resolve(process.env.DESKFARM_BUILD ?? path.join(here, '../../../build'));
export const binary = path.join(buildDir, 'daemon/deskfarmd');
export const cacheDir = process.env.DESKFARM_CACHE ?? '/var/cache/deskfarm';

/** Whether the daemon was built with a sanitizer, which makes it several times slower. */
export function isSanitized() {
    const options = JSON.parse(fs.readFileSync(path.join(buildDir, 'meson-info/intro-buildoptions.json')));
    return options.find(({ name }) => name === 'b_sanitize').value !== 'none';
}

/** What keeps a test that needs the image from running, or false: for the skip option of a test. */
export function lacksImage(name) {
    if (!fs.existsSync(binary))
        return `needs ${binary}`;
    return fs.existsSync(path.join(cacheDir, 'images', name, 'image.json'))
        ? false : `needs the guest image ${name} (images/build ${name})`;
}

/** Processes whose command line contains the text. */
export function findProcesses(text) {
    return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
        try {
            return pid !== process.pid && fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(text);
        } catch {
            return false;
        }
    });
}

function describe(pid) {
    return `${pid} ${fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').slice(0, 200)}`;
}

export function countFds(pid) {
    return fs.readdirSync(`/proc/${pid}/fd`).length;
}

/** Resident memory that is the process's own, in bytes. */
export function ownMemory(pid) {
    const status = fs.readFileSync(`/proc/${pid}/status`, 'latin1');
    return Number(/RssAnon:\s+(\d+) kB/.exec(status)[1]) * 1024;
}

export class Daemon {
    /**
     * @param {{args?: string[], stateDir?: string, user?: number, env?: object, keepGuests?: boolean,
     *   boot?: string}} options
     *   boot: what a create without `boot` does. Default: cold, which asks nothing of other tests.
     *   user: uid and gid of an ordinary user to run as.
     *   keepGuests: SIGTERM leaves guests running, as in production. Default: it ends them.
     */
    constructor(options = {}) {
        this.options = options;
        this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-'));
        this.stateDir = options.stateDir ?? path.join(this.dir, 'state');
        this.reportDir = path.join(this.dir, 'reports');
        fs.mkdirSync(this.reportDir, { mode: 0o777 });
        fs.chmodSync(this.reportDir, 0o777);
        if (options.user) {
            fs.chownSync(this.dir, options.user, options.user);
            fs.chmodSync(this.dir, 0o755);
        }
        this.log = '';
        this.ids = new Set();
        this.clients = [];
    }

    static async start(options) {
        const self = new Daemon(options);
        try {
            await self.start();
        } catch (error) {
            await self.destroy().catch(() => {});
            throw error;
        }
        return self;
    }

    environment() {
        const log = path.join(this.reportDir, 'report');
        return {
            ...process.env,
            DESKFARM_CACHE: cacheDir,
            ASAN_OPTIONS: `log_path=${log}:detect_leaks=1:exitcode=66`,
            UBSAN_OPTIONS: `log_path=${log}:print_stacktrace=1:exitcode=66`,
            LSAN_OPTIONS: `log_path=${log}`,
            ...this.options.env,
        };
    }

    spawn(program = binary) {
        const { args = [], user, keepGuests, boot = 'cold' } = this.options;
        const command = [program, '--port', '0', '--state-dir', this.stateDir, '--log-level', 'debug',
            '--boot', boot, ...(keepGuests ? [] : ['--stop-guests']), ...args];
        if (user)
            command.unshift('setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups');
        this.process = spawn(command[0], command.slice(1),
            { env: this.environment(), stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
        this.process.stderr.on('data', (part) => {
            this.log += part;
        });
        this.exited = new Promise((resolve) => {
            this.process.on('exit', (code, signal) => {
                if (!this.isEnding)
                    this.death = `deskfarmd died (${code ?? signal}):\n${this.lastLog()}`;
                resolve({ code, signal });
            });
        });
        this.isEnding = false;
    }

    async start() {
        this.spawn();
        const first = new Promise((resolve, reject) => {
            readline.createInterface({ input: this.process.stdout }).once('line', resolve);
            this.exited.then(({ code, signal }) =>
                reject(new Error(`deskfarmd ended at once (${code ?? signal}): ${this.lastLog()}`)));
        });
        this.port = JSON.parse(await within(30000, 'deskfarmd says its port', first)).port;
        this.url = `http://127.0.0.1:${this.port}`;
        this.pid = this.process.pid;
    }

    /** A client of this daemon; it follows restarts only when made again. */
    client(options = {}) {
        const client = new Client({ port: this.port, ...options });
        const create = client.create.bind(client), fork = client.fork.bind(client);
        client.create = async (...args) => {
            const sandbox = await create(...args);
            this.ids.add(sandbox.id);
            return sandbox;
        };
        client.fork = async (of) => {
            const id = await fork(of);
            this.ids.add(id);
            return id;
        };
        this.clients.push(client);
        return client;
    }

    sandboxDir(id) {
        return path.join(this.stateDir, 'sandboxes', id);
    }

    lastLog(lines = 30) {
        return this.log.trim().split('\n').slice(-lines).join('\n');
    }

    closeClients() {
        for (const client of this.clients)
            client.close();
        this.clients = [];
    }

    /** SIGKILL: the guests stay. */
    async kill() {
        this.closeClients();
        this.isEnding = true;
        this.process.kill('SIGKILL');
        await this.exited;
    }

    /** Ends it as a service manager would. Fails when it does not end well. */
    async stop(signal = 'SIGTERM', ms = 30000) {
        this.closeClients();
        this.isEnding = true;
        this.process.kill(signal);
        const end = await within(ms, `deskfarmd ends after ${signal}\n${this.lastLog()}`, this.exited);
        this.checkReports();
        if (end.code !== 0)
            throw new Error(`deskfarmd ended with ${end.code ?? end.signal}: ${this.lastLog()}`);
    }

    isRunning() {
        return this.process && this.process.exitCode === null && this.process.signalCode === null;
    }

    /** What sanitizers wrote, and objects that outlived their owners, or ''. UBSan of GCC beside ASan does not know log_path. */
    reports() {
        const files = fs.readdirSync(this.reportDir)
            .map((name) => fs.readFileSync(path.join(this.reportDir, name), 'utf8'));
        const at = this.log.search(/^.*(runtime error:|==\d+==ERROR|handles are still open)/m);
        return [...files, ...(at >= 0 ? [this.log.slice(at)] : [])].join('\n');
    }

    checkReports() {
        const text = this.reports();
        if (text)
            throw new Error(`sanitizer report:\n${text.slice(0, 8000)}`);
    }

    /** Processes of this daemon's guests: they name the sandbox or its directory. */
    guestProcesses() {
        return [...this.ids, this.stateDir].flatMap(findProcesses).filter((pid, i, all) =>
            pid !== this.process?.pid && all.indexOf(pid) === i);
    }

    /** Ends everything that was started. Fails when the daemon did not live and end well. */
    async destroy() {
        let failure;
        try {
            if (this.isRunning())
                await this.stop();
            this.checkReports();
            if (this.death)
                throw new Error(this.death);
            if (!this.options.keepGuests)
                await eventually('guests are gone', async () => this.guestProcesses().length === 0, { ms: 5000 })
                    .catch((error) => {
                        throw new Error(`${error.message}: ${this.guestProcesses().map(describe).join('; ')}`);
                    });
        } catch (error) {
            failure = error;
            if (this.isRunning()) {
                this.process.kill('SIGKILL');
                await this.exited;
            }
        }
        for (const pid of this.guestProcesses())
            try {
                process.kill(pid, 'SIGKILL');
            } catch { /* gone by itself */ }
        if (failure && process.env.DESKFARM_KEEP)
            fs.writeFileSync(path.join(this.dir, 'log'), this.log);
        else
            fs.rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 });
        if (failure)
            throw failure;
    }
}

/** The output of a daemon that is expected to end by itself. */
export function runDaemon(args, options = {}) {
    try {
        const out = execFileSync(binary, args, { timeout: 20000, stdio: 'pipe', ...options });
        return { code: 0, out: out.toString(), err: '' };
    } catch (error) {
        return { code: error.status, signal: error.signal, out: `${error.stdout}`, err: `${error.stderr}` };
    }
}
