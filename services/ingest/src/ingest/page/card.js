/** The card of one photo: what it shows of an upload and of a status. */

import { element, formatBytes, formatTime } from "./dom.js";
import { drawThumbHash } from "./thumbhash.js";
import { variantsBySize, variantsTable } from "./variants.js";
import { showViewer } from "./viewer.js";

const STATES = {
  waiting: "Waiting to be sent",
  sending: "Sending",
  processing: "Stored; its variants are being made",
  ready: "Ready, and private until it is published",
  active: "Public; everybody can see it",
  failed: "Failed",
  refused: "Refused",
  unknown: "Not there",
};
const STEPS = ["Stored", "Rendered", "Public"];
const STEPS_DONE = { processing: 1, ready: 2, active: 3 };

/** @typedef {import("./image-backend.js").Status} Status */

/**
 * @typedef {object} Actions what the buttons do; each gets the card
 * @property {(card: Card) => void} publish
 * @property {(card: Card) => void} rotate
 * @property {(card: Card) => void} remove deletes the image
 * @property {(card: Card) => void} dismiss takes the card away, of what was refused or is not there
 */

export class Card {
  state = "waiting";
  key = "";
  /** @type {Status | null} */
  status = null;
  #preview = "";
  #stored = 0;
  /** @type {(string | null)[]} */
  #times = [null, null]; // how long an upload and its rendering took

  /** @param {string} title @param {string} publicImages @param {Actions} actions */
  constructor(title, publicImages, actions) {
    this.title = title;
    this.publicImages = publicImages;
    this.placeholder = element("canvas", { className: "placeholder", width: 1, height: 1, "aria-hidden": "true" });
    this.swatch = element("canvas", { className: "swatch", role: "img", hidden: true });
    this.picture = element("img", { alt: "", hidden: true });
    this.badge = element("span", { className: "badge" });
    this.message = element("p", { className: "message" });
    this.bar = element("progress", { max: 1, value: 0, "aria-label": `Upload of ${title}` });
    this.steps = element("ol", { className: "steps" });
    this.keyLine = element("p", { className: "key" });
    this.table = element("div", { className: "table" });
    const button = (/** @type {string} */ text, /** @type {(card: Card) => void} */ act) => {
      const label = `${text}: ${title}`;
      return element("button", { className: "button", "aria-label": label, onclick: () => act(this) }, text);
    };
    this.buttons = {
      publish: button("Publish", actions.publish),
      compare: button("Compare", () => this.#compare()),
      rotate: button("Rotate", actions.rotate),
      remove: button("Delete", actions.remove),
      dismiss: button("Dismiss", actions.dismiss),
    };
    this.element = element(
      "li",
      { className: "card" },
      element("div", { className: "picture" }, this.placeholder, this.picture, this.swatch, this.badge),
      element("h3", {}, title),
      this.keyLine,
      this.message,
      this.bar,
      this.steps,
      this.table,
      element("div", { className: "actions" }, ...Object.values(this.buttons)),
    );
    this.#show("waiting");
  }

  /** Show the file itself, which this browser has. @param {Blob} file */
  preview(file) {
    this.#preview = URL.createObjectURL(file);
    this.picture.onload = () => (this.picture.hidden = false);
    this.picture.onerror = () => this.#hidePicture();
    this.picture.src = this.#preview;
  }

  /** @param {number} part which part of the upload is sent, 0 to 1 */
  sending(part) {
    this.bar.value = part;
    this.#show("sending", part < 1 ? `Sending, ${Math.round(part * 100)} %` : "Sent; waiting for the answer");
  }

  /** @param {{seconds: number, reason: string}} retry */
  retrying({ seconds, reason }) {
    this.#show("sending", `Not sent yet: ${reason}. It is sent again in ${Math.ceil(seconds)} s.`);
  }

  /** @param {string} reason */
  refused(reason) {
    this.#show("refused", reason[0].toUpperCase() + reason.slice(1));
  }

  /** The upload was answered, or the image is known by its name alone. @param {string} key @param {number} [seconds] */
  stored(key, seconds) {
    this.key = key;
    this.#stored = performance.now();
    this.#times = [seconds === undefined ? null : formatTime(seconds * 1000), null];
    this.#showKey("");
    this.#show("processing");
  }

  /** @param {Status} status */
  update(status) {
    this.status = status;
    const isRendered = (STEPS_DONE[status.state] ?? 0) >= 2;
    if (isRendered && this.#times[0] !== null) this.#times[1] ??= formatTime(performance.now() - this.#stored);
    const reason = status.reason ? `${STATES[status.state]}: ${status.reason}` : undefined;
    this.#show(status.state, reason);
    if (status.state === "unknown") return this.#hidePicture();
    this.#showRecords(status);
  }

  /** What a command was answered, or what it needs. @param {string} text */
  say(text) {
    this.message.textContent = text;
  }

  /** @param {boolean} busy whether a command is being answered */
  setBusy(busy) {
    this.element.setAttribute("aria-busy", String(busy));
    for (const button of Object.values(this.buttons)) button.disabled = busy;
  }

  /** Give back the memory of the preview. */
  forgetPreview() {
    URL.revokeObjectURL(this.#preview);
    this.#preview = "";
  }

  /** @param {string} state @param {string} [text] */
  #show(state, text = STATES[state]) {
    this.state = state;
    this.element.dataset.state = state;
    this.badge.textContent = STATES[state].split(/[;,]/)[0];
    this.message.textContent = text;
    this.bar.hidden = state !== "sending" && state !== "waiting";
    const done = STEPS_DONE[state] ?? 0;
    this.steps.hidden = done === 0;
    this.steps.replaceChildren(
      ...STEPS.map((step, i) => {
        const time = i < done && this.#times[i] ? element("small", {}, this.#times[i]) : null;
        const mark = element("span", { className: "unseen" }, i < done ? ", done" : ", not yet");
        return element("li", { className: i < done ? "done" : i === done ? "next" : "" }, step, time, mark);
      }),
    );
    this.buttons.publish.hidden = state !== "ready" && state !== "processing";
    this.buttons.compare.hidden = this.buttons.rotate.hidden = state !== "active";
    this.buttons.rotate.hidden ||= this.key.endsWith(".svg");
    this.buttons.remove.hidden = !(state in STEPS_DONE) && state !== "failed";
    this.buttons.dismiss.hidden = state !== "refused" && state !== "unknown";
  }

  /** @param {Status} status */
  #showRecords(status) {
    const { base } = status.records;
    if (base?.thumbhash && base.original) this.#showPlaceholder(base.thumbhash, base.original);
    if (base?.original) {
      const { width, height, bytes } = base.original;
      this.#showKey(`${width} × ${height}, ${formatBytes(bytes)}`);
    }
    const sizes = variantsBySize(status);
    this.table.replaceChildren(...(sizes.size ? [variantsTable(sizes)] : []));
    this.buttons.compare.hidden ||= sizes.size === 0; // images of an old backend have no records
    if (status.state === "active" && sizes.size) this.#showPublic(sizes);
  }

  /** The key, unless that is what the card is called, and what is known of the original. @param {string} facts */
  #showKey(facts) {
    const key = this.key === this.title ? [] : [element("code", {}, this.key)];
    this.keyLine.replaceChildren(...key, element("span", {}, facts));
  }

  #showPlaceholder(hash, { width, height }) {
    for (const canvas of [this.placeholder, this.swatch]) drawThumbHash(canvas, hash, width / height);
    this.swatch.setAttribute("aria-label", `Placeholder of ${this.title}, a ThumbHash of ${atob(hash).length} bytes`);
    this.swatch.title = `ThumbHash, ${atob(hash).length} bytes`;
    this.swatch.hidden = false;
  }

  /** The smallest variant that fills the card. */
  #showPublic(sizes) {
    const bases = [...sizes.values()].map(([first]) => first).sort((a, b) => a.width - b.width);
    const chosen = bases.find((variant) => variant.width >= 280) ?? bases[bases.length - 1];
    this.picture.onload = () => {
      this.picture.hidden = false;
      this.forgetPreview();
    };
    this.picture.onerror = () => this.#hidePicture();
    const address = this.#addressOf(chosen.key);
    if (this.picture.src === new URL(address, document.baseURI).href) return;
    this.picture.alt = this.title;
    this.picture.src = address;
  }

  #hidePicture() {
    this.picture.hidden = true;
  }

  #compare() {
    if (this.status) showViewer(this.title, variantsBySize(this.status), (key) => this.#addressOf(key));
  }

  #addressOf(key) {
    return this.publicImages + encodeURIComponent(key);
  }
}
