// What both pages of the stream's benchmark share: the painter's clock in the picture, samples of when it was drawn,
// and clicks that the painter answers. /stats is asked of the host itself, past any relay.

/** @param {number} port of the host @param {CanvasRenderingContext2D} context @param {() => number} getBytes @param {() => void} press */
export async function makeBench(port, getContext, getBytes, press) {
  const started = performance.now();
  let offset = NaN, bestRtt = Infinity, first = NaN;
  /** @type {[number, number, number][]} drawn at, the picture's stamp (us), captured at (us, 0: unknown) */
  const samples = [];
  const stats = async () => (await fetch(`http://127.0.0.1:${port}/stats`)).json();
  for (let i = 0; i < 12; i++) {
    const sent = performance.now(), { now_us } = await stats(), now = performance.now();
    if (now - sent < bestRtt) {
      bestRtt = now - sent;
      offset = now_us / 1000 - (sent + now) / 2;
    }
  }
  /* 12 blocks of 8x8 pixels, 2 bits each, units of 32 us (painter.h); the bits above are those of now. */
  const readStamp = () => {
    const row = getContext().getImageData(320, 300, 96, 1).data;
    let value = 0;
    for (let i = 0; i < 12; i++) value = value * 4 + Math.round(row[(i * 8 + 4) * 4] / 85);
    const now = Math.floor(((performance.now() + offset) * 1000 + 2000) / 32);
    return (now - (((now - value) % 16777216) + 16777216) % 16777216) * 32;
  };
  const toMs = (us) => us / 1000 - offset;
  const isPlausible = (stamp) => performance.now() - toMs(stamp) < 60000;
  return {
    samples,
    drawn(captured = 0) {
      const now = performance.now(), stamp = readStamp();
      if (Number.isNaN(first) && isPlausible(stamp)) first = now - started;
      samples.push([now, stamp, captured]);
    },
    state: () => ({ first, offset, bestRtt, bytes: getBytes() }),
    clear: () => { samples.length = 0; },
    /** From the press to the first picture that was painted after it, ms; NaN when none came. */
    async click() {
      const begin = performance.now(), from = samples.length;
      press();
      for (let ms = 0; ms < 5000; ms = performance.now() - begin) {
        const hit = samples.slice(from).find(([, stamp]) => isPlausible(stamp) && toMs(stamp) >= begin);
        if (hit) return hit[0] - begin;
        await new Promise((resolve) => setTimeout(resolve, 4));
      }
      return NaN;
    },
    /** Of all but the stamp. */
    async hash() {
      const context = getContext(), { width, height } = context.canvas;
      const { data } = context.getImageData(0, 0, width, height);
      for (let y = 296; y < 304; y++) data.fill(0, (y * width + 320) * 4, (y * width + 416) * 4);
      return [...new Uint8Array(await crypto.subtle.digest("SHA-256", data))].map((b) => b.toString(16).padStart(2, "0")).join("");
    },
  };
}
