/** One sub-network in one way: loads it, serves the largest shape, times all shapes, checks the golden outputs. */

import { openNetwork } from "../engines/engines.js";
import { EdgeBertError } from "../errors.js";
import { taskMaker } from "../tasks/tasks.js";
import { lineOf } from "./device.js";
import { goldenOf, numericsOf } from "./numerics.js";
import { shapesOf } from "./settings.js";
import { median } from "./statistics.js";
import { runsPerSample, sizeOf } from "./timer.js";

/** @typedef {import("../engines/session-network.js").Inputs} Inputs */
/** @typedef {import("../engines/session-network.js").Network} Network */
/** @typedef {import("../engines/session-network.js").Runtime} Runtime */
/** @typedef {import("../inputs/bundle.js").Bundle} Bundle */
/** @typedef {import("../inputs/golden.js").Golden} Golden */
/** @typedef {import("./settings.js").ProfileSettings} ProfileSettings */
/** @typedef {import("./ways.js").Combination} Combination */

/**
 * What was measured: costs as in an entry of profile.json, and the latencies of each shape of the settings.
 *
 * @typedef {object} Measurement
 * @property {number} load_ms
 * @property {number} first_ms
 * @property {number} new_shape_ms
 * @property {number | null} peak_memory_mb
 * @property {number | null} steady_memory_mb
 * @property {number | null} private_memory_mb
 * @property {import("./numerics.js").Numerics} numerics
 * @property {readonly number[]} runs_per_sample
 * @property {readonly (readonly number[])[]} samples_ms
 */

/**
 * Why nothing could be measured, for example for want of memory.
 *
 * @typedef {{reason: string}} Failure
 */

/**
 * What a trial needs beside what is measured: ONNX Runtime as `runtimeOf` gives it, and the step of the clock.
 *
 * @typedef {{ort: Runtime | string, stepMs: number, signal?: AbortSignal | undefined}} Means
 */

/** The graphs that were downloaded: that is no part of loading. @type {WeakMap<Bundle, Set<string>>} */
const read = new WeakMap();

/**
 * Returns what was measured, or why nothing could be.
 *
 * @param {Bundle} bundle @param {Combination} one @param {ProfileSettings} settings @param {Means} means
 * @returns {Promise<Measurement | Failure>}
 * @throws {import("../errors.js").BundleError} the bundle is damaged
 */
export async function measure(bundle, one, settings, { signal, ...means }) {
  const reading = { signal };
  const golden = await bundle.golden(reading);
  // Before anything is loaded: a bundle without them is no engine's fault.
  goldenOf(golden, one.subnet.id, bundle.manifest.name);
  if (bundle.localPlace === null) await readOnce(bundle, one, reading);
  try {
    return await measured(bundle, one, settings, golden, { signal, ...means });
  } catch (problem) {
    signal?.throwIfAborted();
    // A RangeError is how a browser says that there is no memory.
    if (!(problem instanceof EdgeBertError || problem instanceof RangeError)) throw problem;
    // What is wrong with the bundle is no matter of this way; all else leaves the other ways to be measured.
    await bundle.openGraph(one.subnet, one.way.flavor, reading);
    return { reason: lineOf(problem.message) };
  }
}

/** @param {Bundle} bundle @param {Combination} one @param {{signal: AbortSignal | undefined}} reading */
async function readOnce(bundle, { subnet, way }, reading) {
  const known = read.get(bundle) ?? new Set();
  read.set(bundle, known);
  const name = `${subnet.id} ${way.flavor}`;
  if (!known.has(name)) await bundle.openGraph(subnet, way.flavor, reading);
  known.add(name);
}

/**
 * @param {Bundle} bundle @param {Combination} one @param {ProfileSettings} settings @param {Golden} golden
 * @param {Means} means
 * @returns {Promise<Measurement>}
 */
async function measured(bundle, { subnet, way }, settings, golden, { ort, stepMs, signal }) {
  const startMs = performance.now();
  const network = await openNetwork(bundle, subnet, way, { ort, signal });
  const loadMs = performance.now() - startMs;
  const end = () => void network.dispose();
  signal?.addEventListener("abort", end);
  try {
    signal?.throwIfAborted();
    const requests = shapesOf(settings).map((shape) => requestOf(golden, network, shape));
    // The largest first: ONNX Runtime's memory grows to it at once, and it gives nothing back.
    const largest = requests.reduce((one, other) => (sizeOf(other) > sizeOf(one) ? other : one));
    const { ms: firstMs } = await network.run(largest);
    const runs = await runsPerSample(network, requests, stepMs);
    const { min_runs: minRuns, min_seconds: minSeconds } = settings;
    const samplesMs = await network.time(requests, { minRuns, minSeconds, runsPerSample: runs });

    // A Worker has no other network in it. It keeps what it has ever taken, so that this is its peak too.
    const memoryMb = typeof ort === "string" ? await network.memoryMb() : null;
    const task = (await taskMaker(bundle.manifest.task))(bundle.manifest, subnet);
    return {
      load_ms: loadMs,
      first_ms: firstMs,
      peak_memory_mb: memoryMb,
      steady_memory_mb: memoryMb,
      private_memory_mb: memoryMb,
      // Last: both meet shapes that were not asked for.
      new_shape_ms: await newShapeMs(golden, network, settings),
      numerics: await numericsOf(network, golden, goldenOf(golden, subnet.id, bundle.manifest.name), task),
      runs_per_sample: runs,
      samples_ms: samplesMs,
    };
  } finally {
    signal?.removeEventListener("abort", end);
    await network.dispose();
  }
}

/**
 * Returns whether this was measured with such settings: all their shapes, as often as they ask for.
 *
 * @param {Measurement} result @param {ProfileSettings} settings
 */
export function isOf({ samples_ms: samples, runs_per_sample: runs }, settings) {
  const shapes = shapesOf(settings).length;
  const isWhole = samples?.length === shapes && runs?.length === shapes;
  return isWhole && samples.every((ofShape) => ofShape.length >= settings.min_runs);
}

/**
 * Returns graph inputs of a shape, without padding, made of the tokens of the golden texts.
 *
 * @param {Golden} golden @param {Pick<Network, "inputNames">} network @param {import("./settings.js").Shape} shape
 * @returns {Inputs}
 */
export function requestOf({ inputs }, { inputNames }, { batchSize, length }) {
  const { input_ids: ids, attention_mask: mask } = inputs;
  const tokens = ids.flatMap((row, text) => row.filter((_, place) => mask[text][place] === 1));
  const size = batchSize * length;
  /** @type {Record<string, (place: number) => bigint>} */
  const columns = {
    input_ids: (place) => BigInt(tokens[place % tokens.length]),
    attention_mask: () => 1n,
    token_type_ids: () => 0n,
  };
  const entries = inputNames.map((name) => {
    const data = BigInt64Array.from({ length: size }, (_, place) => columns[name](place));
    return [name, { data, dims: [batchSize, length] }];
  });
  return Object.fromEntries(entries);
}

/**
 * Returns what a length costs that was not met before: the median over lengths between the measured ones.
 *
 * @param {Golden} golden @param {Network} network @param {ProfileSettings} settings
 */
async function newShapeMs(golden, network, { lengths, batch_sizes: sizes }) {
  const met = [...new Set([2, ...lengths])];
  const between = met.slice(1).map((length, place) => Math.floor((met[place] + length) / 2));
  const extraMs = [];
  for (const length of between.filter((one) => !met.includes(one))) {
    const request = requestOf(golden, network, { batchSize: sizes[0], length });
    const times = [];
    // The better of two more, since any one may be late for another reason.
    for (let run = 0; run < 3; run++) times.push((await network.run(request)).ms);
    extraMs.push(Math.max(0, times[0] - Math.min(times[1], times[2])));
  }
  return extraMs.length ? median(extraMs) : 0;
}
