// The time of a replay: runs at a speed, skips what is idle, and maps to another recording's time.

export const IDLE_US = 1500000; /* a gap longer than this is idle */
const LEAD_US = 400000; /* what is shown of it before something happens */

/** @typedef {import("/ui/recording.js").Recording} Recording */

/** Moments at which something happens, ascending. @param {Recording} recording */
export function moments(recording) {
  const all = recording.frames.map((frame) => frame.time);
  for (const note of recording.notes) all.push(note.at_us);
  return all.sort((a, b) => a - b);
}

/** Gaps in which nothing happens. @param {Recording} recording @returns {{from: number, to: number}[]} */
export function idleGaps(recording) {
  const gaps = [];
  let before = recording.first;
  for (const at of [...moments(recording), recording.last]) {
    if (at - before > IDLE_US) gaps.push({ from: before, to: at });
    before = Math.max(before, at);
  }
  return gaps;
}

/** Where to go on from a time when idle gaps are skipped. @param {{from: number, to: number}[]} gaps @param {number} time */
export function skipIdle(gaps, time) {
  const gap = gaps.find(({ from, to }) => time > from + LEAD_US && time < to - LEAD_US);
  return gap ? gap.to - LEAD_US : time;
}

/** @param {Recording} recording */
const actionTimes = (recording) => recording.notes.filter((note) => note.kind === "action").map((note) => note.at_us);

/**
 * The time in `to` that belongs to a time in `from`: as far from the beginning, or between the same two actions.
 * @param {Recording} from @param {Recording} to @param {number} time @param {"time" | "action"} align
 */
export function mapTime(from, to, time, align) {
  if (align === "time") return to.first + (time - from.first);
  const n = Math.min(actionTimes(from).length, actionTimes(to).length);
  const a = [from.first, ...actionTimes(from).slice(0, n), from.last], b = [to.first, ...actionTimes(to).slice(0, n), to.last];
  let k = 0;
  while (k + 2 < a.length && a[k + 1] <= time) k++;
  const part = a[k + 1] > a[k] ? Math.min(1, Math.max(0, (time - a[k]) / (a[k + 1] - a[k]))) : 0;
  return b[k] + part * (b[k + 1] - b[k]);
}

/** @param {number} us */
export function clockText(us) {
  const ms = Math.max(0, Math.round(us / 1000)), two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const hours = Math.floor(ms / 3600000);
  return `${hours ? `${hours}:` : ""}${two(Math.floor(ms / 60000) % 60)}:${two(Math.floor(ms / 1000) % 60)}.${String(ms % 1000).padStart(3, "0")}`;
}
