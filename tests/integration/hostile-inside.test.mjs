/**
 * A guest whose root takes the agent's port for himself: floods, lies about lengths, does not read.
 * The daemon stays small and quick, the other guest's agent notices nothing, and when the port has
 * its agent again, that guest is as good as new.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSanitized, ownMemory } from './lib/daemon.mjs';
import { useFarm } from './lib/farm.mjs';
import { Probe } from './lib/probe.mjs';
import { eventually } from './lib/wait.mjs';

const MEMORY_MAX = 24 * 1024 * 1024;
const ANSWER_MAX_MS = isSanitized() ? 500 : 100;
const ATTACK_S = 5;

let hostile;
const farm = useFarm({
    prepare: async () => {
        hostile = await Probe.create(farm.daemon, farm.client);
        for (const id of [farm.id, hostile.id])
            await ready(id);
    },
});
const options = { skip: farm.skip, timeout: 180000 };

const ready = (id, ms = 20000) => eventually(`the agent of ${id} is ready`, async () =>
    (await farm.client.get(id)).agent === 'ready', { ms, every: 50 });

async function run(id, command, more = {}) {
    const { body } = await farm.client.call('POST', `/v1/sandboxes/${id}/proxy/44772/command`, {
        body: { command, ...more }, headers: { accept: 'application/x-ndjson' },
    });
    const events = body.toString().split('\n').filter((line) => line).map((line) => JSON.parse(line));
    return events.filter(({ type }) => type === 'stdout').map(({ text }) => text).join('');
}

/** What root does with the port as descriptor 3, for ATTACK_S seconds. */
const attacks = {
    'floods with noise': `timeout ${ATTACK_S} cat /dev/urandom >&3`,
    'floods with nothing': `timeout ${ATTACK_S} cat /dev/zero >&3`,
    'lies about lengths': `timeout ${ATTACK_S} yes "$(printf 'DFA\\001\\010\\001\\001\\001\\377\\377\\377\\377abcdefgh')" >&3`,
    'says welcome without end': `timeout ${ATTACK_S} yes "$(printf 'DFA\\001\\002')" >&3`,
    'does not read': `sleep ${ATTACK_S}`,
};

/** Its words go nowhere: their reader is the agent that it kills. */
const take = (attack) => `
    exec >/dev/null 2>&1
    port=/dev/$(basename $(dirname $(grep -l org.deskfarm.agent.0 /sys/class/virtio-ports/*/name)))
    mv /bin/deskfarm-agent /bin/kept
    killall -9 deskfarm-agent
    sleep 0.3
    exec 3<>$port
    ${attack}
    exec 3>&-
    mv /bin/kept /bin/deskfarm-agent`;

for (const [name, attack] of Object.entries(attacks)) {
    test(`a guest ${name}`, options, async (t) => {
        const before = ownMemory(farm.daemon.pid);
        await run(hostile.id, take(attack), { background: true });
        const isDeaf = attack.startsWith('sleep');
        const unheard = [];
        if (!isDeaf)
            await eventually('its agent is gone', async () => (await farm.client.get(hostile.id)).agent !== 'ready');
        else /* nobody can know yet; what is said now is not heard */
            for (let i = 0; i < 20; i++)
                unheard.push(run(hostile.id, `echo ${'x'.repeat(20000)}`).catch(() => 'refused'));
        const answers = [], commands = [];
        let memory = 0;
        for (const end = performance.now() + ATTACK_S * 1000 - 1500; performance.now() < end;) {
            const asked = performance.now();
            assert.equal((await farm.client.get(farm.id)).agent, 'ready', 'the other is not touched');
            answers.push(performance.now() - asked);
            assert.equal(await run(farm.id, 'echo here'), 'here\n');
            commands.push(performance.now() - asked);
            memory = Math.max(memory, ownMemory(farm.daemon.pid) - before);
            await new Promise((resolve) => setTimeout(resolve, 50));
        }
        answers.sort((a, b) => a - b);
        commands.sort((a, b) => a - b);
        const p95 = answers[Math.floor(answers.length * 0.95)];
        t.diagnostic(`the daemon answers in ${p95.toFixed(1)} ms (p95), the other guest's commands in `
            + `${commands[commands.length >> 1].toFixed(0)} ms (median); ${(memory / 1048576).toFixed(1)} MiB more`);
        assert.ok(p95 < ANSWER_MAX_MS, `${p95} ms`);
        assert.ok(memory < MEMORY_MAX, `${memory} bytes more`);
        await eventually('its agent is as good as new', async () =>
            await run(hostile.id, 'echo back').catch(() => '') === 'back\n', { ms: 60000, every: 200 });
        await Promise.all(unheard);
    });
}
