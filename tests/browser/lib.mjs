/** Debian's Chromium, driven by playwright-core, with an empty profile. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';
import { buildDir } from '../integration/lib/daemon.mjs';

const CHROMIUM = '/usr/bin/chromium';
const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'];

async function loadPlaywright() {
    try {
        return await import('playwright-core');
    } catch {
        return null;
    }
}

export const playwright = await loadPlaywright();

/** What keeps browser tests from running, or false. */
export function lacksBrowser() {
    if (!playwright)
        return 'needs playwright-core (npm ci in tests/)';
    return fs.existsSync(CHROMIUM) ? false : `needs ${CHROMIUM}`;
}

/** A browser with a profile of its own; close() removes it. args: flags beside the usual ones. */
export async function openBrowser({ args = [], ...options } = {}) {
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'df-chromium-'));
    const context = await playwright.chromium.launchPersistentContext(profile, {
        executablePath: CHROMIUM, headless: true, args: [...flags, ...args], ignoreDefaultArgs: ['--headless', '--headless=old'], viewport: { width: 1280, height: 800 }, ...options,
    });
    return {
        context, profile,
        close: async () => {
            await context.close();
            fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
        },
    };
}

/**
 * A browser for the tests of a file, beside the farm that they use. `options` is for each test; `shot` keeps a
 * picture of a page for a person, in BUILD_DIR/browser/.
 */
export function useBrowser(farm, { timeout = 120000 } = {}) {
    const pictures = path.join(buildDir, 'browser');
    const options = { skip: farm.skip || lacksBrowser(), timeout };
    const self = {
        options, context: undefined,
        shot: (page, name, how = {}) => page.screenshot({ path: path.join(pictures, `${name}.png`), ...how }),
    };
    let browser;
    before(async () => {
        if (options.skip)
            return;
        fs.mkdirSync(pictures, { recursive: true });
        browser = await openBrowser();
        self.context = browser.context;
    }, { timeout: 60000 });
    after(() => browser?.close(), { timeout: 30000 });
    return self;
}
