/**
 * What a request of any shape is expected to cost, from the shapes that were measured. Knows neither files nor budgets.
 *
 * An encoder's cost grows with the tokens, by its products, and with the tokens times the length, by its attention;
 * each request and each row cost something of their own. This is fitted, and bent to go through what was measured.
 */

import { FixedShapes } from "./fixed-shapes.js";

/**
 * The latencies measured for one shape, a row of profile.json.
 *
 * @typedef {object} Latency
 * @property {number} batch_size
 * @property {number} length
 * @property {number} p50_ms
 * @property {number} p90_ms
 * @property {number} p95_ms
 * @property {number} p99_ms
 */

/**
 * What the cost of a profile's entry is known from.
 *
 * @typedef {{latency: readonly Latency[], pad_to: readonly number[], way: import("../way.js").Way}} Measured
 */

// All sets of the four terms of a cost, the small ones first.
const CHOICES = [
  [[0], [1], [2], [3]],
  [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]],
  [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3], [0, 1, 2, 3]],
].flat();
const LEVELS = /** @type {const} */ ([50, 90, 95, 99]);

/** The cost of any shape for one sub-network and way, from a grid of shapes. */
export class CostModel {
  #rows;
  #batchSizes;
  #lengths;
  #padTo;
  #fixed;
  #weights;

  /**
   * @param {readonly Latency[]} measured each of some batch sizes with each of some lengths
   * @param {readonly number[]} padTo lengths that inputs are padded to
   * @param {FixedShapes | null} fixed shapes that a batch is run in parts of
   */
  constructor(measured, padTo = [], fixed = null) {
    this.#batchSizes = ascending(measured.map((row) => row.batch_size));
    this.#lengths = ascending(measured.map((row) => row.length));
    this.#rows = this.#batchSizes.map((size) => {
      const ofSize = measured.filter((row) => row.batch_size === size);
      return ofSize.sort((one, other) => one.length - other.length);
    });
    this.#padTo = ascending(padTo);
    this.#fixed = fixed;
    this.#weights = fittedWeights(measured);
  }

  /**
   * Returns the milliseconds expected for a shape; beyond the measured ones, what the fit gives.
   *
   * A batch that is larger than any measured one is taken for inputs that are as many times longer.
   *
   * @param {number} length in tokens
   */
  expectedMs(length, batchSize = 1, percentile = 50) {
    const misses = this.#grid((row) => latencyAt(row, percentile) / this.#fitted(row.length, row.batch_size));
    return this.#inParts(batchSize, (part) => {
      const padded = this.#padded(length);
      const most = this.#batchSizes[this.#batchSizes.length - 1];
      const [tokens, rows] = part > most ? [rounded((padded * part) / most), most] : [padded, part];
      // Lines are drawn between the misses of the fit, not between latencies, which bend.
      return this.#fitted(tokens, rows) * this.#between(misses, tokens, rows);
    });
  }

  /**
   * Returns the milliseconds that a shape should not exceed, or null if it is beyond the measured ones.
   *
   * @param {number} length in tokens
   */
  boundMs(length, batchSize = 1, percentile = 50) {
    // Cost grows faster than in proportion, so the straight line between two measured shapes lies above it.
    const padded = this.#padded(length);
    if (padded > this.#lengths[this.#lengths.length - 1]) return null;
    if (batchSize > this.#batchSizes[this.#batchSizes.length - 1]) return null;
    const grid = this.#grid((row) => latencyAt(row, percentile));
    return this.#inParts(batchSize, (part) => this.#between(grid, padded, part));
  }

  /** @param {number} length */
  #padded(length) {
    return this.#padTo.find((longer) => longer >= length) ?? length;
  }

  /** @param {number} batchSize @param {(part: number) => number} costOfPart */
  #inParts(batchSize, costOfPart) {
    const parts = this.#fixed?.parts(batchSize) ?? [batchSize];
    return parts.map(costOfPart).reduce((sum, ms) => sum + ms, 0);
  }

  /** @param {(row: Latency) => number} valueOf */
  #grid(valueOf) {
    return this.#rows.map((rows) => rows.map(valueOf));
  }

  /** @param {number} length @param {number} batchSize */
  #fitted(length, batchSize) {
    return dot(termsOf(batchSize, length), this.#weights);
  }

  /** @param {number[][]} grid (batch sizes, lengths) @param {number} length @param {number} batchSize */
  #between(grid, length, batchSize) {
    const ofBatches = grid.map((row) => onTheLine(length, this.#lengths, row));
    return onTheLine(batchSize, this.#batchSizes, ofBatches);
  }
}

/** @type {WeakMap<Measured, CostModel>} */
const known = new WeakMap();

/** Returns the costs of a profile's entry, made once for each. */
export function costOf(/** @type {Measured} */ entry) {
  const found = known.get(entry) ?? new CostModel(entry.latency, entry.pad_to, FixedShapes.of(entry.way.options));
  known.set(entry, found);
  return found;
}

/**
 * Returns the latency at a percentile: the next higher measured one, so that it is never too low.
 *
 * @param {Latency} row @param {number} percentile
 */
function latencyAt(row, percentile) {
  return row[`p${LEVELS.find((level) => percentile <= level) ?? 99}_ms`];
}

/** @param {readonly number[]} numbers */
function ascending(numbers) {
  return [...new Set(numbers)].sort((one, other) => one - other);
}

/** @param {number} batchSize @param {number} length */
function termsOf(batchSize, length) {
  return [batchSize * length, 1, batchSize, batchSize * length ** 2];
}

/**
 * Returns the costs of a token, a request, a row, and a token that another looks at; least squares of relative errors.
 *
 * None can be negative, so the best of all the fits that leave some out is taken.
 *
 * @param {readonly Latency[]} measured
 */
function fittedWeights(measured) {
  const rows = measured.map((row) => termsOf(row.batch_size, row.length).map((term) => term / row.p50_ms));
  const ones = rows.map(() => 1);
  let best = [0, 0, 0, 0];
  let least = Infinity;
  for (const chosen of CHOICES) {
    const { weights, error } = leastSquares(chosen.map((term) => rows.map((row) => row[term])), ones);
    // By more than rounding: of fits that are as good that of the fewest terms stays.
    if (weights.every((weight) => weight >= 0) && error < least - 1e-12) {
      best = best.map((_, term) => (chosen.includes(term) ? weights[chosen.indexOf(term)] : 0));
      least = error;
    }
  }
  return best;
}

/**
 * Returns the weights with which columns come closest to a sum, and the squared error.
 *
 * Where columns depend on each other, as requests and rows do in one batch size, a weight is negative or no number:
 * columns above 0 add up to 0 in no other way.
 *
 * @param {number[][]} columns @param {number[]} sum
 * @returns {{weights: number[], error: number}}
 */
function leastSquares([column, ...others], sum) {
  if (!column) return { weights: [], error: dot(sum, sum) };
  // Gram and Schmidt's way to a QR decomposition: what a column explains is taken out of all that follow.
  const size = Math.sqrt(dot(column, column));
  const unit = column.map((value) => value / size);
  const [share, ...shares] = [sum, ...others].map((values) => dot(unit, values));
  const rest = others.map((values, place) => without(values, unit, shares[place]));
  const { weights, error } = leastSquares(rest, without(sum, unit, share));
  return { weights: [(share - dot(shares, weights)) / size, ...weights], error };
}

/** @param {number[]} values @param {number[]} unit @param {number} share */
function without(values, unit, share) {
  return values.map((value, place) => value - share * unit[place]);
}

/** @param {number[]} one @param {number[]} other */
function dot(one, other) {
  return one.reduce((sum, value, place) => sum + value * other[place], 0);
}

/**
 * Returns the value at a place on the straight lines between values, or the one at the rim.
 *
 * @param {number} at @param {number[]} places in ascending order @param {number[]} values
 */
function onTheLine(at, places, values) {
  const next = places.findIndex((place) => place > at);
  if (next < 0) return values[values.length - 1];
  if (next === 0) return values[0];
  const slope = (values[next] - values[next - 1]) / (places[next] - places[next - 1]);
  return slope * (at - places[next - 1]) + values[next - 1];
}

/** Returns the nearest whole number, of two the even one, as Python does. */
function rounded(/** @type {number} */ value) {
  const up = Math.round(value);
  return up - value === 0.5 && up % 2 === 1 ? up - 1 : up;
}
