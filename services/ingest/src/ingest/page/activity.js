/** Tells what the machine is doing, for as long as somebody looks at the page. */

import { byId } from "./dom.js";

const PAUSE = 3; // seconds
const LONGEST_ANSWER = 10; // seconds

/** @typedef {{renderings_waiting: number | null, decoders_busy: number | null, decoders: number | null,
 *   photos_per_second: number}} Activity */

/** Begin to tell it. Screen readers hear only when work begins and ends. */
export async function showActivity() {
  for (let wasBusy = false; ; ) {
    if (document.visibilityState === "visible") {
      const found = await ask();
      byId("activity").textContent = found ? sentence(found) : "";
      if (found && isBusy(found) !== wasBusy) {
        wasBusy = !wasBusy;
        byId("activity-news").textContent = `The service ${wasBusy ? "is rendering" : "has rendered everything"}.`;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE * 1000));
  }
}

/** @returns {Promise<Activity | null>} null where the service does not tell */
async function ask() {
  try {
    const answer = await fetch("page/activity", { signal: AbortSignal.timeout(LONGEST_ANSWER * 1000) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

/** @param {Activity} found */
function isBusy(found) {
  return Boolean(found.renderings_waiting || found.decoders_busy || found.photos_per_second);
}

/** @param {Activity} found @returns {string} */
function sentence(found) {
  const waiting = found.renderings_waiting;
  const decoders = found.decoders === null ? [] : [`${found.decoders_busy} of ${found.decoders} decoders are busy`];
  const wait = waiting === 1 ? "1 rendering waits" : `${waiting} renderings wait`;
  return [
    ...decoders,
    waiting === null ? "the broker does not answer" : wait,
    `${found.photos_per_second} photos a second`,
  ].join(" · ");
}
