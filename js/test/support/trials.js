/** Stands in for trials and for the device in tests of rounds: takes no time and finds what it is told. */

/** @typedef {import("../../src/measuring/trial.js").Measurement} Measurement */

export const RIGHT = { drift: 0, tolerance: 1, wrong_answers: 0 };
export const WRONG = { drift: 2, tolerance: 1, wrong_answers: 0 };
export const NODE_WAY = wayOf();

/** @param {Partial<import("../../src/way.js").Way>} [given] @returns {import("../../src/way.js").Way} */
export function wayOf(given = {}) {
  return { engine: "node", device: "CPU", flavor: "fused", threads: 1, options: [], ...given };
}

/**
 * Returns a measurement with these latencies, one for each shape.
 *
 * @param {...number} mediansMs
 * @returns {Measurement}
 */
export function measurement(...mediansMs) {
  return {
    load_ms: 1,
    first_ms: 1,
    new_shape_ms: 0,
    peak_memory_mb: 1,
    steady_memory_mb: 1,
    private_memory_mb: 1,
    numerics: RIGHT,
    runs_per_sample: mediansMs.map(() => 1),
    samples_ms: mediansMs.map((ms) => Array(30).fill(ms)),
  };
}
