/** What the samples of several rounds say: medians and how well they are known. Pure functions of numbers. */

import { isRight } from "./numerics.js";
import { shapesOf } from "./settings.js";

/** @typedef {import("../inputs/profile.js").Latency} Latency */
/** @typedef {import("../inputs/profile.js").ProfiledSubnet} ProfiledSubnet */
/** @typedef {import("../way.js").Way} Way */
/** @typedef {import("./settings.js").ProfileSettings} ProfileSettings */
/** @typedef {import("./trial.js").Measurement} Measurement */

// How many times a round's medians may differ from those of all: some machines have two speeds, for seconds each.
const AGREES = 1.1;
const LEVELS = [50, 90, 95, 99];
// No time is nothing, however coarse the clock was.
const LEAST_MS = 1e-4;

/**
 * Returns what a sub-network costs in one way, from its measurements in all rounds.
 *
 * @param {string} id @param {Way} way @param {readonly Measurement[]} rounds @param {ProfileSettings} settings
 * @returns {ProfiledSubnet}
 */
export function profiledSubnet(id, way, rounds, settings) {
  const samplesMs = samplesByShape(rounds);
  const middle = (/** @type {(one: Measurement) => number} */ of) => rounded(median(rounds.map(of)));
  // One round with wrong numbers is enough to distrust them all.
  const [worst] = rounds
    .map((one) => one.numerics)
    .sort((one, other) => Number(isRight(one)) - Number(isRight(other)) || other.drift - one.drift);
  return {
    id,
    way,
    load_ms: middle((one) => one.load_ms),
    first_ms: middle((one) => one.first_ms),
    new_shape_ms: middle((one) => one.new_shape_ms),
    ...memoryOf(rounds),
    numerics_ok: isRight(worst),
    numerics: worst,
    // None of ONNX Runtime's engines here compiles a network for a shape.
    pad_to: [],
    latency: shapesOf(settings).map((shape, place) => ({
      ...latencyOf(shape, samplesMs[place]),
      runs: rounds.reduce((sum, one) => sum + one.samples_ms[place].length * one.runs_per_sample[place], 0),
      // Where rounds differ, that of the longest samples, whose percentiles hide the most.
      runs_per_sample: Math.max(...rounds.map((one) => one.runs_per_sample[place])),
    })),
  };
}

/** @param {readonly Measurement[]} rounds */
function memoryOf(rounds) {
  const known = rounds.every((one) => one.peak_memory_mb !== null);
  /** @param {(one: Measurement) => number | null} of @param {(values: number[]) => number} together */
  const value = (of, together) => (known ? rounded(together(rounds.map((one) => Number(of(one))))) : null);
  return {
    // Not the median: where memory is short, one round over the limit is a page that dies.
    peak_memory_mb: value((one) => one.peak_memory_mb, (values) => Math.max(...values)),
    steady_memory_mb: value((one) => one.steady_memory_mb, median),
    private_memory_mb: value((one) => one.private_memory_mb, median),
  };
}

/**
 * Returns the percentiles of the latencies of one shape, of which each sample is one run.
 *
 * @param {import("./settings.js").Shape} shape @param {readonly number[]} samplesMs
 * @returns {Latency}
 */
export function latencyOf({ batchSize, length }, samplesMs) {
  const time = (/** @type {number} */ ms) => Math.max(LEAST_MS, rounded(ms));
  const [p50, p90, p95, p99] = LEVELS.map((level) => time(percentile(samplesMs, level)));
  return {
    batch_size: batchSize,
    length,
    runs: samplesMs.length,
    runs_per_sample: 1,
    p50_ms: p50,
    p90_ms: p90,
    p95_ms: p95,
    p99_ms: p99,
    p50_ci95_ms: medianInterval(samplesMs).map(time),
  };
}

/**
 * Returns the value that so many of a hundred samples are below; between two samples as numpy does, on a straight line.
 *
 * @param {readonly number[]} samples @param {number} level from 0 to 100
 */
export function percentile(samples, level) {
  const ordered = ascending(samples);
  const at = (level / 100) * (ordered.length - 1);
  const [low, high] = [ordered[Math.floor(at)], ordered[Math.ceil(at)]];
  const share = at - Math.floor(at);
  // From the nearer end, so that rounding leads beyond neither.
  return share < 0.5 ? low + (high - low) * share : high - (high - low) * (1 - share);
}

/** @param {readonly number[]} samples */
export function median(samples) {
  return percentile(samples, 50);
}

/**
 * Returns the 95 % interval of the median, by order statistics (normal approximation of the binomial).
 *
 * @param {readonly number[]} samples
 * @returns {[low: number, high: number]}
 */
export function medianInterval(samples) {
  // How many of n samples lie below the true median is binomial with p = 1/2, so its deviation is sqrt(n) / 2.
  const ordered = ascending(samples);
  const [middle, half] = [ordered.length / 2, (1.96 * Math.sqrt(ordered.length)) / 2];
  const [low, high] = [Math.floor(middle - half), Math.ceil(middle + half)];
  return [ordered[Math.max(0, low)], ordered[Math.min(ordered.length - 1, high)]];
}

/**
 * Returns how far the 95 % interval of the median reaches from it to the worse side, as a share of it.
 *
 * @param {readonly number[]} samples
 */
export function intervalShare(samples) {
  const [low, high] = medianInterval(samples);
  const middle = median(samples);
  return Math.max(high - middle, middle - low) / middle;
}

/**
 * Returns whether all medians are known as well as was asked for, and rounds enough agree with them.
 *
 * The interval alone takes all samples for independent, but those of one round are alike: what slows a machine for
 * seconds shows between rounds.
 *
 * @param {readonly Measurement[]} rounds @param {ProfileSettings} settings
 */
export function isKnown(rounds, { min_rounds: least, interval_share: most }) {
  const samplesMs = samplesByShape(rounds);
  const mediansMs = samplesMs.map(median);
  const agreeing = rounds.filter((one) => {
    const ratios = one.samples_ms.map((samples, place) => median(samples) / mediansMs[place]);
    return ratios.every((ratio) => Math.max(ratio, 1 / ratio) <= AGREES);
  });
  return agreeing.length >= least && samplesMs.every((samples) => intervalShare(samples) <= most);
}

/**
 * Returns the latencies of each shape in all rounds, in milliseconds.
 *
 * @param {readonly Measurement[]} rounds
 */
function samplesByShape(rounds) {
  return rounds[0].samples_ms.map((_, place) => rounds.flatMap((one) => one.samples_ms[place]));
}

/** Returns a measured value to a tenth of a microsecond or of a kilobyte: more digits would be noise. */
export function rounded(/** @type {number} */ value) {
  return Math.round(value * 1e4) / 1e4;
}

/** @param {readonly number[]} numbers */
function ascending(numbers) {
  return [...numbers].sort((one, other) => one - other);
}
