/** What is known of a device while it is still measured: as a profile, which the law chooses from. */

import { worthsOf } from "../choosing/selection.js";
import { measurementsIn } from "../measuring/stability.js";
import { profiledSubnet } from "../measuring/statistics.js";
import { keyOf } from "../way.js";

/** @typedef {import("../choosing/selection.js").Entry} Entry */
/** @typedef {import("../choosing/selection.js").Manifest} Manifest */
/** @typedef {import("../choosing/selection.js").Profile} Profile */
/** @typedef {import("../measuring/rounds.js").TrialRecord} TrialRecord */
/** @typedef {import("../measuring/settings.js").ProfileSettings} ProfileSettings */

/** The entries so far, of which those are made anew that a trial adds to. */
export class Interim {
  #settings;
  /** @type {Map<string, TrialRecord[]>} */
  #records = new Map();
  /** @type {Map<string, Entry>} */
  #entries = new Map();

  /** @param {ProfileSettings} settings */
  constructor(settings) {
    this.#settings = settings;
  }

  /** @param {TrialRecord} record */
  add(record) {
    // Before the first round is a short look, which is too short to go by.
    if (record.round === 0) return;
    const name = JSON.stringify([record.subnet, keyOf(record.way)]);
    const records = [...(this.#records.get(name) ?? []), record];
    const found = measurementsIn(records);
    this.#records.set(name, records);
    if (!found.length) return;
    this.#entries.set(name, profiledSubnet(record.subnet, record.way, found, this.#settings));
  }

  /** Returns the entries so far as a profile, null if there is none. @returns {Profile | null} */
  profile() {
    if (!this.#entries.size) return null;
    return { settings: this.#settings, subnetworks: [...this.#entries.values()], left_out: [] };
  }
}

/**
 * A sub-network as a picture shows it: what it is worth, and the 95th percentile at the longest input in its fastest way.
 *
 * @typedef {{id: string, worth: number, ms: number, isOnFront: boolean}} Point
 */

/**
 * Returns what a picture shows of a profile, the fastest first.
 *
 * @param {Manifest} manifest @param {Pick<Profile, "subnetworks" | "settings">} profile
 * @returns {Point[]}
 */
export function pointsOf(manifest, { subnetworks, settings }) {
  const { batchSize, length } = shapeShown(settings);
  const worths = worthsOf(manifest);
  /** @type {Map<string, number>} */
  const fastest = new Map();
  for (const { id, latency, numerics_ok: isRightHere } of subnetworks) {
    const ms = latency.find((one) => one.batch_size === batchSize && one.length === length)?.p95_ms;
    if (ms !== undefined && isRightHere && worths.has(id)) fastest.set(id, Math.min(ms, fastest.get(id) ?? Infinity));
  }
  const ascending = [...fastest].sort(([, one], [, other]) => one - other);
  let best = -Infinity;
  return ascending.map(([id, ms]) => {
    const worth = /** @type {number} */ (worths.get(id));
    const isOnFront = worth > best;
    best = Math.max(best, worth);
    return { id, worth, ms, isOnFront };
  });
}

/** Returns the shape that a picture is of: the fewest texts, the longest input. @param {Profile["settings"]} settings */
export function shapeShown({ lengths, batch_sizes: sizes }) {
  return { batchSize: Math.min(...sizes), length: Math.max(...lengths) };
}
