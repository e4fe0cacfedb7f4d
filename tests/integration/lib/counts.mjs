/**
 * How often a scenario is repeated: reduced, and full with DESKFARM_FULL=1. The code that runs is the
 * same for both.
 */
const table = {
    /* Points per side of the grid that is clicked in each coordinate space and image scale. */
    gridSide: [3, 5],
    settleTrials: [12, 100],
    /* Sandboxes created and deleted one after another to look for leaks. */
    createDelete: [3, 20],
    /* Random inputs per operation of the API table. */
    randomInputs: [25, 400],
    typedCharacters: [600, 5000],
    /* Different characters, typed by the helper. */
    helpedCharacters: [150, 500],
    resizes: [3, 7],
    tornActions: [3, 20],
    /* Rounds of typing, scrolling, dragging and a film in a recording. */
    recordedRounds: [1, 20],
    /* Moments of a recording that a page goes to. */
    seeks: [20, 100],
    /* Kills of a daemon that records. */
    recordedKills: [3, 50],
    /* Of one sandbox; 64 are as many layers as one QEMU takes. */
    checkpoints: [8, 70],
    maskedShots: [5, 200],
    /* Commands that end at once, whose output has to be whole. */
    shortCommands: [50, 500],
};

export const isFull = process.env.DESKFARM_FULL === '1';

/** @param {keyof typeof table} name */
export function count(name) {
    return table[name][isFull ? 1 : 0];
}

/**
 * Random numbers that come again: xorshift32 with a seed from DESKFARM_SEED, or a new one. Whoever
 * uses it prints the seed.
 */
export class Random {
    constructor(seed = Number(process.env.DESKFARM_SEED) || (Date.now() & 0x7fffffff) || 1) {
        this.seed = seed;
        this.state = seed | 0 || 1;
    }

    /** An integer from min to max, both included. */
    int(min, max) {
        this.state ^= this.state << 13;
        this.state ^= this.state >>> 17;
        this.state ^= this.state << 5;
        return min + (this.state >>> 0) % (max - min + 1);
    }

    pick(list) {
        return list[this.int(0, list.length - 1)];
    }

    bytes(size) {
        return Buffer.from(Array.from({ length: size }, () => this.int(0, 255)));
    }
}

/** The value below which the share `p` (0–1) of the list lies. */
export function percentile(list, p) {
    const sorted = [...list].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * p) - 1)];
}
