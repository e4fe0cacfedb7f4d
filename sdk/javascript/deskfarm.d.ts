/** Types of deskfarm.js. */
export type Dialect = 'anthropic' | 'openai' | 'gemini' | 'ui_tars' | 'osworld';
export interface Action { type: string; [field: string]: unknown }
export interface Size { width: number; height: number }
/** How a text went into the guest; `type` takes one too, or 'auto'. */
export type Route = 'keys' | 'guest_keymap' | 'clipboard' | 'unicode' | 'alt' | 'alt_hex';
export type Effect = 'confirmed' | 'no_visible_effect' | 'partial' | 'refused';
export interface Result {
    index: number;
    type: string;
    effect: Effect;
    first_damage_us?: number;
    last_damage_us?: number;
    damaged_tiles?: number;
    watched_us?: number;
    characters?: number;
    route?: Route;
    routes?: Partial<Record<Route, number>>;
    confirmed?: boolean;
    [field: string]: unknown;
}
export interface Window { id: string | number; title: string; class: string; active: boolean; [field: string]: unknown }
export interface Seen {
    results: Result[];
    settle?: { result: string; first_ms?: number; last_ms?: number; waited_ms: number };
    image?: Size & { id: string; frame: number; format: string; bytes: Uint8Array };
    frame: number;
    screen: Size | null;
    cursor: { x: number; y: number; visible: boolean } | null;
}
export interface CallOptions { body?: unknown; query?: Record<string, unknown>; accept?: string; signal?: AbortSignal }

export class DeskfarmError extends Error {
    status: number;
    code: string;
    body: unknown;
}
export class Deskfarm {
    constructor(options?: { url?: string; key?: string });
    call(method: string, path: string, options?: CallOptions): Promise<any>;
    create(image: string, options?: { timeout?: number; [field: string]: unknown }): Promise<Sandbox>;
    sandbox(id: string): Sandbox;
    sandboxes(): Promise<Array<{ id: string; [field: string]: unknown }>>;
}
export class Sandbox {
    readonly id: string;
    get(): Promise<any>;
    delete(): Promise<void>;
    wait(what?: 'up' | 'settled' | 'change', options?: Record<string, unknown>): Promise<any>;
    waitUp(max_ms?: number): Promise<any>;
    act(actions: Action | Action[], options?: Record<string, unknown>): Promise<Seen>;
    screenshot(query?: Record<string, unknown>): Promise<Uint8Array>;
    tools(dialect: Dialect, query?: Record<string, unknown>): Promise<{ tools: any[]; image: Size }>;
    say(dialect: Dialect, said: unknown, query?: Record<string, unknown>): Promise<any>;
    windows(): Promise<Window[]>;
    setLayout(layout: string, variant?: string): Promise<any>;
    read(path: string): Promise<Uint8Array>;
    exec(command: string, options?: Record<string, unknown>): Promise<{ exitCode: number; result: string }>;
    fork(options?: Record<string, unknown>): Promise<any>;
}
