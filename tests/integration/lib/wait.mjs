/** Waiting for something with a deadline. Nothing here is a sleep that hopes. */

export class Timeout extends Error {}

/** Settles as the promise does, or fails after `ms` with what was waited for. */
export function within(ms, what, promise) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Timeout(`${what}: nothing within ${ms} ms`)), ms);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/**
 * For state that only can be asked for: asks every `every` ms until the answer is true, and returns
 * that answer.
 */
export async function eventually(what, ask, { ms = 30000, every = 50 } = {}) {
    const end = Date.now() + ms;
    let last;
    for (;;) {
        const answer = await ask().catch((error) => {
            last = error;
            return undefined;
        });
        if (answer)
            return answer;
        if (Date.now() > end)
            throw new Timeout(`${what}: not within ${ms} ms${last ? ` (${last.message})` : ''}`);
        await new Promise((resolve) => setTimeout(resolve, every));
    }
}
