/** Measures sub-networks in rounds, so that drift hits all alike, until their medians are known. */

import { keyOf } from "../way.js";
import { untilAborted } from "./attention.js";
import { isRight } from "./numerics.js";
import { measurementsIn, readingOf } from "./stability.js";
import { isKnown, median } from "./statistics.js";
import { isOf } from "./trial.js";
import { hopelessWays } from "./ways.js";

/** @typedef {import("../way.js").Way} Way */
/** @typedef {import("./settings.js").ProfileSettings} ProfileSettings */
/** @typedef {import("./trial.js").Failure} Failure */
/** @typedef {import("./trial.js").Measurement} Measurement */
/** @typedef {import("./ways.js").Combination} Combination */

/**
 * What came of one trial in one round, and the state of the device before it: plain JSON.
 *
 * @typedef {object} TrialRecord
 * @property {number} round
 * @property {string} subnet
 * @property {Way} way
 * @property {Measurement | Failure} result
 * @property {import("./stability.js").Reading} reading
 */

/**
 * Where trials are written down, so that a profiling that broke off goes on where it was.
 *
 * @typedef {object} Journal
 * @property {(round: number, subnet: string, way: Way) => TrialRecord | undefined} find what came of a trial, if it was
 *   made before
 * @property {(record: TrialRecord) => Promise<void>} add
 */

/**
 * How far a profiling is: of how many trials, as far as is known, how many are done, the last of which gave `record`.
 *
 * @typedef {{done: number, total: number, subnet: string, record: TrialRecord}} ProfileProgress
 */

/**
 * What makes the trials and tells of the device.
 *
 * @typedef {object} Bench
 * @property {(one: Combination, settings: ProfileSettings) => Promise<Measurement | Failure>} measure
 * @property {() => number} canaryMs
 * @property {<T>(trial: () => Promise<T>) => Promise<T>} [alone] makes a trial when nobody else makes one
 * @property {import("./attention.js").Attention} attention
 * @property {Journal} journal
 * @property {(progress: ProfileProgress) => void} onProgress
 * @property {AbortSignal | undefined} [signal]
 * @property {() => number} [clock] tells the time in milliseconds
 */

/** @typedef {{id: string, way: Way, reason: string}} LeftOut */

const MAX_ROUNDS = 10;
// The short look that finds hopeless ways is a round of its own in the journal, before the first.
const LOOK = 0;
const LOOK_TIMING = { min_runs: 5, min_seconds: 0.05 };

/** One run of the profiler over some sub-networks and ways. */
export class Profiling {
  /** @type {LeftOut[]} */
  leftOut = [];
  #settings;
  #bench;
  #clock;
  #done = 0;

  /** @param {ProfileSettings} settings @param {Bench} bench */
  constructor(settings, bench) {
    this.#settings = settings;
    this.#bench = bench;
    this.#clock = bench.clock ?? (() => performance.now());
  }

  /**
   * Measures all that are worth it, and returns the records of the rounds of each; what is not is in `leftOut`.
   *
   * @param {readonly Combination[]} pairs
   * @param {(engine: string) => string} ownFlavor that suits an engine
   * @param {{keepEngines: boolean}} options whether engines are worth it too that are nowhere faster than the first
   * @returns {Promise<Map<Combination, TrialRecord[]>>}
   */
  async run(pairs, ownFlavor, options) {
    return this.#rounds(await this.#worthwhile(pairs, ownFlavor, options));
  }

  /** @param {Parameters<Profiling["run"]>} args */
  async #worthwhile(...[pairs, ownFlavor, options]) {
    const looks = looksAt(pairs);
    let more = looks.flat(2).length + this.#settings.min_rounds * pairs.length;
    // By precision, since each has products of its own: what is slow for one may be fast for another.
    for (const networks of looks) {
      /** @type {Results} */
      const results = new Map();
      for (const one of networks.flat()) results.set(one, (await this.#record(LOOK, one, --more)).result);

      const reasons = notWorthIt(networks, results, ownFlavor, options);
      const [[{ subnet: looked }]] = networks;
      for (const { subnet, way } of pairs.filter((one) => one.subnet.precision === looked.precision)) {
        const reason = reasons.get(way);
        if (reason) this.leftOut.push({ id: subnet.id, way, reason });
      }
    }
    const left = new Set(this.leftOut.map(({ id, way }) => id + keyOf(way)));
    return pairs.filter(({ subnet, way }) => !left.has(subnet.id + keyOf(way)));
  }

  /** @param {readonly Combination[]} pairs */
  async #rounds(pairs) {
    /** @type {Map<Combination, TrialRecord[]>} */
    const records = new Map(pairs.map((one) => [one, []]));
    const { min_rounds: minRounds, max_seconds: maxSeconds } = this.#settings;
    const endMs = this.#clock() + maxSeconds * 1000 * pairs.length;
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      const unsettled = [...records.keys()].filter((one) => !this.#isSettled(records.get(one) ?? []));
      // Late by one round at most: time is asked for between rounds, so that each is whole.
      if (!unsettled.length || (round > minRounds && this.#clock() > endMs)) break;

      // Each round starts elsewhere: each is early, midway and late once, which evens out a device that gets slower by
      // and by, and its rounds lie so far apart that a slow stretch does not hit two of them.
      const startAt = Math.floor((unsettled.length * (round - 1)) / minRounds) % unsettled.length;
      const later = pairs.length * Math.max(0, minRounds - round);
      for (const [place, one] of [...unsettled.slice(startAt), ...unsettled.slice(0, startAt)].entries()) {
        const record = await this.#record(round, one, unsettled.length - place - 1 + later);
        if ("reason" in record.result) {
          this.leftOut.push({ id: one.subnet.id, way: one.way, reason: record.result.reason });
          records.delete(one);
        } else {
          records.get(one)?.push(record);
        }
      }
    }
    return records;
  }

  /** Returns whether rounds enough agree, and all medians are known. @param {TrialRecord[]} records */
  #isSettled(records) {
    const { min_rounds: minRounds } = this.#settings;
    // A quick profile makes do with what one round gives.
    return records.length >= minRounds && (minRounds === 1 || isKnown(measurementsIn(records), this.#settings));
  }

  /** @param {number} round @param {Combination} one @param {number} more trials are to come, as far as is known */
  async #record(round, one, more) {
    const { journal, onProgress } = this.#bench;
    const settings = round === LOOK ? { ...this.#settings, ...LOOK_TIMING } : this.#settings;
    const known = journal.find(round, one.subnet.id, one.way);
    // What is shorter than was asked for is no such trial, whoever wrote it down.
    const isDone = known && ("reason" in known.result || isOf(known.result, settings));
    const record = isDone ? known : await this.#made(round, one, settings);
    this.#done++;
    onProgress({ done: this.#done, total: this.#done + more, subnet: one.subnet.id, record });
    return record;
  }

  /**
   * @param {number} round @param {Combination} one @param {ProfileSettings} settings
   * @returns {Promise<TrialRecord>}
   */
  async #made(round, one, settings) {
    const { measure, canaryMs, alone = (trial) => trial(), attention, journal, signal } = this.#bench;
    for (;;) {
      await untilAborted(attention.wait(), signal);
      const [reading, result] = await alone(async () => {
        // Before the trial, not meanwhile: both would be slower for the other.
        const before = readingOf(canaryMs());
        return [before, await measure(one, settings)];
      });
      signal?.throwIfAborted();
      // What is measured in a page that nobody sees is not true of one that is used.
      if (attention.isLost()) continue;
      const record = { round, subnet: one.subnet.id, way: one.way, result, reading };
      await journal.add(record);
      return record;
    }
  }
}

/** @typedef {Map<Combination, Measurement | Failure>} Results */

/**
 * Returns the ways that are not worth it, and why, from what came of a short look at some networks in all of them.
 *
 * @param {Combination[][]} networks @param {Results} results @param {(engine: string) => string} ownFlavor
 * @param {{keepEngines: boolean}} options
 */
function notWorthIt(networks, results, ownFlavor, options) {
  /** @type {Map<Way, string[]>} */
  const failures = new Map();
  const medians = networks.map((network) => {
    const ofNetwork = new Map();
    for (const one of network) {
      const result = results.get(one);
      if (!result) continue;
      if ("reason" in result) failures.set(one.way, [...(failures.get(one.way) ?? []), result.reason]);
      // What is wrong rules out nothing, however fast it is.
      else if (isRight(result.numerics)) ofNetwork.set(one.way, result.samples_ms.map(median));
    }
    return ofNetwork;
  });
  const found = hopelessWays(medians, ownFlavor, options);
  for (const [way, reasons] of failures) {
    // What runs neither the largest nor the smallest network runs none, and may take long to say so.
    if (reasons.length === networks.length) found.set(way, reasons[0]);
  }
  return found;
}

/**
 * Returns what a short look is for: of each precision that there are several ways for, the largest and the smallest
 * network in all ways. What is slow for both of them is taken to be slow for all between.
 *
 * @param {readonly Combination[]} pairs
 * @returns {Combination[][][]}
 */
function looksAt(pairs) {
  const precisions = [...new Set(pairs.map(({ subnet }) => subnet.precision))];
  const alike = precisions.map((precision) => pairs.filter(({ subnet }) => subnet.precision === precision));
  const several = alike.filter((some) => new Set(some.map(({ way }) => keyOf(way))).size > 1);
  return several.map((some) => {
    const bySize = [...some].sort((one, other) => one.subnet.parameters - other.subnet.parameters);
    const ids = new Set([bySize[bySize.length - 1].subnet.id, bySize[0].subnet.id]);
    return [...ids].map((id) => some.filter(({ subnet }) => subnet.id === id));
  });
}

/** Writes nothing down: who wants to go on after a reload passes another. @type {Journal} */
export const NO_JOURNAL = Object.freeze({ find: () => undefined, add: async () => {} });
