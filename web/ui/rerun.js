// A recording's actions once more, in a fresh desktop; what came of it is told and linked.
import { get, send } from "/ui/api.js";

const POLL_MS = 500;

/** The page that shows both, at the difference when there is one. @param {any} it a rerun */
export const linkOf = (it) =>
  `/recordings/${it.recording}?with=${it.again}&align=action${it.difference ? `#frame=${it.difference.frame}` : ""}`;

/**
 * Begins one and follows it. tell gets what to show while it runs.
 * @param {string} recording @param {(text: string) => void} tell @returns {Promise<any>} the rerun, ended
 */
export async function rerun(recording, tell) {
  let it = await (await send("POST", `/v1/recordings/${recording}/reruns`, {})).json();
  while (it.state === "starting" || it.state === "running") {
    tell(it.state === "starting" ? "Starting a desktop like the recorded one…" : `Doing the same again: ${Math.round(it.progress * 100)} %`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    it = await get(`/v1/reruns/${it.id}`);
  }
  return it;
}

/** @param {any} it */
export function wordsOf(it) {
  if (it.error) return `It could not be done again: ${it.error.message}`;
  if (!it.difference) return `The same ${it.steps.length} screens came. `;
  const { pixels, region, step } = it.difference;
  return `The screens differ after request ${step}: ${pixels} pixels in ${region.width} × ${region.height} at ${region.x}, ${region.y}. `;
}
