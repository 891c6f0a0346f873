/** What can be had for a request: every profiled network and way to run it, the best first. Knows no clock. */

import { keyOf } from "../way.js";
import { budgetOf } from "./budget.js";
import { costOf } from "./cost-model.js";
import { memoryBoundOf, worthsOf } from "./selection.js";

/** @typedef {import("./selection.js").Entry} Entry */

/**
 * A profiled network with its quality (see `worthsOf`), and what it costs to answer a shape.
 *
 * `key` is the same for the same network run in the same way. `expectedMs` is the median, `boundMs` what the budget's
 * percentile should not exceed.
 *
 * @typedef {{key: string, entry: Entry, quality: number, expectedMs: number, boundMs: number}} Option
 */

// Of so many shapes the options are kept; then all are forgotten, so that a service does not grow.
const REMEMBERED = 4096;

/** The entries of a profile that the law of selection admits before it looks at latencies. */
export class Menu {
  #entries;
  #percentile;
  /** @type {Map<string, Option[]>} */
  #known = new Map();

  /**
   * @param {import("./selection.js").Manifest} manifest
   * @param {{subnetworks: readonly Entry[]}} profile
   * @param {import("./budget.js").BudgetOptions} budget
   */
  constructor(manifest, profile, budget) {
    const worths = worthsOf(manifest);
    const { memoryMb, percentile } = budgetOf(budget);
    this.#percentile = percentile;
    this.#entries = profile.subnetworks.flatMap((entry) => {
      const quality = worths.get(entry.id);
      const fits = memoryMb === null || memoryBoundOf(entry) <= memoryMb;
      const key = `${entry.id} ${keyOf(entry.way)}`;
      return quality !== undefined && entry.numerics_ok && fits ? [{ key, entry, quality }] : [];
    });
  }

  /**
   * Returns what there is for a shape, the best first, the faster of equals.
   *
   * @param {number} batchSize @param {number} length in tokens
   * @returns {readonly Option[]}
   */
  options(batchSize, length) {
    const shape = `${batchSize} x ${length}`;
    let found = this.#known.get(shape);
    if (!found) {
      if (this.#known.size > REMEMBERED) this.#known.clear();
      found = this.#costed(batchSize, length);
      this.#known.set(shape, found);
    }
    return found;
  }

  /** @param {number} batchSize @param {number} length */
  #costed(batchSize, length) {
    const options = this.#entries.flatMap((one) => {
      const cost = costOf(one.entry);
      const boundMs = cost.boundMs(length, batchSize, this.#percentile);
      // Beyond the measured shapes nothing can be promised.
      return boundMs === null ? [] : [{ ...one, expectedMs: cost.expectedMs(length, batchSize), boundMs }];
    });
    return options.sort(
      (one, other) =>
        other.quality - one.quality ||
        one.boundMs - other.boundMs ||
        memoryBoundOf(one.entry) - memoryBoundOf(other.entry),
    );
  }
}
