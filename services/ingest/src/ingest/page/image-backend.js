/**
 * A client of the image backend for pages in a browser: it uploads a photo, and follows what becomes of it.
 *
 *     import { ImageBackend } from "./image-backend.js";
 *     const backend = new ImageBackend("https://images.example");
 *     const key = await backend.upload(file, { onProgress: (part) => (bar.value = part) });
 *     await backend.follow(key, (status) => show(status.state));
 *
 * It needs nothing else, and knows no secret: to publish, rotate and delete is for the site's API server.
 */

/** @typedef {"processing" | "ready" | "active" | "failed" | "unknown"} State */

/**
 * A smaller version of an image: `key` is its name in the bucket, width and height are in pixels.
 * @typedef {{key: string, format: string, width: number, height: number, bytes: number}} Variant
 */

/**
 * What was made of an image in one stage, or why nothing was. `thumbhash` is base64, `colour` is `#rrggbb`.
 * @typedef {object} ImageRecord
 * @property {{key: string, width: number, height: number, frames: number, bytes: number}} [original]
 * @property {Variant[]} variants
 * @property {{class: string, reason: string}} [failed]
 * @property {string} [thumbhash]
 * @property {string} [colour]
 */

/**
 * How far an image has come. `settled` says that the status changes no more by itself.
 * @typedef {object} Status
 * @property {string} key
 * @property {State} state
 * @property {boolean} settled
 * @property {{base?: ImageRecord, modern?: ImageRecord}} records
 * @property {string} [reason]
 * @property {string} [trace_id] of the rendering, where it was traced
 */

/**
 * @typedef {object} UploadOptions
 * @property {(part: number) => void} [onProgress] is told which part of the file is sent, 0 to 1
 * @property {(retry: {seconds: number, reason: string}) => void} [onRetry] is told that the upload begins anew after
 *   so many seconds, and why
 * @property {AbortSignal} [signal] ends the upload; it then rejects with the signal's reason
 * @property {number} [retries] how often to try again, 8 by default
 */

/** @typedef {{status: number, body: any, retryAfter: number}} Answer */

const RETRIED = new Set([0, 408, 429, 502, 503, 504]); // 0: the connection was lost
const LONGEST_PAUSE = 30; // seconds
const STALLED = 90; // seconds in which nothing was sent or answered; an answer may wait 60 for the variants
const FIRST_STATUS = 8; // seconds; a stream that says nothing for so long is held back by a proxy
const SILENCE = 12; // seconds; the server says every 5 that it is still there: the connection is lost
const POLL_PAUSES = [1, 2, 4, 8, 15]; // seconds; the last one is repeated while nothing changes
// A browser has six connections to a server over HTTP/1.1, and uploads and pictures need some of them.
const MOST_STREAMS = 3;
let openStreams = 0;

/** A call that the image backend refused. `status` is that of HTTP, or 0 when it could not be reached. */
export class Refused extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.name = "Refused";
    this.status = status;
  }
}

/** The image backend at one address. */
export class ImageBackend {
  #base;

  /** @param {string} base its address, with the route prefix if it has one */
  constructor(base) {
    this.#base = base.replace(/\/+$/, "");
  }

  /**
   * Upload a file. A lost connection, or a server that is busy, is tried again after a pause. Each try sends the whole
   * file. One whose answer was lost may have stored an image that nobody activates; it expires.
   * @param {Blob} file
   * @param {UploadOptions} [options]
   * @returns {Promise<string>} the image's key. Rejects with Refused for a file that is not accepted.
   */
  async upload(file, { onProgress, onRetry, signal, retries = 8 } = {}) {
    for (let failures = 0; ; failures += 1) {
      const answer = await this.#send(file, onProgress, signal);
      if (typeof answer.body?.filename === "string") return answer.body.filename;
      const reason = answer.body?.error ?? reasonOf(answer.status);
      if (answer.status === 0 && !(await isReadable(file))) throw new Refused(0, "the file cannot be read");
      if (!RETRIED.has(answer.status) || failures >= retries) throw new Refused(answer.status, reason);
      const seconds = Math.max(answer.retryAfter, backoff(failures));
      onRetry?.({ seconds, reason });
      await pause(seconds, signal);
    }
  }

  /**
   * The status of an image.
   * @param {string} key
   * @param {AbortSignal} [signal]
   * @returns {Promise<Status>} Rejects with Refused.
   */
  async status(key, signal) {
    let refusal = new Refused(0, reasonOf(0));
    const late = AbortSignal.timeout(SILENCE * 1000);
    try {
      const answer = await fetch(`${this.#base}/status/${encodeURIComponent(key)}`, {
        signal: signal ? AbortSignal.any([signal, late]) : late,
        cache: "no-store",
      });
      if (answer.ok) return await answer.json();
      refusal = new Refused(answer.status, reasonOf(answer.status));
      refusal.message = (await answer.json()).error;
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
    }
    throw refusal;
  }

  /**
   * Follow an image until its status is settled: by server-sent events, or by asking where there are none. At most
   * three images are followed by events at once. An image that is not activated is not settled: use `signal` to end.
   * @param {string} key
   * @param {(status: Status) => void} onStatus is told the status at first, and whenever it has changed
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<Status>} the settled status. Rejects with Refused when the key is no name of an image.
   */
  async follow(key, onStatus, { signal } = {}) {
    let last = "";
    let news = 0;
    const tell = (/** @type {Status} */ status) => {
      const text = JSON.stringify(status);
      if (text !== last) {
        last = text;
        news += 1;
        onStatus(status);
      }
    };
    for (let idle = 0, streamsInVain = 0; ; idle += 1) {
      const before = news;
      if (openStreams < MOST_STREAMS && streamsInVain < 2) {
        const { settled, heard } = await this.#stream(key, tell, signal);
        if (settled) return settled;
        streamsInVain = heard ? 0 : streamsInVain + 1;
      }
      try {
        const status = await this.status(key, signal);
        tell(status);
        if (status.settled) return status;
      } catch (error) {
        if (!(error instanceof Refused) || !(RETRIED.has(error.status) || error.status >= 500)) throw error;
      }
      if (news > before) idle = 0;
      await pause(POLL_PAUSES[Math.min(idle, POLL_PAUSES.length - 1)], signal);
    }
  }

  /**
   * @param {Blob} file
   * @param {((part: number) => void) | undefined} onProgress
   * @param {AbortSignal | undefined} signal
   * @returns {Promise<Answer>}
   */
  #send(file, onProgress, signal) {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const request = new XMLHttpRequest();
      const over = new AbortController();
      let watch = 0;
      const alive = () => {
        clearTimeout(watch);
        watch = setTimeout(() => request.abort(), STALLED * 1000);
      };
      request.upload.addEventListener("progress", (event) => {
        alive();
        if (event.lengthComputable) onProgress?.(event.loaded / event.total);
      });
      request.addEventListener("loadend", () => {
        clearTimeout(watch);
        over.abort();
        if (signal?.aborted) return reject(signal.reason);
        const seconds = request.status ? Number(request.getResponseHeader("Retry-After")) : 0;
        resolve({ status: request.status, body: parsed(request.responseText), retryAfter: seconds || 0 });
      });
      signal?.addEventListener("abort", () => request.abort(), { signal: over.signal });
      const form = new FormData();
      form.append("file", file);
      request.open("POST", `${this.#base}/upload`);
      alive();
      onProgress?.(0);
      request.send(form);
    });
  }

  /**
   * Follow by events, until there are none to be had: they are refused, end, or a stream is silent for too long.
   * @param {string} key
   * @param {(status: Status) => void} tell
   * @param {AbortSignal | undefined} signal
   * @returns {Promise<{settled: Status | null, heard: boolean}>} the settled status, and whether there was any status
   */
  async #stream(key, tell, signal) {
    signal?.throwIfAborted();
    const over = new AbortController();
    const stop = () => over.abort();
    let watch = setTimeout(stop, FIRST_STATUS * 1000);
    const alive = () => {
      clearTimeout(watch);
      watch = setTimeout(stop, SILENCE * 1000);
    };
    let heard = false;
    openStreams += 1;
    signal?.addEventListener("abort", stop);
    try {
      // Not an EventSource: that does not tell when the server says that it is still there.
      const answer = await fetch(`${this.#base}/events/${encodeURIComponent(key)}`, {
        signal: over.signal,
        cache: "no-store",
      });
      if (!answer.ok || !answer.body) return { settled: null, heard };
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = ""; ; ) {
        const { done, value } = await reader.read();
        if (done) return { settled: null, heard };
        alive();
        const events = (text + value).split("\n\n");
        text = events.pop() ?? "";
        for (const status of events.map(dataOf).filter(Boolean)) {
          heard = true;
          tell(status);
          if (status.settled) return { settled: status, heard };
        }
      }
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      return { settled: null, heard };
    } finally {
      clearTimeout(watch);
      signal?.removeEventListener("abort", stop);
      openStreams -= 1;
      over.abort();
    }
  }
}

/** The data of one server-sent event, or null for a comment. @param {string} event @returns {any} */
function dataOf(event) {
  const data = event.split("\n").find((line) => line.startsWith("data: "));
  return data ? parsed(data.slice("data: ".length)) : null;
}

/** Whether there is a file: a folder that was dropped on a page is none. @param {Blob} file @returns {Promise<boolean>} */
async function isReadable(file) {
  return file.slice(0, 1).arrayBuffer().then(() => true, () => false);
}

/** @param {number} failures @returns {number} seconds, about twice as many each time */
function backoff(failures) {
  return Math.min(LONGEST_PAUSE, 2 ** failures) * (0.5 + Math.random() / 2);
}

/**
 * Wait, but not longer than until the browser is online again.
 * @param {number} seconds
 * @param {AbortSignal} [signal]
 */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const over = new AbortController();
    const end = (/** @type {(value?: any) => void} */ how, /** @type {any} */ reason = undefined) => {
      clearTimeout(timer);
      over.abort();
      how(reason);
    };
    const timer = setTimeout(() => end(resolve), seconds * 1000);
    addEventListener("online", () => end(resolve), { signal: over.signal });
    signal?.addEventListener("abort", () => end(reject, signal.reason), { signal: over.signal });
  });
}

/** @param {number} status */
function reasonOf(status) {
  return status ? `the server answered ${status}` : "the connection was lost";
}

/** @param {string} text @returns {any} */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
