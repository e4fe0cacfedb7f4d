/**
 * The builder of Windows images (images/windows) up to where Windows itself would take over: what it refuses, the
 * answer file of every version, and whole builds from a stand-in ISO, whose UEFI program asks for a key, finds its
 * media and obeys the answer file.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Daemon, buildDir, findProcesses } from './lib/daemon.mjs';
import { decodePng } from './lib/png.mjs';
import { eventually } from './lib/wait.mjs';
import { edition, lacksTools, makeProgram, makeVirtioIso, makeWindowsIso, recipeDir, runBuild, server, startBuild }
    from './lib/windows.mjs';

const golden = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../golden');
const skip = lacksTools();
const options = { skip, timeout: 60000 };
const guestOptions = { skip, timeout: 180000 };
/* The stand-in is not signed, and one processor is enough for it. */
const MACHINE = ['--firmware', 'uefi', '--no-tpm', '--cpus', '1', '--memory-mib', '2048', '--disk-gib', '20'];
const AWKWARD = { user: "Ann & O'Neill", password: `A<b>&"c' d1`, key: 'ABCDE-FGHIJ-KLMNO-PQRST-UVWXY' };

const build = (number) => ({ 'WINDOWS/VERSION/BUILD': number });
const VERSIONS = {
    'windows-10': [edition('Windows 10 Home', { ...build(19041), 'WINDOWS/EDITIONID': 'Core' }),
        edition('Windows 10 Pro', build(19041))],
    'windows-11': [edition('Windows 11 Enterprise Evaluation', { ...build(26100), 'WINDOWS/EDITIONID': 'EnterpriseEval' })],
    'windows-server-2019': [server('Windows Server 2019 SERVERSTANDARDCORE', { ...build(17763),
        'WINDOWS/INSTALLATIONTYPE': 'Server Core' }), server('Windows Server 2019 SERVERSTANDARD', build(17763))],
    'windows-server-2022': [server('Windows Server 2022 SERVERSTANDARD', build(20348))],
    'windows-server-2025': [server('Windows Server 2025 SERVERSTANDARD', build(26100))],
};
let dir, cache, virtio;

const isos = new Map();
/** A Windows ISO of a test, made once. */
function iso(name, about) {
    if (!isos.has(name))
        isos.set(name, makeWindowsIso(path.join(dir, `${name}.iso`), about));
    return isos.get(name);
}
const versionIso = (name) => iso(name, { editions: VERSIONS[name] });
const plan = (args) => runBuild(cache, ['--print-dir', ...args]);

before(() => {
    if (skip)
        return;
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'df-windows-'));
    fs.chmodSync(dir, 0o755); // as root, QEMU runs as a user of its own
    cache = path.join(dir, 'cache');
    virtio = makeVirtioIso(path.join(dir, 'virtio-win.iso'));
});
after(() => dir && fs.rmSync(dir, { recursive: true, force: true }));

/* --- Answer files ------------------------------------------------------------------------------------------- */

/** Texts of the nodes of an answer file at a path of element names, below one pass. */
class Answer {
    constructor(file) {
        this.file = file;
        execFileSync('xmllint', ['--noout', '--nonet', file]);
    }

    static async of(name, args = []) {
        const { code, out, err } = await runBuild(cache,
            ['--iso', versionIso(name), '--virtio-win', virtio, '--print-answer', ...args]);
        assert.equal(code, 0, err);
        const file = path.join(dir, `${name}-answer.xml`);
        fs.writeFileSync(file, out);
        return new Answer(file);
    }

    all(pass, component, names) {
        const steps = names.split('/').map((name) => `*[local-name()='${name}']`).join('/');
        const expression = `//*[@pass='${pass}']/*[@name='Microsoft-Windows-${component}']/${steps}`;
        const count = Number(execFileSync('xmllint', ['--xpath', `count(${expression})`, this.file]));
        return Array.from({ length: count }, (_, i) => execFileSync('xmllint',
            ['--xpath', `string((${expression})[${i + 1}])`, this.file], { encoding: 'utf8' }).replace(/\n$/, ''));
    }

    one(...where) {
        const all = this.all(...where);
        assert.equal(all.length, 1, `${where.join(' ')}: ${all.length} of them`);
        return all[0];
    }
}

for (const [name, editions] of Object.entries(VERSIONS)) {
    test(`${name}: every setting of its answer file`, options, async () => {
        const isServer = name.includes('server');
        const answer = await Answer.of(name, ['--user', AWKWARD.user, '--password', AWKWARD.password, '--key', AWKWARD.key,
            '--time-zone', 'W. Europe Standard Time', '--keyboard', '0407:00000407', '--computer-name', 'FARM-1']);
        const { user, password, key } = AWKWARD;
        const setup = (names) => answer.one('windowsPE', 'Setup', names);
        const shell = (names) => answer.one('oobeSystem', 'Shell-Setup', names);

        /* Setup: the disk, the edition, drivers, no question */
        const disk = 'DiskConfiguration/Disk';
        assert.deepEqual([setup(`${disk}/DiskID`), setup(`${disk}/WillWipeDisk`)], ['0', 'true']);
        assert.deepEqual(answer.all('windowsPE', 'Setup', `${disk}/CreatePartitions/CreatePartition/Type`),
            ['EFI', 'MSR', 'Primary']);
        assert.deepEqual(answer.all('windowsPE', 'Setup', `${disk}/ModifyPartitions/ModifyPartition/Format`),
            ['FAT32', 'NTFS']);
        assert.deepEqual(['Key', 'Value'].map((it) => setup(`ImageInstall/OSImage/InstallFrom/MetaData/${it}`)),
            ['/IMAGE/INDEX', String(editions.length)]);
        assert.equal(setup('ImageInstall/OSImage/InstallTo/PartitionID'), '3');
        assert.equal(setup('UserData/AcceptEula'), 'true');
        assert.equal(setup('UserData/ProductKey/Key'), key);
        assert.equal(setup('DynamicUpdate/Enable'), 'false');
        assert.match(setup('RunSynchronous/RunSynchronousCommand/Path'), /echo deskfarm setup >COM1$/);
        assert.ok(answer.all('windowsPE', 'PnpCustomizationsWinPE', 'DriverPaths/PathAndCredentials/Path')
            .includes('F:\\drivers\\setup'));

        /* Language and keyboard, in Setup and after it */
        for (const [pass, component] of [['windowsPE', 'International-Core-WinPE'], ['oobeSystem', 'International-Core']]) {
            assert.equal(answer.one(pass, component, 'InputLocale'), '0407:00000407');
            assert.equal(answer.one(pass, component, 'UILanguage'), 'en-US');
            assert.equal(answer.one(pass, component, 'UserLocale'), 'en-US');
        }

        /* The machine */
        assert.equal(answer.one('specialize', 'Shell-Setup', 'ComputerName'), 'FARM-1');
        assert.equal(answer.one('specialize', 'Shell-Setup', 'TimeZone'), 'W. Europe Standard Time');
        const commands = answer.all('specialize', 'Deployment', 'RunSynchronous/RunSynchronousCommand/Path').join('\n');
        for (const [wanted, always] of [[/echo deskfarm specialize >COM1/, true], [/PreventDeviceEncryption .* 1 /, true],
            [/NewNetworkWindowOff/, true], [/BypassNRO/, false], [/DisablePrivacyExperience/, false]])
            assert.equal(wanted.test(commands), always || !isServer, `${wanted}`);
        assert.equal(answer.all('specialize', 'ServerManager-SvrMgrNc', 'DoNotOpenServerManagerAtLogon').length,
            isServer ? 1 : 0);

        /* No pages, an account, a logon by itself, our script */
        for (const page of ['HideEULAPage', 'HideLocalAccountScreen', 'HideOEMRegistrationScreen',
            'HideOnlineAccountScreens', 'HideWirelessSetupInOOBE'])
            assert.equal(shell(`OOBE/${page}`), 'true');
        assert.equal(shell('OOBE/ProtectYourPC'), '3');
        assert.equal(shell('UserAccounts/LocalAccounts/LocalAccount/Name'), user);
        assert.equal(shell('UserAccounts/LocalAccounts/LocalAccount/Group'), 'Administrators');
        assert.equal(shell('UserAccounts/LocalAccounts/LocalAccount/Password/Value'), password);
        assert.deepEqual(['Enabled', 'Username', 'Password/Value'].map((it) => shell(`AutoLogon/${it}`)),
            ['true', user, password]);
        assert.deepEqual(answer.all('oobeSystem', 'Shell-Setup', 'UserAccounts/AdministratorPassword/Value'),
            isServer ? [password] : []);
        assert.match(shell('FirstLogonCommands/SynchronousCommand/CommandLine'), /%d:\\deskfarm\\first-logon\.ps1/);
    });

    test(`${name}: its answer file without options is as it was reviewed`, options, async () => {
        const answer = await Answer.of(name);
        const file = path.join(golden, `${name}.xml`), text = fs.readFileSync(answer.file, 'utf8');
        if (process.env.DESKFARM_UPDATE_GOLDEN)
            fs.writeFileSync(file, text);
        assert.equal(text, fs.readFileSync(file, 'utf8'));
        assert.deepEqual(answer.all('windowsPE', 'Setup', 'UserData/ProductKey/Key'), []);
        assert.doesNotMatch(text, /\{\{|LabConfig|only:/);
    });

    test(`${name}: the image has its name`, options, async () => {
        const { code, out, err } = await plan(['--iso', versionIso(name), '--virtio-win', virtio]);
        assert.equal(code, 0, err);
        assert.match(path.basename(out.trim()), new RegExp(`^${name}-[0-9a-f]{12}$`));
    });
}

test('the scripts of both logons make every setting that is promised', options, () => {
    const script = ['first-logon.ps1', 'second-logon.ps1'].map((name) => fs.readFileSync(path.join(recipeDir, name), 'utf8'))
        .join('\n');
    for (const setting of ["'AutoAdminLogon' '1'", "'AutoLogonCount'", 'PasswordNeverExpires $true', "'/hibernate', 'off'",
        "'standby', 'monitor', 'disk'", "'NoLockScreen' 1", "'ScreenSaveActive' '0'", "'InactivityTimeoutSecs' 0",
        "'NoAutoUpdate' 1", "'NoAutoRebootWithLoggedOnUsers' 1", "'ActiveHoursStart'", "'HideFirstRunExperience' 1",
        "'DisablePrivacyExperience' 1", "'ScoobeSystemSettingEnabled' 0", "'PromptOnSecureDesktop' 0", 'pnputil.exe',
        'qemu-ga.msi', 'Display]::Set($settings.width, $settings.height)', 'shutdown.exe /s'])
        assert.ok(script.includes(setting), setting);
});

test('the answer medium holds the answer file, the drivers of that version, the agent and the scripts', options, () => {
    const medium = path.join(dir, 'answers.iso');
    execFileSync('python3', ['-B', '-c', `
import sys
sys.path.insert(0, ${JSON.stringify(recipeDir)})
import main, answers
plan = main.Plan(main.parse(${JSON.stringify(['--iso', versionIso('windows-server-2022'), '--virtio-win', virtio])}))
answers.make_medium(${JSON.stringify(medium)}, ${JSON.stringify(dir)}, plan.answer, plan.virtio, plan.version, plan.script_settings())
`]);
    const at = path.join(dir, 'medium');
    execFileSync('7z', ['x', '-y', `-o${at}`, medium], { stdio: 'ignore' });
    const read = (name) => fs.readFileSync(path.join(at, name), 'utf8');
    assert.match(read('autounattend.xml'), /SvrMgrNc/);
    assert.equal(read('drivers/setup/viostor/viostor.inf'), 'viostor for 2k22');
    assert.deepEqual(fs.readdirSync(path.join(at, 'drivers/setup')), ['viostor']);
    assert.deepEqual(fs.readdirSync(path.join(at, 'drivers/more')).sort(),
        ['Balloon', 'NetKVM', 'viogpudo', 'vioinput', 'viorng', 'vioserial']);
    assert.equal(read('drivers/more/viogpudo/viogpudo.cat'), 'viogpudo for 2k22');
    assert.equal(read('deskfarm/qemu-ga.msi'), 'agent x86_64');
    assert.deepEqual(JSON.parse(read('deskfarm/settings.json')),
        { user: 'user', password: 'Deskfarm-1', width: 1280, height: 800, agent: true });
    for (const name of ['common.ps1', 'first-logon.ps1', 'second-logon.ps1'])
        assert.match(read(`deskfarm/${name}`), /^\ufeff.*\r\n/);
});

/* --- Refusals -------------------------------------------------------------------------------------------------- */

const REFUSED = [
    ['no ISO at all', () => [], /give both ISO files/],
    ['no virtio-win', () => ['--iso', versionIso('windows-10')], /give both ISO files/],
    ['a file that is not there', () => ['--iso', '/nowhere.iso', '--virtio-win', virtio], /nowhere\.iso: No such file/],
    ['a directory', () => ['--iso', dir, '--virtio-win', virtio], /Is a directory/],
    ['no ISO', () => ['--iso', process.execPath, '--virtio-win', virtio], /no ISO file/],
    ['another ISO', () => ['--iso', virtio, '--virtio-win', virtio], /no Windows installation ISO: it lacks .*boot\.wim/],
    ['an ISO cut off', () => {
        const whole = fs.readFileSync(versionIso('windows-10')), file = path.join(dir, 'half.iso');
        fs.writeFileSync(file, whole.subarray(0, whole.length >> 1));
        return ['--iso', file, '--virtio-win', virtio];
    }, /not whole|cannot be read|whole ISO/],
    ['a Windows ISO without its boot files', () => ['--iso', iso('lacks', { editions: VERSIONS['windows-10'],
        lacks: ['efi/boot/bootx64.efi'] }), '--virtio-win', virtio], /it lacks efi\/boot\/bootx64\.efi/],
    ['32 bits', () => ['--iso', iso('x86', { editions: [edition('Windows 10 Pro', { ...build(19041), 'WINDOWS/ARCH': 0 })] }),
        '--virtio-win', virtio], /for 32-bit x86; an amd64/],
    ['arm64', () => ['--iso', iso('arm', { editions: [edition('Windows 11 Pro', { ...build(26100), 'WINDOWS/ARCH': 12 })] }),
        '--virtio-win', virtio], /for arm64; an amd64/],
    ['Windows 7', () => ['--iso', iso('old', { editions: [edition('Windows 7 PROFESSIONAL', build(7601))] }),
        '--virtio-win', virtio], /build 7601 .* none that is known here: Windows 10, /],
    ['an edition that is not there', () => ['--iso', versionIso('windows-10'), '--virtio-win', virtio, '--edition', 'Ultimate'],
        /no edition "Ultimate"; it has: 1 "Windows 10 Home", 2 "Windows 10 Pro"/],
    ['an edition without a desktop', () => ['--iso', versionIso('windows-server-2019'), '--virtio-win', virtio,
        '--edition', '1'], /"1" has no desktop/],
    ['a language that is not there', () => ['--iso', versionIso('windows-10'), '--virtio-win', virtio, '--language', 'fr-FR'],
        /this ISO has en-US, not "fr-FR"/],
    ['an old virtio-win', () => ['--iso', versionIso('windows-server-2025'), '--virtio-win',
        makeVirtioIso(path.join(dir, 'old.iso'), { versions: ['w10', '2k22'] })],
    /no drivers for Windows Server 2025: viostor\/2k25\/amd64, .*it is for 2k22, w10/],
    ['a virtio-win without the agent', () => ['--iso', versionIso('windows-10'), '--virtio-win',
        makeVirtioIso(path.join(dir, 'bare.iso'), { agent: false })], /qemu-ga-x86_64\.msi is missing/],
    ['Windows 11 without TPM', () => ['--iso', versionIso('windows-11'), '--virtio-win', virtio, '--no-tpm'],
        /needs TPM 2\.0 and Secure Boot/],
    ['a server with a weak password', () => ['--iso', versionIso('windows-server-2022'), '--virtio-win', virtio,
        '--password', 'password'], /three kinds/],
    ['a user that Windows has', () => ['--iso', versionIso('windows-10'), '--virtio-win', virtio, '--user', 'Administrator'],
        /has "Administrator" already/],
    ['a key that is none', () => ['--iso', versionIso('windows-10'), '--virtio-win', virtio, '--key', '12345'], /--key: .*XXXXX/],
];
for (const [what, args, expected] of REFUSED) {
    test(`refused: ${what}`, options, async () => {
        const { code, out, err } = await plan(args());
        assert.equal(code, 1, err);
        assert.match(err, expected);
        assert.equal(out, '');
    });
}

test('an unknown option and an unknown stage are usage errors', options, async () => {
    for (const args of [['--isso', 'x'], ['--limit', 'nothing=3'], ['--limit', 'setup=soon'], ['--width', '1']])
        assert.equal((await plan(args)).code, 2, args.join(' '));
});

test('the command deskfarm hands the options on', options, () => {
    const args = ['images', 'build', 'windows', '--iso', versionIso('windows-10'), '--virtio-win', virtio, '--print-dir',
        '--cache', cache];
    const out = execFileSync(path.join(buildDir, 'cli/deskfarm'), args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    assert.match(out, /\/images\/windows-10-[0-9a-f]{12}\n$/);
});

/* --- Whole builds ------------------------------------------------------------------------------------------------ */

const program = (() => {
    let file;
    return () => (file ??= makeProgram(path.join(dir, 'setup.efi')));
})();
const standIn = (goesOn) => iso(goesOn ? 'goes-on' : 'stays', { editions: VERSIONS['windows-10'], program: program(), goesOn });
const buildArgs = (goesOn, ...more) => ['--iso', standIn(goesOn), '--virtio-win', virtio, ...MACHINE, ...more];

/** Nothing of a build is left but the log, the lock and what `but` allows. */
async function assertNothingLeft(at, but = []) {
    await eventually('the build has ended', async () => findProcesses(at).length === 0);
    const left = fs.readdirSync(path.join(at, 'images')).filter((name) => !/\.(log|lock)$/.test(name) && !but.includes(name));
    assert.deepEqual(left, []);
}

function assertInOrder(text, ...parts) {
    let at = 0;
    for (const part of parts) {
        const found = text.slice(at).search(part);
        assert.ok(found >= 0, `${part} is missing, or out of order, in:\n${text}`);
        at += found + 1;
    }
}

test('from the ISO to a sealed image that boots', guestOptions, async () => {
    const own = path.join(dir, 'whole');
    const { code, out, err } = await runBuild(own, buildArgs(true, '--no-agent', '--as', 'stand-in'));
    assert.equal(code, 0, err);
    const pressed = /Press any key to boot from CD or DVD.*pressing a key/;
    assertInOrder(err, /\[1\/8\] .*the firmware starts the Windows ISO/, pressed, /\[2\/8\]/, /copied and has restarted/,
        /logged on for the first time/, /step 1\/1 nothing/, /warning no Windows/, /\[6\/8\]/, /\[8\/8\] .*sealing/);
    /* What the machine says of itself may come before the builder has seen the stage on the screen. */
    assertInOrder(err, pressed, /cd CCCOMA_X64FRE/, /cd DESKFARM/, /file autounattend\.xml/, /file drivers/, /file deskfarm/,
        /disk found/, /has read the answer file/, /copied and has restarted/);
    const image = out.trim();
    assert.match(path.basename(image), /^stand-in-[0-9a-f]{12}$/);
    await assertNothingLeft(own, ['stand-in', path.basename(image)]);
    const about = JSON.parse(fs.readFileSync(path.join(image, 'image.json')));
    assert.deepEqual([about.profile, about.disk_bytes, about.disk_bus, about.network_card, about.agent, about.media],
        ['windows', 20 * 2 ** 30, 'virtio', 'virtio', 'none', undefined]);
    assert.doesNotMatch((await runBuild(own, buildArgs(true, '--no-agent', '--as', 'stand-in'))).err, /\[1\/8\]/, 'built once');

    const daemon = await Daemon.start({ env: { DESKFARM_CACHE: own } });
    try {
        const client = daemon.client();
        const { id } = await client.create('stand-in', { network: 'none' });
        await eventually('what is on the disk starts, and switches off', async () =>
            (await client.get(id)).status.reason === 'PoweredOff', { ms: 90000 });
    } finally {
        await daemon.destroy();
    }
});

test('a stage that takes too long is told with what is on the screen', guestOptions, async () => {
    const own = path.join(dir, 'late');
    const { code, out, err } = await runBuild(own, buildArgs(false, '--limit', 'setup=0.15'));
    assert.equal(code, 1);
    assert.equal(out, '');
    assertInOrder(err, /has read the answer file/, /stage setup \(Windows Setup copies .*\) took longer than 0\.15 min/,
        /expected: the word "specialize"/, /--limit setup=MINUTES/, /last on the serial port: deskfarm setup/,
        /on the screen: .*Copying Windows files/, /screenshot: /);
    const picture = /screenshot: (.*)/.exec(err)[1];
    assert.ok(decodePng(fs.readFileSync(picture)).width >= 640);
    await assertNothingLeft(own, [path.basename(picture)]);
});

test('Ctrl-C ends everything', guestOptions, async () => {
    const own = path.join(dir, 'interrupted');
    const it = startBuild(own, buildArgs(false));
    await eventually('Setup runs', async () => /has read the answer file/.test(it.err), { ms: 120000 });
    process.kill(-it.child.pid, 'SIGINT');
    const { code, err } = await it.ended;
    assert.notEqual(code, 0);
    assert.match(err, /interrupted by SIGINT/);
    await assertNothingLeft(own);
});

test('a build that is killed leaves no machine, and the next one cleans up', guestOptions, async () => {
    const own = path.join(dir, 'killed');
    const it = startBuild(own, buildArgs(false));
    await eventually('the machine runs', async () => /\[1\/8\]/.test(it.err), { ms: 120000 });
    process.kill(-it.child.pid, 'SIGKILL');
    await it.ended;
    await eventually('the machine has ended', async () => findProcesses(own).length === 0, { ms: 20000 });
    const { code, err } = await runBuild(own, buildArgs(false, '--limit', 'firmware=0.0001'));
    assert.equal(code, 1);
    assert.match(err, /removing what an interrupted build left/);
    await assertNothingLeft(own, ['.windows-10.png']);
});
