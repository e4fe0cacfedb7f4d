/** Anthropic's own toolset class, subclassed as thinly as it can be: every member goes to the daemon as it came. */
import { BetaAbstractComputerToolset20260801 } from '@anthropic-ai/sdk/helpers/beta/toolsets';

export class Desktop extends BetaAbstractComputerToolset20260801 {
    constructor(client, id, options = {}) {
        super({ confirm: () => true, ...options });
        Object.defineProperty(this, 'play', {
            value: (block) => client.call('POST', `/v1/sandboxes/${id}/desktop/dialects/anthropic`, { body: block }),
        });
    }

    async execute(ctx, name, input) {
        const { json } = await this.play({ type: 'tool_use', id: 'x', name, toolset_name: 'computer', input });
        const text = json.content.find((block) => block.type === 'text')?.text;
        const image = json.content.find((block) => block.type === 'image')?.source;
        if (json.is_error)
            throw new Error(text);
        if (image)
            return { data: image.data, mediaType: image.media_type };
        const point = /^X=(\d+),Y=(\d+)$/.exec(text);
        return point ? { x: Number(point[1]), y: Number(point[2]) } : text;
    }
}
