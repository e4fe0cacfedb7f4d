/**
 * The agent after QEMU saved and restored its guest (restore.c): usable within 100 ms, told who and
 * when it is, quiet and while commands run and flood; 20 times in a row with DESKFARM_FULL=1.
 * (alone)
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { buildDir, isSanitized, lacksImage } from './lib/daemon.mjs';

const isFull = process.env.DESKFARM_FULL === '1';
const rounds = isFull ? 20 : 4;
const LIMIT_MS = 100;

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

for (const mode of ['quiet', 'busy']) {
    test(`a restored guest's agent is usable within ${LIMIT_MS} ms, ${mode}`, {
        skip: lacksImage('probe'), timeout: 240000,
    }, async (t) => {
        const { stdout } = await promisify(execFile)(path.join(buildDir, 'tests/integration/restore'),
            ['probe', String(rounds), mode]);
        const lines = stdout.trim().split('\n').map((line) => JSON.parse(line));
        assert.equal(lines.length, rounds);
        const of = (key) => lines.map((line) => line[key]);
        for (const key of ['welcome_ms', 'ping_ms', 'identity_ms', 'exec_ms'])
            t.diagnostic(`${key}: median ${median(of(key)).toFixed(0)}, most ${Math.max(...of(key)).toFixed(0)}`);
        assert.ok(of('clock_step_ms').slice(1).every((ms) => ms > 0), 'the clock had fallen behind');
        if (isSanitized())
            return;
        const judged = isFull ? Math.max(...of('ping_ms')) : median(of('ping_ms'));
        assert.ok(judged <= LIMIT_MS, `${judged} ms`);
    });
}
