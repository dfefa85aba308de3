/** What records list: the variants of an image by size and format, and the table that compares their bytes. */

import { element, formatBytes } from "./dom.js";

const NAMES = { jpg: "JPEG", png: "PNG", gif: "GIF", webp: "WebP", avif: "AVIF" };

/** @typedef {import("./image-backend.js").Variant} Variant */

/** @param {string} format @returns {string} as people write it */
export function formatName(format) {
  return NAMES[format] ?? format;
}

/**
 * The variants by size, in the order of the records. Of each size, the base format is first.
 * @param {import("./image-backend.js").Status} status
 * @returns {Map<string, Variant[]>}
 */
export function variantsBySize(status) {
  const name = status.key.replace(/\.\w+$/, "");
  const sizes = new Map();
  for (const record of [status.records.base, status.records.modern]) {
    for (const variant of record?.variants ?? []) {
      const size = variant.key.slice(name.length).replace(/\.\w+$/, "");
      sizes.set(size, [...(sizes.get(size) ?? []), variant]);
    }
  }
  return sizes;
}

/** @param {Map<string, Variant[]>} sizes @returns {HTMLTableElement} */
export function variantsTable(sizes) {
  const formats = [...new Set([...sizes.values()].flat().map((variant) => variant.format))];
  const head = element("tr", {}, element("th", { scope: "col" }, "Size"));
  head.append(...formats.map((format) => element("th", { scope: "col" }, formatName(format))));
  const rows = [...sizes].map(([size, variants]) => {
    const [first] = variants;
    const row = element(
      "tr",
      {},
      element("th", { scope: "row" }, size, element("span", {}, `${first.width} × ${first.height}`)),
    );
    const largest = Math.max(...variants.map((variant) => variant.bytes));
    for (const format of formats) {
      const variant = variants.find((one) => one.format === format);
      row.append(variant ? bytesCell(variant, first, largest) : element("td", {}, "–"));
    }
    return row;
  });
  return element(
    "table",
    {},
    element("caption", { className: "unseen" }, "Variants: dimensions in pixels, and bytes for each format"),
    element("thead", {}, head),
    element("tbody", {}, ...rows),
  );
}

/** @param {Variant} variant @param {Variant} base @param {number} largest */
function bytesCell(variant, base, largest) {
  const bar = element("span", { className: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--part", String(variant.bytes / largest));
  return element("td", {}, formatBytes(variant.bytes), bar, difference(variant, base));
}

/** How many bytes more or less than the base format. @param {Variant} variant @param {Variant} base */
export function difference(variant, base) {
  if (variant === base) return null;
  const percent = Math.round((variant.bytes / base.bytes - 1) * 100);
  const [className, sign] = percent < 0 ? ["less", "−"] : ["more", "+"];
  return element("span", { className }, `${sign}${Math.abs(percent)} %`);
}
