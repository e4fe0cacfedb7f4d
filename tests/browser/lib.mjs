/** Debian's Chromium, driven by playwright-core, with an empty profile. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

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
