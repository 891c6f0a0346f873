/** How far a device misses the golden outputs of a bundle: whether it computes what was exported. */

import { BundleError } from "../errors.js";
import { quoted } from "../inputs/records.js";
import { rowsOf } from "../tasks/task.js";

/** @typedef {import("../inputs/golden.js").Golden} Golden */
/** @typedef {import("../inputs/golden.js").GoldenValues} GoldenValues */
/** @typedef {import("../tasks/task.js").Outputs} Outputs */
/** @typedef {import("../tasks/task.js").Task} Task */

/**
 * How far the golden outputs are missed: on average over texts, and for how many the answer is wrong.
 *
 * `tolerance` is what rounding explains. An answer counts only where the right one is clear beyond it.
 *
 * @typedef {{drift: number, tolerance: number, wrong_answers: number}} Numerics
 */

/** Returns whether a device computes what was exported. @param {Numerics} numerics */
export function isRight({ drift, tolerance, wrong_answers: wrong }) {
  return drift <= tolerance && wrong === 0;
}

/**
 * Returns the golden outputs of a sub-network.
 *
 * @param {Golden} golden @param {string} id @param {string} bundle its name, for messages
 * @returns {readonly GoldenValues[]}
 * @throws {BundleError} there are none
 */
export function goldenOf(golden, id, bundle) {
  const found = golden.outputs.find((one) => one.id === id)?.values;
  if (found?.length) return found;
  throw new BundleError(`bundle ${quoted(bundle)} has no golden output for ${quoted(id)}; export it again`);
}

/**
 * Returns how far a network misses the golden outputs of its sub-network: of several, the one that is farthest off.
 *
 * @param {import("../engines/session-network.js").Network} network
 * @param {Golden} golden @param {readonly GoldenValues[]} expected @param {Pick<Task, "outputs" | "wrongAnswers">} task
 * @returns {Promise<Numerics>}
 */
export async function numericsOf(network, golden, expected, task) {
  const { inputs } = golden;
  const [texts, length] = [inputs.input_ids.length, inputs.input_ids[0].length];
  const asked = network.inputNames.map((name) => {
    const data = BigInt64Array.from(inputs[/** @type {keyof typeof inputs} */ (name)].flat(), BigInt);
    return /** @type {const} */ ([name, { data, dims: /** @type {const} */ ([texts, length]) }]);
  });
  const { outputs } = await network.run(Object.fromEntries(asked));
  return missed(outputs, expected, task, inputs.attention_mask);
}

/**
 * Returns how far outputs miss the expected ones, padding left out.
 *
 * @param {Outputs} outputs @param {readonly GoldenValues[]} expected
 * @param {Pick<Task, "outputs" | "wrongAnswers">} task @param {readonly (readonly number[])[]} mask (texts, length)
 * @returns {Numerics}
 */
export function missed(outputs, expected, task, mask) {
  const found = withoutPadding(outputs, task, mask);
  const right = expected.map(({ name, shape, values }) => {
    return /** @type {const} */ ([name, { data: Float32Array.from(values), dims: shape }]);
  });
  const misses = right.map((output, place) => ({
    drift: meanDifference(found, Object.fromEntries([output])),
    tolerance: expected[place].tolerance,
  }));
  const times = (/** @type {typeof misses[0]} */ { drift, tolerance }) => drift / tolerance;
  const worst = misses.reduce((one, other) => (times(other) > times(one) ? other : one));
  // No JSON number is infinite.
  if (worst.drift === Infinity) return { ...worst, drift: Number.MAX_VALUE, wrong_answers: expected[0].shape[0] };
  return { ...worst, wrong_answers: task.wrongAnswers(found, Object.fromEntries(right), worst.tolerance) };
}

/**
 * Returns outputs that are 0 for padding, where the mask is 0: no answer is made of them, and not all engines compute
 * them alike.
 *
 * @param {Outputs} outputs @param {Pick<Task, "outputs">} task @param {readonly (readonly number[])[]} mask
 * @returns {Outputs}
 */
function withoutPadding(outputs, { outputs: dimensions }, mask) {
  const flat = mask.flat();
  const kept = Object.entries(outputs).map(([name, output]) => {
    const { data, dims } = output;
    const ofTokens = dimensions[name]?.[1] === "length" && dims[0] === mask.length && dims[1] === mask[0].length;
    if (!ofTokens) return [name, output];
    const size = data.length / flat.length;
    return [name, { data: data.map((value, at) => (flat[Math.floor(at / size)] === 1 ? value : 0)), dims }];
  });
  return Object.fromEntries(kept);
}

/**
 * Returns how far outputs lie apart: each text's largest difference, on average over the batch, in float32 as the
 * Python side counts.
 *
 * A rounding that falls the other way may move a single text far; wrong arithmetic moves them all. Infinite where a
 * shape differs or a number is not finite.
 *
 * @param {Outputs} found @param {Outputs} right
 */
function meanDifference(found, right) {
  const [{ dims: [texts] }] = Object.values(right);
  const largest = new Float32Array(texts);
  for (const [name, expected] of Object.entries(right)) {
    const values = found[name];
    const fits = values?.data instanceof Float32Array && values.dims.join() === expected.dims.join();
    if (!fits || !values.data.every(Number.isFinite)) return Infinity;
    const rows = rowsOf(expected);
    rowsOf(values).forEach((row, text) => {
      // What stands in a Float32Array is rounded to float32.
      row.forEach((one, at) => (largest[text] = Math.max(largest[text], Math.abs(one - rows[text][at]))));
    });
  }
  return Math.fround(largest.reduce((sum, one) => Math.fround(sum + one), 0) / texts);
}
