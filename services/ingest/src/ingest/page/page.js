/** The page: takes photos, sends two at a time, and follows each on a card of its own. */

import { showActivity } from "./activity.js";
import { Card } from "./card.js";
import { command } from "./commands.js";
import { byId } from "./dom.js";
import { ImageBackend } from "./image-backend.js";
import { showService } from "./service.js";

const UPLOADS_AT_ONCE = 2;
const KEY = /^\d+_\d+\.(jpg|png|gif|svg)$/i;

const backend = new ImageBackend(new URL(".", location.href.split("#")[0]).href);
const publicImages = document.querySelector('meta[name="public-images"]')?.getAttribute("content") ?? "";
/** @type {Map<Card, AbortController>} */
const cards = new Map();
/** @type {(() => Promise<void>)[]} */
const queue = [];
let sending = 0;
let mostBytes = Infinity;

/** @param {string} title @returns {Card} */
function addCard(title) {
  const card = new Card(title, publicImages, { publish, rotate, remove, dismiss });
  cards.set(card, new AbortController());
  byId("cards").prepend(card.element);
  count();
  return card;
}

/** @param {Iterable<File>} files */
function take(files) {
  for (const file of files) {
    const card = addCard(file.name || "Photo");
    if (file.size > mostBytes) {
      card.refused(`it has ${file.size} bytes; expected ${mostBytes} at most`);
      continue;
    }
    card.preview(file);
    queue.push(() => send(card, file));
  }
  sendNext();
}

function sendNext() {
  while (sending < UPLOADS_AT_ONCE && queue.length) {
    sending += 1;
    queue.shift()?.().finally(() => {
      sending -= 1;
      sendNext();
    });
  }
}

/** @param {Card} card @param {File} file */
async function send(card, file) {
  const begun = performance.now();
  try {
    const key = await backend.upload(file, {
      onProgress: (part) => card.sending(part),
      onRetry: (retry) => {
        card.retrying(retry);
        announce(card);
      },
    });
    card.stored(key, (performance.now() - begun) / 1000);
    keepInAddress();
    follow(card);
  } catch (error) {
    card.refused(messageOf(error));
    announce(card);
  }
  count();
}

/** Follow the card's image from now on, and no other one. @param {Card} card */
function follow(card) {
  cards.get(card)?.abort();
  const control = new AbortController();
  cards.set(card, control);
  const show = (status) => {
    const before = card.state;
    card.update(status);
    if (card.state !== before) announce(card);
    count();
  };
  backend.follow(card.key, show, { signal: control.signal }).catch((error) => {
    if (!control.signal.aborted) card.refused(messageOf(error));
  });
}

/**
 * Call with the secret, and say on the card why it did not go.
 * @param {Card} card
 * @param {string} path
 * @param {Record<string, unknown>} fields
 * @returns {Promise<any>} the answer, or null
 */
async function callFor(card, path, fields) {
  const secret = byId("secret").value;
  if (!secret) {
    card.say("Type the secret first.");
    announce(card);
    byId("secret").focus();
    return null;
  }
  card.setBusy(true);
  try {
    return await command(path, secret, fields);
  } catch (error) {
    card.say(`Not done: ${messageOf(error)}`);
    announce(card);
    return null;
  } finally {
    card.setBusy(false);
  }
}

/** @param {Card} card */
async function publish(card) {
  if (await callFor(card, "publish", { filename: card.key })) follow(card);
}

/** @param {Card} card */
async function remove(card) {
  if (!(await callFor(card, "delete", { filenames: [card.key] }))) return;
  dismiss(card);
  byId("news").textContent = `${card.title}: deleted`;
}

/** @param {Card} card */
function dismiss(card) {
  cards.get(card)?.abort();
  cards.delete(card);
  card.forgetPreview();
  const next = card.element.nextElementSibling ?? card.element.previousElementSibling;
  card.element.remove();
  /** @type {HTMLElement} */ (next?.querySelector("button:not([hidden])") ?? byId("choose")).focus();
  keepInAddress();
  count();
}

/** @param {Card} card */
async function rotate(card) {
  const answer = await callFor(card, "rotate", { filename: card.key });
  if (!answer) return;
  card.stored(answer.filename);
  keepInAddress();
  follow(card);
}

async function publishAll() {
  for (const card of cards.keys()) {
    if (card.state === "ready" && !(await callFor(card, "publish", { filename: card.key }))) return;
    if (card.state === "ready") follow(card);
  }
}

/** The names are in the address, so that the photos are there when the page is loaded again. */
function keepInAddress() {
  const keys = [...cards.keys()].map((card) => card.key).filter(Boolean);
  history.replaceState(null, "", keys.length ? `#${keys.join(",")}` : location.pathname + location.search);
}

function followAddress() {
  const there = new Set([...cards.keys()].map((card) => card.key));
  for (const key of location.hash.slice(1).split(",")) {
    if (!KEY.test(key) || there.has(key)) continue;
    there.add(key);
    const card = addCard(key);
    card.stored(key);
    follow(card);
  }
}

/** @param {Card} card */
function announce(card) {
  byId("news").textContent = `${card.title}: ${card.message.textContent}`;
}

function count() {
  const states = [...cards.keys()].map((card) => card.state);
  const of = (...wanted) => states.filter((state) => wanted.includes(state)).length;
  const told = [
    [of("waiting", "sending"), "being sent"],
    [of("processing"), "being rendered"],
    [of("ready"), "ready"],
    [of("active"), "public"],
    [of("failed", "refused"), "failed"],
  ];
  byId("counts").textContent = told.filter(([number]) => number).map((part) => part.join(" ")).join(" · ");
  byId("empty").hidden = cards.size > 0;
  byId("publish-all").disabled = of("ready") === 0;
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

function takeDrops() {
  const area = byId("drop");
  let depth = 0; // how many elements that are dragged over have not been left
  const mark = (change) => area.classList.toggle("over", (depth = Math.max(0, depth + change)) > 0);
  addEventListener("dragenter", () => mark(1));
  addEventListener("dragleave", () => mark(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark(-depth);
    take(event.dataTransfer?.files ?? []);
  });
}

function takeChosen(input) {
  input.addEventListener("change", () => {
    take(input.files);
    input.value = ""; // the same file may be chosen again
  });
}

takeDrops();
takeChosen(byId("choose"));
takeChosen(byId("camera"));
const byTouch = matchMedia("(pointer: coarse)").matches;
byId("camera-way").hidden = !byTouch;
if (byTouch) byId("drop-title").textContent = "Add photos"; // a finger drops no files
byId("publish-all").addEventListener("click", publishAll);
addEventListener("hashchange", followAddress);
followAddress();
showActivity();
showService((limits) => (mostBytes = limits.bytes));
