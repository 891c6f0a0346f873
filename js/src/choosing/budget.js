/** What an app can afford, checked and in words. Knows neither networks nor profiles. */

import { EdgeBertError, ProfileError } from "../errors.js";

/**
 * What an app can afford: milliseconds at a percentile for a shape of input, and memory; null is no limit.
 *
 * Without a `length` it holds for the bundle's longest input. With a `tolerance`, networks whose quality is within it
 * of the best count as equally good.
 *
 * @typedef {object} Budget
 * @property {number | null} latencyMs
 * @property {number | null} memoryMb
 * @property {number} percentile
 * @property {number | null} length in tokens
 * @property {number} batchSize
 * @property {number} tolerance
 */

/**
 * A budget as it is asked for; what is left out is as in `budgetOf`.
 *
 * @typedef {{[Name in keyof Budget]?: Budget[Name] | undefined}} BudgetOptions
 */

// Of a few hundred runs even this is little more than the worst few.
const MAX_PERCENTILE = 99;

const ABOVE_0 = Number.MIN_VALUE;

/** @type {Readonly<Budget>} */
const UNLIMITED = Object.freeze({
  latencyMs: null,
  memoryMb: null,
  percentile: 95,
  length: null,
  batchSize: 1,
  tolerance: 0,
});

/**
 * Returns the whole budget that options ask for: no limit at the 95th percentile, but for what they say.
 *
 * @param {BudgetOptions} options
 * @returns {Readonly<Budget>}
 * @throws {EdgeBertError} there is no such option, or a limit or size is not above 0
 * @throws {ProfileError} profiles hold no such percentile
 */
export function budgetOf(options = {}) {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const unknown = given.find(([name]) => !Object.hasOwn(UNLIMITED, name));
  if (unknown) {
    throw new EdgeBertError(`a budget has no ${unknown[0]}; expected one of ${Object.keys(UNLIMITED).join(", ")}`);
  }
  /** @type {Budget} */
  const budget = { ...UNLIMITED, ...Object.fromEntries(given) };
  if (!isWithin(budget.percentile, ABOVE_0, MAX_PERCENTILE)) {
    const found = `found ${budget.percentile}`;
    throw new ProfileError(`expected a percentile above 0 and at most ${MAX_PERCENTILE}, ${found}`);
  }
  for (const name of /** @type {const} */ (["latencyMs", "memoryMb", "length", "batchSize"])) {
    const isFree = budget[name] === null && UNLIMITED[name] === null;
    if (!isFree && !isWithin(budget[name], ABOVE_0, Infinity)) {
      throw new EdgeBertError(`expected a ${name} above 0, found ${budget[name]}`);
    }
  }
  if (!isWithin(budget.tolerance, 0, 1)) {
    throw new EdgeBertError(`expected a tolerance of 0 to 1, found ${budget.tolerance}`);
  }
  return Object.freeze(budget);
}

/**
 * Returns a budget in words: `20 ms at p95 for 128 tokens and 100 MB`.
 *
 * @param {Budget} budget
 */
export function inWords({ latencyMs, memoryMb, percentile, length, batchSize }) {
  const shape = batchSize === 1 ? `${length} tokens` : `${batchSize} x ${length} tokens`;
  const limits = [];
  if (latencyMs) limits.push(`${short(latencyMs)} ms at p${short(percentile)} for ${shape}`);
  if (memoryMb) limits.push(`${short(memoryMb)} MB`);
  return limits.join(" and ") || "no limit";
}

/** Returns a number with so many digits at most, and no zeros behind them. */
export function short(/** @type {number} */ value, digits = 6) {
  return String(Number(value.toPrecision(digits)));
}

/** @param {unknown} value @param {number} low @param {number} high */
function isWithin(value, low, high) {
  return typeof value === "number" && value >= low && value <= high;
}
