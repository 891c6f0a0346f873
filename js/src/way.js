/** The ways to run a network, as values: beside a sub-network the key of everything that is measured. */

/**
 * How a network is run: by which engine, on which device of it, as which flavor of graph, on how many threads.
 *
 * `options` are settings of the engine's own, a name and a value each.
 *
 * @typedef {object} Way
 * @property {string} engine
 * @property {string} device
 * @property {"fused" | "portable"} flavor
 * @property {number} threads
 * @property {readonly (readonly string[])[]} options
 */

/** Returns a text that is the same for equal ways alone, since objects are equal to nothing but themselves. */
export function keyOf(/** @type {Way} */ { engine, device, flavor, threads, options }) {
  return JSON.stringify([engine, device, flavor, threads, options]);
}

/** Returns what people read of a way. @param {Way} way */
export function nameOf({ engine, device, flavor, threads, options }) {
  const settings = options.map(([name, value]) => `, ${name}=${value}`).join("");
  return `${engine} on ${device}, ${flavor}, ${threads} ${threads === 1 ? "thread" : "threads"}${settings}`;
}
