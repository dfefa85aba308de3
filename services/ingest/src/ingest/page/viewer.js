/** Shows the public variants of one image, one in the place of the other, so that formats can be compared by eye. */

import { byId, element, formatBytes } from "./dom.js";
import { difference, formatName } from "./variants.js";

/** @typedef {import("./image-backend.js").Variant} Variant */

/**
 * @param {string} title what the photo is called
 * @param {Map<string, Variant[]>} sizes
 * @param {(key: string) => string} addressOf where a variant is
 */
export function showViewer(title, sizes, addressOf) {
  const dialog = byId("viewer");
  const [firstSize] = sizes.keys();
  let size = firstSize;
  let format = sizes.get(size)[0].format;
  const picture = element("img", { alt: "" });
  const facts = element("p", { className: "facts", role: "status" });
  const formats = element("fieldset", { className: "choices" });

  const show = () => {
    const variants = sizes.get(size);
    const variant = variants.find((one) => one.format === format) ?? variants[0];
    picture.src = addressOf(variant.key);
    picture.alt = `${title}, ${size}, ${formatName(variant.format)}`;
    picture.width = variant.width;
    picture.height = variant.height;
    const { width, height, bytes } = variant;
    facts.textContent = `${formatName(variant.format)}, ${width} × ${height} pixels, ${formatBytes(bytes)}`;
  };
  const listFormats = () => {
    const variants = sizes.get(size);
    const choices = variants.map((variant) =>
      choice("format", variant.format === format, () => ((format = variant.format), show()), [
        formatName(variant.format),
        element("small", {}, formatBytes(variant.bytes), " ", difference(variant, variants[0])),
      ]),
    );
    formats.replaceChildren(element("legend", {}, "Format"), ...choices);
  };
  const chooseSize = (chosen) => {
    size = chosen;
    listFormats();
    show();
  };
  const sizeChoices = [...sizes.keys()].map((one) => choice("size", one === size, () => chooseSize(one), [one]));
  const close = element("button", { type: "button", className: "button", onclick: () => dialog.close() }, "Close");
  dialog.replaceChildren(
    element("div", { className: "viewer-head" }, element("h2", { id: "viewer-title" }, title), close),
    element(
      "div",
      { className: "viewer-choices" },
      formats,
      element("fieldset", { className: "choices" }, element("legend", {}, "Size"), ...sizeChoices),
    ),
    element("div", { className: "viewer-picture" }, picture),
    facts,
  );
  chooseSize(size);
  dialog.showModal();
}

/** A radio button. @param {string} name @param {boolean} checked @param {() => void} onchange @param {any[]} content */
function choice(name, checked, onchange, content) {
  const button = element("input", { type: "radio", name, checked, onchange });
  return element("label", {}, button, element("span", {}, ...content));
}
