/**
 * Draws ThumbHashes, the placeholders in records (https://evanw.github.io/thumbhash/).
 *
 * A hash holds the lowest waves of a cosine transform: of luminance, of two differences of colours, and of alpha.
 */

const LONGER_SIDE = 32; // pixels: more would show nothing more

/** @typedef {{constant: number, across: number, down: number, waves: number[]}} Channel */

/**
 * Draw a hash. The canvas gets as few pixels as the hash needs; CSS makes it larger.
 * @param {HTMLCanvasElement} canvas
 * @param {string} hash in base64
 * @param {number} ratio width by height of the image
 */
export function drawThumbHash(canvas, hash, ratio) {
  const bytes = Uint8Array.from(atob(hash), (letter) => letter.charCodeAt(0));
  canvas.width = Math.max(1, Math.round(ratio > 1 ? LONGER_SIDE : LONGER_SIDE * ratio));
  canvas.height = Math.max(1, Math.round(ratio > 1 ? LONGER_SIDE / ratio : LONGER_SIDE));
  const image = new ImageData(canvas.width, canvas.height);
  const channels = readChannels(bytes);
  for (let y = 0, at = 0; y < canvas.height; y += 1) {
    for (let x = 0; x < canvas.width; x += 1, at += 4) {
      const u = (x + 0.5) / canvas.width;
      const v = (y + 0.5) / canvas.height;
      const [light, yellowness, redness, alpha] = channels.map((channel) => valueAt(channel, u, v));
      const blue = light - (2 / 3) * yellowness;
      const red = (3 * light - blue + redness) / 2;
      image.data.set([255 * red, 255 * (red - redness), 255 * blue, 255 * alpha], at);
    }
  }
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}

/** @param {Uint8Array} bytes @returns {Channel[]} luminance, blue to yellow, green to red, alpha */
function readChannels(bytes) {
  const head = bytes[0] | (bytes[1] << 8) | (bytes[2] << 16);
  const tail = bytes[3] | (bytes[4] << 8);
  const hasAlpha = head >> 23 === 1;
  const isLandscape = tail >> 15 === 1;
  const most = hasAlpha ? 5 : 7;
  const fewer = tail & 7;
  let nibble = hasAlpha ? 12 : 10;
  const channel = (constant, scale, across, down) => {
    const waves = [];
    for (let i = 0; i < countOf(across, down); i += 1, nibble += 1) {
      waves.push((((bytes[nibble >> 1] >> ((nibble & 1) * 4)) & 15) / 7.5 - 1) * scale);
    }
    return { constant, across, down, waves };
  };
  // Colours are kept weaker than they are: 1.25 brings back what rounding took.
  return [
    channel(
      (head & 63) / 63,
      ((head >> 18) & 31) / 31,
      Math.max(3, isLandscape ? most : fewer),
      Math.max(3, isLandscape ? fewer : most),
    ),
    channel(((head >> 6) & 63) / 31.5 - 1, (1.25 * ((tail >> 3) & 63)) / 63, 3, 3),
    channel(((head >> 12) & 63) / 31.5 - 1, (1.25 * ((tail >> 9) & 63)) / 63, 3, 3),
    hasAlpha
      ? channel((bytes[5] & 15) / 15, (bytes[5] >> 4) / 15, 5, 5)
      : { constant: 1, across: 0, down: 0, waves: [] },
  ];
}

/** The waves of a channel: those of a triangle, without the constant one. @returns {Generator<[number, number]>} */
function* wavesOf(across, down) {
  for (let y = 0; y < down; y += 1) {
    for (let x = y ? 0 : 1; x * down < across * (down - y); x += 1) yield [x, y];
  }
}

function countOf(across, down) {
  return [...wavesOf(across, down)].length;
}

/** @param {Channel} channel @param {number} u @param {number} v where, 0 to 1 */
function valueAt({ constant, across, down, waves }, u, v) {
  let value = constant;
  let i = 0;
  for (const [x, y] of wavesOf(across, down)) {
    value += 2 * waves[i] * Math.cos(Math.PI * u * x) * Math.cos(Math.PI * v * y);
    i += 1;
  }
  return value;
}
