/**
 * How much slower than profiled the device is at the moment, by what was observed of each way to run networks.
 *
 * Knows neither networks nor budgets: expected and observed milliseconds in, the share of requests that would be late
 * out.
 */

import { keyOf } from "../way.js";

/** @typedef {import("../way.js").Way} Way */
/** @typedef {{atMs: number, expectedMs: number, observedMs: number}} Late an observation that took too long */

const MEMORY_MS = 1000; // an observation counts for 37 % after this time
const DOUBT = 2; // observations on time that are assumed before any: one late request alone is not forgotten at once
const KEPT = 32;
const CALM = 1.1; // times the expected latency: below this an observation is on time for every budget
const THROTTLED = 2; // a clock that goes down slows all networks alike, and hardly by more than this

/**
 * Learns how late requests are and tells which networks would be on time now.
 *
 * Each way is watched by itself: where another program takes a core, networks on two threads wait for each other while
 * those on one thread go on as before.
 */
export class Governor {
  /** @type {Map<string, {late: Late[], weight: number, weighedMs: number}>} */
  #observed = new Map();
  #overheadsMs = [0];

  /** @param {() => number} clock tells the time in milliseconds */
  constructor(clock = () => performance.now()) {
    this.clock = clock;
  }

  /** The median time that recent batches spent outside tokenizer and network: budgets must leave room for it. */
  get overheadMs() {
    const ascending = [...this.#overheadsMs].sort((one, other) => one - other);
    return ascending[(ascending.length - 1) >> 1];
  }

  /**
   * Records the time that a batch spent outside the network, from the choice of the network to the answers.
   *
   * @param {number} ms
   */
  observeOverhead(ms) {
    this.#overheadsMs = [...this.#overheadsMs, ms].slice(-KEPT);
  }

  /**
   * Records how long a network ran, and how long it was expected to run in the median.
   *
   * @param {Way} way @param {number} expectedMs @param {number} observedMs
   */
  observe(way, expectedMs, observedMs) {
    const atMs = this.clock();
    const { late, weight, weighedMs } = this.#observed.get(keyOf(way)) ?? { late: [], weight: 0, weighedMs: 0 };
    // Those on time are only counted: the sums below run over late ones alone, so a quiet device costs nothing.
    const isLate = observedMs > CALM * expectedMs;
    this.#observed.set(keyOf(way), {
      late: isLate ? [...late, { atMs, expectedMs, observedMs }].slice(-KEPT) : late,
      weight: weight * faded(atMs - weighedMs) + 1,
      weighedMs: atMs,
    });
  }

  /**
   * Returns the share of recent requests that would have taken longer than allowed with a network of such a latency.
   *
   * @param {Way} way @param {number} expectedMs @param {number} allowedMs
   */
  shareLate(way, expectedMs, allowedMs) {
    return this.#mean(way, (one) => (projectedMs(one, expectedMs) > allowedMs ? 1 : 0));
  }

  /**
   * Returns how many times the expected latency the recent requests took: 1 as long as they are on time.
   *
   * @param {Way} way
   */
  slowDown(way) {
    return 1 + this.#mean(way, (one) => one.observedMs / one.expectedMs - 1);
  }

  /**
   * Returns the mean of a value over the recent requests; that of a request on time is 0.
   *
   * @param {Way} way @param {(one: Late) => number} valueOf
   */
  #mean(way, valueOf) {
    const observed = this.#observed.get(keyOf(way));
    if (!observed?.late.length) return 0;
    const nowMs = this.clock();
    const total = observed.late.reduce((sum, one) => sum + valueOf(one) * faded(nowMs - one.atMs), 0);
    return total / (observed.weight * faded(nowMs - observed.weighedMs) + DOUBT);
  }
}

/**
 * Returns what a network that is expected to take so long would have taken in the place of a late one.
 *
 * A slower clock slows all in proportion. A wait for a core adds the same to all, and a shorter request is less likely
 * to meet one.
 *
 * @param {Late} late @param {number} expectedMs
 */
function projectedMs(late, expectedMs) {
  const times = late.observedMs / late.expectedMs;
  if (expectedMs <= late.expectedMs || times <= THROTTLED) return expectedMs * times;
  return Math.max(expectedMs * THROTTLED, expectedMs + late.observedMs - late.expectedMs);
}

/** Returns what is left of a weight of 1 after some milliseconds. */
function faded(/** @type {number} */ ms) {
  return Math.exp(-ms / MEMORY_MS);
}
