/** Makes elements. Text only ever becomes text: nothing here, or on the page, takes markup from a string. */

/**
 * An element with these properties, and with children. A property with a dash is an attribute.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else Object.assign(made, { [name]: value });
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** @param {string} id @returns {any} the element of the page with this id */
export function byId(id) {
  return document.getElementById(id);
}

const numbers = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** @param {number} bytes @returns {string} such as `142 kB` */
export function formatBytes(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${numbers.format(bytes / 1000)} kB` : `${numbers.format(bytes / 1e6)} MB`;
}

/** @param {number} milliseconds @returns {string} such as `0.42 s` */
export function formatTime(milliseconds) {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}
