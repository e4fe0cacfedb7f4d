/**
 * Every operation of the API table, as /openapi.json tells it, gets wrong, missing, huge and random
 * input. The daemon may refuse all of it, but not crash, hang, or blame itself (status 500).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count, Random } from './lib/counts.mjs';
import { useFarm } from './lib/farm.mjs';

const farm = useFarm();
const options = { skip: farm.skip, timeout: 600000 };
const random = new Random();
let document;

/* Bodies that are right, for paths that are not. */
const minimal = {
    desktop_actions: { actions: [{ type: 'wait', duration_ms: 0 }] }, desktop_wait: { for: 'settled' },
    desktop_resize: { width: 800, height: 600 }, sandbox_renew: { expiresAt: '2099-01-01T00:00:00Z' },
};

/* Each takes effect; they are walked with values that have none. */
const DANGEROUS = new Set(['drain', 'key_add']);

/* Not asked at random: the guest would be gone or not alone, or the answer would not end. */
const UNSETTLING = new Set(['sandbox_delete', 'sandbox_pause', 'sandbox_hibernate', 'sandbox_fork', 'sandbox_checkpoint',
    'guest_metrics_watch']);

/* Whatever comes goes on into the guest. */
const PASSED_ON = new Set(['sandbox_proxy', 'sandbox_tunnel']);

/** Somebody else's language: any JSON may be meant. */
const takesAnything = (op) => !op.body.type && !op.body.$ref && !op.body.oneOf;

/** Operations of the document: {name, method, path, parameters, body}. */
async function operations() {
    document ??= (await farm.client.call('GET', '/openapi.json')).json;
    return Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, op]) => ({
        name: op.operationId, method: method.toUpperCase(), path,
        parameters: op.parameters ?? [], body: op.requestBody?.content?.['application/json']?.schema, op,
    })));
}

function fillPath(op, values = {}) {
    const named = (name) => op.parameters.find((p) => p.in === 'path' && p.name === name)?.schema.enum?.[0];
    return op.path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(values[name] ?? { id: farm.id, port: '6080' }[name] ?? named(name) ?? 'x'));
}

/** Sends it, and holds the daemon to what every answer must be. */
async function send(op, path, request = {}) {
    const what = `${op.method} ${path.slice(0, 200)} ${JSON.stringify(request.body)?.slice(0, 300)}`;
    const answer = await farm.client.send(op.method, path, { ms: 80000, ...request }).catch((error) => {
        if (path.includes('%00') && error.code === 'ECONNRESET')
            return { status: 400, headers: {}, json: { code: 'closed', message: 'the HTTP parser hangs up on NUL' } };
        error.message = `${what}: ${error.message}`;
        throw error;
    });
    assert.notEqual(answer.status, 500, `${what}: ${answer.body}`);
    if (answer.status >= 400 && op.method !== 'HEAD') {
        assert.ok(answer.json, `${what}: an error is JSON, not ${answer.body?.toString().slice(0, 200)}`);
        assert.equal(typeof answer.json.code, 'string', what);
        assert.ok(answer.json.message?.length > 0, what);
    }
    return answer;
}

const strange = () => random.pick([
    null, true, false, 0, -1, 1e308, -1e-308, 9007199254740993, 2 ** 31, '', 'x', 'x'.repeat(5000), '\u0000', '🂡\uffff',
    [], {}, [[]], [null], { x: 1 }, ['x'.repeat(300)], Array.from({ length: 300 }, () => 1), 'NaN', '%s%n', '../../etc/passwd',
]);

/** A value that the schema allows, mostly; sometimes any other. */
function valueOf(schema, depth = 0) {
    if (!schema || depth > 5 || random.int(0, 24) === 0)
        return strange();
    if (schema.$ref)
        return valueOf(schema.$ref.split('/').slice(1).reduce((at, key) => at?.[key], document), depth + 1);
    if (schema.oneOf || schema.anyOf)
        return valueOf(random.pick(schema.oneOf ?? schema.anyOf), depth + 1);
    if (schema.const !== undefined)
        return schema.const;
    if (schema.enum)
        return random.pick(schema.enum);
    switch ([schema.type].flat()[0]) {
    case 'string':
        return 'abc'.repeat(random.int(0, 4));
    case 'integer':
    case 'number':
        return random.pick([schema.minimum ?? 0, schema.minimum ?? 1, schema.maximum ?? 100, random.int(1, 100), random.int(1, 100),
            random.int(0, 9) ? 10 : random.pick([(schema.maximum ?? 1e9) + 1, -1, 0.5])]);
    case 'boolean':
        return random.int(0, 1) === 1;
    case 'array':
        return Array.from({ length: random.int(0, 3) }, () => valueOf(schema.items, depth + 1));
    case 'object':
        return Object.fromEntries(Object.entries(schema.properties ?? { a: {} })
            .filter(([name]) => schema.required?.includes(name) || random.int(0, 2) === 0)
            .map(([name, inner]) => [name, valueOf(inner, depth + 1)]));
    default:
        return strange();
    }
}

/** Keeps random requests from taking minutes, guests or the daemon with them. */
function tame(op, body) {
    if (body && typeof body === 'object' && !Array.isArray(body)) {
        for (const name of ['max_ms', 'first_ms', 'quiet_ms', 'queue_ms', 'wait_ms', 'duration_ms', 'hold_ms', 'step_ms',
            'hold_before_ms', 'hold_after_ms', 'delay_ms'])
            if (typeof body[name] === 'number' && body[name] > 50)
                body[name] = body[name] > 600000 ? body[name] : 50;
        Object.values(body).forEach((inner) => tame(op, inner));
        if (body.settle && typeof body.settle === 'object')
            body.settle.max_ms ??= 50;
        if (op.name === 'sandbox_create' && body.image && typeof body.image === 'object')
            body.image.uri = 'no-such-image';
        if (op.name === 'desktop_wait' || op.name === 'desktop_watch')
            body.max_ms ??= 50;
    } else if (Array.isArray(body)) {
        body.forEach((inner) => tame(op, inner));
    }
    return body;
}

/** Query parameters that keep a screenshot from waiting long. */
function brief(op) {
    return op.name === 'desktop_screenshot' ? { max_ms: 50 } : {};
}

async function assertAlive() {
    assert.equal((await farm.client.send('GET', '/healthz', { ms: 5000 })).status, 200);
    assert.ok(farm.daemon.isRunning());
}

const each = (name, fn) => test(name, options, async (t) => {
    const list = await operations();
    assert.ok(list.length >= 20);
    await fn(list, t);
    await assertAlive();
});

each('the document names every operation once, with its role and summary', async (list) => {
    assert.equal(new Set(list.map((op) => op.name)).size, list.length);
    for (const { op } of list)
        assert.ok(op.summary && op['x-role'] && op.responses, op.operationId);
});

each('wrong methods are 405 and say what is allowed', async (list) => {
    for (const op of list.filter((o) => !PASSED_ON.has(o.name))) {
        const allowed = new Set(list.filter((other) => other.path === op.path).flatMap((other) =>
            (other.method === 'GET' ? ['GET', 'HEAD'] : [other.method])));
        for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH'].filter((m) => !allowed.has(m))) {
            const answer = await send({ ...op, method }, fillPath(op), { body: method === 'GET' ? undefined : {} });
            assert.equal(answer.status, 405, `${method} ${op.path}`);
            assert.deepEqual(new Set(answer.headers.allow.split(', ')), allowed, op.path);
        }
    }
});

each('bodies that are no JSON, or not an object', async (list) => {
    for (const op of list.filter((o) => o.body))
        for (const body of ['', '{', 'null', '[]', '"x"', '12', '{"a":1,}', '{"a":NaN}', '\u0000', '[['.repeat(5000),
            '{"a":'.repeat(5000), Buffer.from([0xff, 0xfe, 0x7b]), '{"a":1}{"b":2}', '{"a":"\\ud800"}', Buffer.from('{"a":"\xff"}', 'latin1')]) {
            if ((body === '' && !op.body.required) || (body === '[]' && op.body.type === 'array'))
                continue;
            const answer = await send(op, fillPath(op), { body });
            assert.ok(answer.status >= 400 && answer.status < 500, `${op.name} ${String(body).slice(0, 20)}: ${answer.status}`);
        }
});

each('unknown fields are errors on our own routes, ignored on OpenSandbox ones', async (list) => {
    for (const op of list.filter((o) => o.body && !takesAnything(o) && !DANGEROUS.has(o.name))) {
        const { json, status } = await send(op, fillPath(op), { body: { frobnicate: 1 } });
        if (op.op['x-opensandbox'])
            assert.notEqual(json?.code, 'unknown_field', op.name);
        else
            assert.deepEqual([status, json.code], [400, 'unknown_field'], op.name);
    }
    const answer = await farm.client.send('GET', `/v1/sandboxes/${farm.id}/desktop/screenshot?frobnicate=1`);
    assert.deepEqual([answer.status, answer.json.code], [400, 'unknown_field']);
    const counters = (await farm.client.call('GET', '/metrics')).body.toString();
    assert.match(counters, /ignored_fields(_total)?(\{[^}]*\})? [1-9]/, 'ignored fields are counted');
});

each('each required field, missing', async (list) => {
    for (const op of list.filter((o) => o.body?.required?.length)) {
        const { status, json } = await send(op, fillPath(op), { body: {} });
        assert.deepEqual([status, json.code], [400, 'missing_field'], op.name);
        assert.match(json.message, new RegExp(op.body.required.join('|')), op.name);
    }
});

each('each field of the wrong type', async (list) => {
    const wrong = { string: 5, integer: 'x', number: 'x', boolean: 'yes', array: 'x', object: 'x' };
    for (const op of list.filter((o) => o.body?.properties && !DANGEROUS.has(o.name)))
        for (const [name, schema] of Object.entries(op.body.properties)) {
            const type = schema.oneOf ? 'object' : [schema.type].flat()[0];
            if (!(type in wrong))
                continue;
            const { status, json } = await send(op, fillPath(op), { body: { [name]: wrong[type] } });
            assert.equal(status, 400, `${op.name}.${name}`);
            assert.ok(['bad_type', 'missing_field'].includes(json.code), `${op.name}.${name}: ${json.code}`);
        }
});

each('each number beyond its limits', async (list) => {
    for (const op of list.filter((o) => o.body?.properties && !DANGEROUS.has(o.name)))
        for (const [name, schema] of Object.entries(op.body.properties).filter(([, s]) => s.maximum !== undefined)) {
            const { status, json } = await send(op, fillPath(op), { body: { [name]: schema.maximum + 1 } });
            assert.equal(status, 400, `${op.name}.${name}`);
            assert.ok(['bad_value', 'missing_field', 'bad_type'].includes(json.code), `${op.name}.${name}: ${json.code}`);
        }
});

each('query parameters with strange values', async (list) => {
    for (const op of list)
        for (const parameter of op.parameters.filter((p) => p.in === 'query'))
            for (const value of ['', 'x', '-1', '1e9', '99999999999999999999', 'null', '%00', '\u0000', '🂡', '1'.repeat(3000), 'true'])
                await send(op, `${fillPath(op)}?${new URLSearchParams({ ...brief(op), [parameter.name]: value })}`);
});

each('path parameters that name nothing', async (list) => {
    for (const op of list.filter((o) => /\{/.test(o.path) && !DANGEROUS.has(o.name)))
        for (const id of ['sb-doesnotexist', 'x', '..', '.', '%', '\u0000', '🂡', 'x'.repeat(31), 'x'.repeat(2000), "'; DROP TABLE document; --"]) {
            const answer = await send(op, fillPath(op, { id }), { body: op.body ? { ...minimal[op.name] } : undefined });
            if (id === '..' && [200, 415].includes(answer.status))
                continue; /* the path is another operation's then */
            assert.ok([400, 404, 405, 414, 431, 501].includes(answer.status), `${op.name} ${id.slice(0, 40)}: ${answer.status}`);
        }
});

each('huge bodies are refused before they are read to the end', async (list) => {
    for (const op of list.filter((o) => o.body)) {
        const huge = JSON.stringify({ x: 'y'.repeat(9 << 20) });
        const answer = await send(op, fillPath(op), { body: huge }).catch((error) => {
            if (['EPIPE', 'ECONNRESET'].includes(error.code))
                return { status: 413 }; /* the answer came and the rest of the body was not wanted */
            throw error;
        });
        assert.equal(answer.status, 413, op.name);
    }
});

each('random requests', async (list, t) => {
    t.diagnostic(`seed ${random.seed}, ${count('randomInputs')} for each operation`);
    for (const op of list.filter((o) => !DANGEROUS.has(o.name) && !UNSETTLING.has(o.name))) {
        const statuses = new Map();
        for (let i = 0; i < count('randomInputs'); i++) {
            const query = Object.fromEntries(op.parameters.filter((p) => p.in === 'query' && random.int(0, 2) === 0)
                .map((p) => [p.name, tame(op, { [p.name]: valueOf(p.schema) })[p.name]]).map(([k, v]) => [k, typeof v === 'object' ? JSON.stringify(v) : `${v}`]));
            if (op.name === 'desktop_screenshot' && query.settle)
                query.max_ms = '50';
            const body = op.body ? tame(op, valueOf(op.body)) : undefined;
            const search = Object.keys(query).length ? `?${new URLSearchParams(query)}` : '';
            const answer = await send(op, fillPath(op) + search, { body: body === undefined ? undefined : JSON.stringify(body) });
            statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        }
        t.diagnostic(`${op.name}: ${[...statuses].map(([s, n]) => `${s}×${n}`).join(' ')}`);
    }
    await farm.client.act(farm.id, { type: 'release_all' }, { queue_ms: 10000 });
});

each('random bytes as bodies', async (list) => {
    for (const op of list.filter((o) => o.body))
        for (let i = 0; i < Math.min(20, count('randomInputs')); i++)
            await send(op, fillPath(op), { body: random.bytes(random.int(1, 2000)) });
});

/** Names in the answer that its schema does not have, as "a.b". */
function undocumented(value, schema, at = '') {
    if (!schema?.properties || value === null || typeof value !== 'object')
        return Array.isArray(value) && schema?.items ? value.flatMap((inner) => undocumented(inner, schema.items, `${at}[]`)) : [];
    return Object.entries(value).flatMap(([name, inner]) => (name in schema.properties
        ? undocumented(inner, schema.properties[name], `${at}.${name}`) : [`${at}.${name}`.slice(1)]));
}

each('answers hold only what the document says', async (list) => {
    const bodies = { desktop_actions: { actions: [{ type: 'click', x: 5, y: 5 }], settle: { max_ms: 500 } },
        desktop_wait: { for: 'settled', max_ms: 500, screenshot: {} } };
    const found = {};
    for (const op of list) {
        const [status, response] = Object.entries(op.op.responses).find(([key]) => key !== 'default') ?? [];
        const schema = response?.content?.['application/json']?.schema;
        if (!schema?.properties || (op.method !== 'GET' && !bodies[op.name]))
            continue;
        const answer = await send(op, fillPath(op), { body: bodies[op.name], headers: { accept: 'application/json' } });
        if (answer.status !== Number(status))
            continue;
        const names = [...new Set(undocumented(answer.json, schema))];
        if (names.length)
            found[op.name] = names;
    }
    assert.deepEqual(found, {});
});

test('the guest lives and works after all that', options, async () => {
    const mark = farm.probe.mark();
    await farm.client.act(farm.id, { type: 'click', x: 12, y: 34 }, { queue_ms: 10000 });
    const clicks = (await farm.probe.received(farm.client, mark)).filter((e) => e.ev === 'button' && e.down);
    assert.deepEqual(clicks.map((e) => [e.x, e.y]), [[12, 34]]);
});
