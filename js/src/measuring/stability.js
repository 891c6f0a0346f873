/** How far the rounds of a profile agree, and what to do if they do not. Pure functions of numbers. */

import { nameOf } from "../way.js";
import { isKnown, median, percentile, rounded } from "./statistics.js";

/** @typedef {import("./trial.js").Measurement} Measurement */
/** @typedef {import("./rounds.js").TrialRecord} TrialRecord */
/** @typedef {ReturnType<typeof stabilityOf>} Stability */

/**
 * The state of the device around one measurement; what JavaScript is not shown is null.
 *
 * @typedef {object} Reading
 * @property {number} canary_ms
 * @property {null} others_share
 * @property {null} clock_mhz
 * @property {null} clock_share
 * @property {null} temperature_c
 * @property {null} is_throttled
 */

// What differs by more says that something else was running, or that the clock went down.
// Between rounds, in the median over shapes.
const MAX_DRIFT = 1.1;
// Between the slowest and the fastest tenth of the readings.
const MAX_CANARY_DRIFT = 1.25;
// From the first round to the last: a device that only gets slower is one that gets hot.
const HOT = 1.1;

/** Returns the reading of a canary that took so long. @param {number} canaryMs @returns {Reading} */
export function readingOf(canaryMs) {
  const unseen = { others_share: null, clock_mhz: null, clock_share: null, temperature_c: null, is_throttled: null };
  return { canary_ms: rounded(canaryMs), ...unseen };
}

/**
 * Returns how far to trust a profile, from the records of the rounds of each of its entries.
 *
 * @param {readonly (readonly TrialRecord[])[]} entries
 * @param {import("./settings.js").ProfileSettings} settings
 */
export function stabilityOf(entries, settings) {
  const everything = entries.flat();
  const rounds = [...new Set(everything.map(({ round }) => round))].sort((one, other) => one - other);
  const readings = rounds.map((number) => {
    const ofRound = everything.filter(({ round }) => round === number);
    return readingOf(median(ofRound.map(({ reading }) => reading.canary_ms)));
  });

  // Tenths, not the least and the most: a single late reading says nothing.
  const canaryMs = everything.map(({ reading }) => reading.canary_ms);
  const canaryDrift = percentile(canaryMs, 90) / percentile(canaryMs, 10);
  const drifts = entries.flatMap((records) => driftsOf(measurementsIn(records)));
  const medianDrift = median(drifts);
  const unsettled = entries.filter((records) => !isKnown(measurementsIn(records), settings));
  return {
    rounds: rounds.length,
    median_drift: rounded(medianDrift),
    worst_drift: rounded(Math.max(...drifts)),
    canary_drift: rounded(canaryDrift),
    others_share: null,
    readings,
    unsettled: unsettled.map(([{ subnet, way }]) => `${subnet} (${nameOf(way)})`),
    warning: warningOf(canaryDrift, medianDrift, readings.map((one) => one.canary_ms)),
  };
}

/**
 * Returns why a profile is not to be trusted and what to do, null if it is.
 *
 * @param {number} canaryDrift @param {number} medianDrift @param {readonly number[]} canaryMs that of each round
 */
export function warningOf(canaryDrift, medianDrift, canaryMs) {
  if (canaryDrift <= MAX_CANARY_DRIFT && medianDrift <= MAX_DRIFT) return null;
  const [between, own] = [medianDrift, canaryDrift].map((times) => `${times.toFixed(2)}x`);
  const what = `rounds differ by ${between} in the median, the device itself by ${own}`;
  const slowDown = canaryMs[canaryMs.length - 1] / canaryMs[0];
  if (slowDown > HOT) {
    const slower = `it took ${slowDown.toFixed(2)}x as long for the same in the end`;
    return `${what}; ${slower}: let it cool, plug it in, close other tabs and programs, and profile again`;
  }
  return `${what}; close other tabs and programs, let it cool, plug it in, and profile again`;
}

/**
 * Returns whether a device has its full speed, as far as it was ever seen before, and keeps it: canaries one after the
 * other take as long, though other work would be in the way of some.
 *
 * @param {readonly number[]} canaryMs now @param {readonly Reading[]} earlier
 */
export function isCalm(canaryMs, earlier) {
  const fastest = Math.min(percentile(canaryMs, 10), ...earlier.map((one) => one.canary_ms));
  return percentile(canaryMs, 90) <= MAX_CANARY_DRIFT * fastest;
}

/** Returns what was measured, round by round. @param {readonly TrialRecord[]} records @returns {Measurement[]} */
export function measurementsIn(records) {
  return records.flatMap(({ result }) => ("reason" in result ? [] : [result]));
}

/** Returns for each shape the slowest round's median over the fastest's. @param {readonly Measurement[]} rounds */
function driftsOf(rounds) {
  return rounds[0].samples_ms.map((_, place) => {
    const mediansMs = rounds.map((one) => median(one.samples_ms[place]));
    return Math.max(...mediansMs) / Math.min(...mediansMs);
  });
}
