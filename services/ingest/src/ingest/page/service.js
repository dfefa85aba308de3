/** What the service tells of itself without a secret: what it can do, and whether it is ready. */

import { byId, formatBytes } from "./dom.js";
import { formatName } from "./variants.js";

const NAMES = { svg: "SVG" };

/** @param {(limits: {bytes: number, pixels: number}) => void} onLimits is told the limits of an upload */
export async function showService(onLimits) {
  try {
    const [can, ready] = await Promise.all([json("capabilities"), json("readyz")]);
    onLimits(can.limits);
    const reads = can.reads.map((format) => NAMES[format] ?? formatName(format));
    const pixels = Math.round(can.limits.pixels / 1e6);
    byId("accepted").textContent =
      `${reads.join(", ")}: ${formatBytes(can.limits.bytes)} and ${pixels} megapixels at most.`;
    const sizes = can.sizes.map((size) => size.suffix).join(", ");
    const modern = can.modern.length ? `, each also as ${can.modern.map(formatName).join(" and ")}` : "";
    const state = ready.ready ? "The service is ready." : "The service is not ready.";
    byId("service").textContent = `${state} Sizes: ${sizes}${modern}.`;
  } catch {
    byId("service").textContent = "The service does not answer.";
  }
}

/** @param {string} path @returns {Promise<any>} */
async function json(path) {
  return (await fetch(path, { cache: "no-store" })).json();
}
