/**
 * Stand-ins for what the user of images/build windows brings: ISO files laid out as Microsoft's and virtio-win's are
 * (UDF with an empty ISO 9660 part; a real WIM with a version's XML), with nothing of theirs in them.
 */
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildDir } from './daemon.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
export const recipeDir = path.join(root, 'images/windows');
const DRIVERS = { viostor: 'viostor', NetKVM: 'netkvm', vioserial: 'vioser', viogpudo: 'viogpudo', vioinput: 'vioinput',
    Balloon: 'balloon', viorng: 'viorng' };

const run = (program, args) => execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });

function write(file, data) {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, data);
}

/** What keeps the stand-ins from being made, or false: for the skip option of a test. */
export function lacksTools(...more) {
    const needed = ['7z', 'wimlib-imagex', 'genisoimage', 'xorriso', 'xmllint', 'mcopy', 'gcc', ...more];
    const lacks = needed.filter((name) => !(process.env.PATH ?? '').split(':')
        .some((dir) => fs.existsSync(path.join(dir, name))));
    return lacks.length > 0 && `needs ${lacks.join(', ')}`;
}

/** Editions of an ISO as its XML tells them. */
export const edition = (name, more = {}) => ({ NAME: name, DISPLAYNAME: name, 'WINDOWS/ARCH': 9,
    'WINDOWS/EDITIONID': 'Professional', 'WINDOWS/INSTALLATIONTYPE': 'Client', 'WINDOWS/LANGUAGES/DEFAULT': 'en-US',
    'WINDOWS/LANGUAGES/LANGUAGE': 'en-US', ...more });
export const server = (name, more = {}) => edition(name, { 'WINDOWS/EDITIONID': 'ServerStandardEval',
    'WINDOWS/INSTALLATIONTYPE': 'Server', ...more });

function makeWim(file, editions) {
    const tree = `${file}.tree`;
    write(path.join(tree, 'Windows/here'), 'nothing');
    editions.forEach(({ NAME, ...properties }, i) => {
        run('wimlib-imagex', [i ? 'append' : 'capture', tree, file, NAME, '--compress=none']);
        run('wimlib-imagex', ['info', file, String(i + 1),
            ...Object.entries(properties).map(([key, value]) => `--image-property=${key}=${value}`)]);
    });
    fs.rmSync(tree, { recursive: true });
}

/**
 * A Windows ISO. program: what its firmware starts; goesOn: that goes on as Windows would after Setup.
 * lacks: files to leave out.
 */
export function makeWindowsIso(file, { editions, program, goesOn = false, lacks = [] }) {
    const tree = `${file}.tree`, boot = path.join(tree, 'efi/microsoft/boot/efisys.bin');
    write(path.join(tree, 'readme.txt'), 'This disc is UDF.');
    write(path.join(tree, 'sources/boot.wim'), 'MSWIM');
    write(path.join(tree, 'efi/boot/bootx64.efi'), program ? fs.readFileSync(program) : 'MZ');
    write(boot, '');
    makeWim(path.join(tree, 'sources/install.wim'), editions);
    if (program) {
        run('mformat', ['-i', boot, '-C', '-f', '1440', '-v', 'EFI', '::']);
        run('mmd', ['-i', boot, '::/EFI', '::/EFI/BOOT']);
        run('mcopy', ['-i', boot, program, '::/EFI/BOOT/BOOTX64.EFI']);
        if (goesOn) {
            write(`${file}.empty`, '');
            run('mcopy', ['-i', boot, `${file}.empty`, '::/GOES-ON']);
        }
    }
    for (const name of lacks)
        fs.rmSync(path.join(tree, name));
    run('genisoimage', ['-quiet', '-udf', '-iso-level', '3', '-V', 'CCCOMA_X64FRE', '-hide', '*',
        ...(program ? ['-e', 'efi/microsoft/boot/efisys.bin', '-no-emul-boot'] : []), '-o', file, tree]);
    fs.rmSync(tree, { recursive: true });
    return file;
}

/** A virtio-win ISO with drivers for some versions. */
export function makeVirtioIso(file, { versions = ['w10', 'w11', '2k19', '2k22', '2k25'], agent = true } = {}) {
    const tree = `${file}.tree`;
    for (const [driver, name] of Object.entries(DRIVERS))
        for (const version of versions)
            for (const end of ['inf', 'sys', 'cat'])
                write(path.join(tree, driver, version, 'amd64', `${name}.${end}`), `${driver} for ${version}`);
    if (agent)
        for (const name of ['x86_64', 'i386'])
            write(path.join(tree, 'guest-agent', `qemu-ga-${name}.msi`), `agent ${name}`);
    run('xorriso', ['-as', 'mkisofs', '-quiet', '-J', '-r', '-V', 'virtio-win', '-o', file, tree]);
    fs.rmSync(tree, { recursive: true });
    return file;
}

/** The UEFI program of tests/windows. */
export function makeProgram(file) {
    run(path.join(root, 'tests/windows/make-program'), [file]);
    return file;
}

/** images/build windows with a cache of its own, as a process: `ended` is {code, out, err}. */
export function startBuild(cache, args) {
    const child = spawn(path.join(root, 'images/build'), ['windows', '--cache', cache, ...args],
        { env: { ...process.env, DESKFARM_BUILD: buildDir }, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const self = { child, out: '', err: '' };
    child.stdout.on('data', (part) => {
        self.out += part;
    });
    child.stderr.on('data', (part) => {
        self.err += part;
    });
    self.ended = new Promise((resolve) => {
        child.on('close', (code, signal) => resolve({ code: code ?? signal, out: self.out, err: self.err }));
    });
    return self;
}

export const runBuild = (cache, args) => startBuild(cache, args).ended;
