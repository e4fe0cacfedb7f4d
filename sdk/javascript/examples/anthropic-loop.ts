/**
 * A task by a Claude model: the loop, with nothing between the model's answer and the desktop. Node 22.18 or later
 * runs it as it is: node anthropic-loop.ts "open the editor".
 *
 * ANTHROPIC_API_KEY and MODEL are needed; ANTHROPIC_BASE_URL may name another address, SANDBOX a desktop that is there.
 */
import { Deskfarm, type Sandbox } from '../deskfarm.js';

const env = process.env;
const url = `${env.ANTHROPIC_BASE_URL ?? 'https://api.anthropic.com'}/v1/messages`;
const headers = { 'content-type': 'application/json', 'x-api-key': env.ANTHROPIC_API_KEY ?? '', 'anthropic-version': '2023-06-01' };

interface Block { type: string; text?: string }
interface Said { stop_reason: string; content: Block[] }

async function ask(tools: unknown[], messages: unknown[]): Promise<Said> {
    const body = JSON.stringify({ model: env.MODEL ?? '', max_tokens: 4096, tools, messages });
    const answer = await fetch(url, { method: 'POST', headers, body });
    if (!answer.ok)
        throw new Error(`${answer.status}: ${await answer.text()}`);
    return await answer.json() as Said;
}

async function run(desktop: Sandbox, task: string): Promise<string> {
    const { tools } = await desktop.tools('anthropic');
    const messages: unknown[] = [{ role: 'user', content: task }];
    for (let turn = 0; turn < 100; turn++) {
        const said = await ask(tools, messages);
        messages.push({ role: 'assistant', content: said.content });
        if (said.stop_reason !== 'tool_use')
            return said.content.map((block) => block.text ?? '').join('');
        messages.push(await desktop.say('anthropic', said));
    }
    throw new Error('it does not come to an end');
}

const farm = new Deskfarm();
const desktop = env.SANDBOX ? farm.sandbox(env.SANDBOX) : await farm.create('debian-xfce');
try {
    if (!env.SANDBOX)
        await desktop.waitUp();
    console.log(await run(desktop, process.argv[2] ?? 'say what you see'));
} finally {
    if (!env.SANDBOX)
        await desktop.delete();
}
