/** PNG to pixels, with nothing but zlib: 8 bits per channel, RGB or RGBA, not interlaced. */
import zlib from 'node:zlib';

function paeth(a, b, c) {
    const p = a + b - c, pa = Math.abs(p - a), pb = Math.abs(p - b), pc = Math.abs(p - c);
    return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

/** What a filter type adds to a byte, of the bytes to the left (a), above (b) and above left (c). */
const guesses = [() => 0, (a) => a, (a, b) => b, (a, b) => a + b >> 1, paeth];

function unfilter(raw, width, height, bpp) {
    const stride = width * bpp, data = Buffer.alloc(stride * height);
    for (let y = 0, at = 0; y < height; y++) {
        const guess = guesses[raw[at++]], row = y * stride, up = row - stride;
        for (let i = 0; i < stride; i++, at++) {
            const a = i >= bpp ? data[row + i - bpp] : 0;
            const b = y ? data[up + i] : 0;
            const c = y && i >= bpp ? data[up + i - bpp] : 0;
            data[row + i] = raw[at] + guess(a, b, c);
        }
    }
    return data;
}

export class Picture {
    constructor(width, height, channels, data) {
        Object.assign(this, { width, height, channels, data });
    }

    /** [red, green, blue] */
    at(x, y) {
        const i = (y * this.width + x) * this.channels;
        return [this.data[i], this.data[i + 1], this.data[i + 2]];
    }

    /**
     * Counts pixels whose channels differ from expected(x, y) by more than the tolerance; `first`
     * describes one of them.
     */
    differences(expected, { tolerance = 0, skip = () => false } = {}) {
        let n = 0, first = '';
        for (let y = 0; y < this.height; y++)
            for (let x = 0; x < this.width; x++) {
                if (skip(x, y))
                    continue;
                const have = this.at(x, y), want = expected(x, y);
                if (have.every((v, i) => Math.abs(v - want[i]) <= tolerance))
                    continue;
                first ||= `(${x}, ${y}) is ${have}, not ${want}`;
                n++;
            }
        return { n, first };
    }
}

export function decodePng(bytes) {
    if (bytes.toString('latin1', 0, 8) !== '\x89PNG\r\n\x1a\n')
        throw new Error(`no PNG: ${bytes.toString('latin1', 0, 60)}`);
    let header;
    const parts = [];
    for (let at = 8; at < bytes.length;) {
        const size = bytes.readUInt32BE(at), type = bytes.toString('latin1', at + 4, at + 8);
        const data = bytes.subarray(at + 8, at + 8 + size);
        if (bytes.readUInt32BE(at + 8 + size) !== crc(bytes.subarray(at + 4, at + 8 + size)))
            throw new Error(`the checksum of ${type} is wrong`);
        if (type === 'IHDR')
            header = { width: data.readUInt32BE(0), height: data.readUInt32BE(4), depth: data[8], color: data[9] };
        if (type === 'IDAT')
            parts.push(data);
        at += size + 12;
    }
    const channels = { 2: 3, 6: 4 }[header.color];
    if (header.depth !== 8 || !channels)
        throw new Error(`PNG of depth ${header.depth}, colour type ${header.color}`);
    const raw = zlib.inflateSync(Buffer.concat(parts));
    return new Picture(header.width, header.height, channels,
        unfilter(raw, header.width, header.height, channels));
}

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++)
        n = n & 1 ? 0xedb88320 ^ n >>> 1 : n >>> 1;
    return n >>> 0;
});

function crc(bytes) {
    let c = 0xffffffff;
    for (const byte of bytes)
        c = crcTable[(c ^ byte) & 255] ^ c >>> 8;
    return (c ^ 0xffffffff) >>> 0;
}
