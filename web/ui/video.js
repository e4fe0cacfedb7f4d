// H.264 regions of a stream, by WebCodecs where the page may use it (https or localhost).

const CODEC = "avc1.42E028"; /* constrained baseline, up to 1920x1088 and beyond what a region has */
const PATIENCE_MS = 300;

/** Whether this browser decodes the stream's video. */
export async function canDecodeVideo() {
  if (!("VideoDecoder" in window)) return false;
  try {
    return (await VideoDecoder.isConfigSupported({ codec: CODEC, codedWidth: 1280, codedHeight: 800 })).supported === true;
  } catch {
    return false;
  }
}

/** One decoder per region: a unit in, its picture out. */
export class Video {
  /** @param {() => void} onFailure the browser withholds pictures or refuses the stream */
  constructor(onFailure) {
    this.onFailure = onFailure;
    /** @type {Map<number, {decoder: VideoDecoder, waiting: ((frame: VideoFrame | null) => void)[], time: number}>} */
    this.regions = new Map();
    this.decode = this.decode.bind(this);
  }

  /** @param {number} region @param {import("/ui/screen.js").Rect} rect */
  open(region, rect) {
    /** @type {((frame: VideoFrame | null) => void)[]} */
    const waiting = [];
    const decoder = new VideoDecoder({
      output: (frame) => {
        const take = waiting.shift();
        if (take) take(frame);
        else frame.close();
      },
      error: () => this.fail(),
    });
    decoder.configure({
      codec: CODEC, codedWidth: (rect.w + 1) & ~1, codedHeight: (rect.h + 1) & ~1, optimizeForLatency: true,
      hardwareAcceleration: "prefer-software",
    });
    const opened = { decoder, waiting, time: 0 };
    this.regions.set(region, opened);
    return opened;
  }

  /**
   * @param {number} region @param {number} flags @param {import("/ui/screen.js").Rect} rect @param {Uint8Array} unit
   * @returns {Promise<VideoFrame | null>}
   */
  decode(region, flags, rect, unit) {
    const isKey = (flags & 1) !== 0;
    const it = this.regions.get(region) ?? (isKey ? this.open(region, rect) : null);
    if (!it) return Promise.resolve(null);
    it.time += 16667;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        resolve(null);
        this.fail();
      }, PATIENCE_MS + unit.length / 100);
      it.waiting.push((frame) => {
        clearTimeout(timer);
        resolve(frame);
      });
      it.decoder.decode(new EncodedVideoChunk({ type: isKey ? "key" : "delta", timestamp: it.time, duration: 16667, data: unit }));
    });
  }

  /** @param {number} region */
  close(region) {
    const it = this.regions.get(region);
    this.regions.delete(region);
    for (const take of it?.waiting ?? []) take(null);
    if (it && it.decoder.state !== "closed") it.decoder.close();
  }

  closeAll() {
    for (const region of [...this.regions.keys()]) this.close(region);
  }

  fail() {
    this.closeAll();
    this.onFailure();
  }
}
