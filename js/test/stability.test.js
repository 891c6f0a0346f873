import assert from "node:assert/strict";
import { test } from "node:test";

import { canaryMs } from "../src/measuring/canary.js";
import { settingsFor } from "../src/measuring/settings.js";
import { isCalm, readingOf, stabilityOf } from "../src/measuring/stability.js";
import { runsPerSample, timerStepMs } from "../src/measuring/timer.js";
import { measurement, NODE_WAY } from "./support/trials.js";

const SETTINGS = settingsFor({ max_length: 128 }, { lengths: [8, 16] });

/** @param {number[]} mediansMs @param {number[]} canariesMs */
function records(mediansMs, canariesMs = mediansMs.map(() => 10)) {
  return mediansMs.map((ms, place) => ({
    round: place + 1,
    subnet: "a",
    way: NODE_WAY,
    reading: readingOf(canariesMs[place]),
    result: measurement(ms, 2 * ms),
  }));
}

test("rounds that agree are trusted", () => {
  const { readings, ...found } = stabilityOf([records([1, 1, 1])], SETTINGS);
  const drifts = { median_drift: 1, worst_drift: 1, canary_drift: 1 };
  assert.deepEqual(found, { rounds: 3, ...drifts, others_share: null, unsettled: [], warning: null });
  assert.deepEqual(readings.map((one) => one.canary_ms), [10, 10, 10]);
});

test("what is unsettled is named", () => {
  assert.deepEqual(stabilityOf([records([1, 1.3, 1.6])], SETTINGS).unsettled, ["a (node on CPU, fused, 1 thread)"]);
});

test("the drift is the slowest round's median over the fastest's", () => {
  const found = stabilityOf([records([1, 1.2, 1.1]), records([1, 1, 1.5])], SETTINGS);
  assert.deepEqual([found.median_drift, found.worst_drift], [1.35, 1.5]);
  const expected = /^rounds differ by 1.35x in the median, the device itself by 1.00x; close other tabs and programs, /;
  assert.match(found.warning ?? "", expected);
});

test("a device that gets slower and slower is told to be cooled", () => {
  const found = stabilityOf([records([1, 1.2, 1.6], [10, 12, 16])], SETTINGS);
  assert.match(found.warning ?? "", /it took 1.60x as long for the same in the end: let it cool, plug it in, /);
});

test("the step of a clock is the least that it shows to have gone by", () => {
  for (const stepMs of [1, 0.1, 0.005]) {
    let nowMs = 1000;
    const clock = () => Math.floor((nowMs += stepMs / 7) / stepMs) * stepMs;
    assert.equal(timerStepMs(clock), stepMs);
  }
  const ownMs = timerStepMs();
  assert.ok(ownMs >= 1e-4 && ownMs < 50, `${ownMs}`);
});

test("the canary does its work as often as a coarse clock needs, and is never nothing", () => {
  assert.ok(canaryMs(1e-4) > 0);
  assert.equal(canaryMs(1, () => 7), 1 / 5);
});

/**
 * A network whose runs take so many milliseconds, by a clock with steps.
 *
 * @param {(tokens: number) => number} msOf @param {number} stepMs
 */
function slowNetwork(msOf, stepMs) {
  const seenMs = (/** @type {number} */ ms) => Math.max(1e-4, Math.floor(ms / stepMs) * stepMs);
  const asked = /** @type {number[]} */ ([]);
  const network = /** @type {any} */ ({
    run: async (/** @type {any} */ request) => ({ outputs: {}, ms: seenMs(msOf(request.input_ids.data.length)) }),
    time: async (/** @type {any} */ [request], /** @type {any} */ { runsPerSample: [runs] }) => {
      asked.push(runs);
      return [[seenMs(runs * msOf(request.input_ids.data.length)) / runs]];
    },
  });
  return { network, asked };
}

const REQUESTS = [64, 8, 16].map((size) => ({ input_ids: { data: new BigInt64Array(size), dims: [1, size] } }));

test("runs that a clock is too coarse for are timed so many at a time that a sample has fifty steps", async () => {
  const { network, asked } = slowNetwork((tokens) => tokens / 10, 1);
  const requests = /** @type {any} */ (REQUESTS);
  const found = await runsPerSample(network, requests, 1);
  [6.4, 0.8, 1.6].forEach((ms, place) => {
    const sampleMs = found[place] * ms;
    assert.ok(sampleMs >= 45 && sampleMs < 75, `${found[place]} runs of ${ms} ms`);
  });
  assert.deepEqual(asked.filter((runs) => runs === 1).length, 3);
});

test("one run is a sample where the clock is fine enough, and then no larger request is tried", async () => {
  const { network, asked } = slowNetwork((tokens) => tokens / 10, 0.005);
  assert.deepEqual(await runsPerSample(network, /** @type {any} */ (REQUESTS), 0.005), [1, 1, 1]);
  assert.deepEqual(asked, []);
});

test("a device is calm if its canaries are as fast as ever and as one another", () => {
  const earlier = [readingOf(30), readingOf(10)];
  assert.ok(isCalm([10, 11, 12, 10.5], earlier));
  assert.ok(isCalm([5, 5.1, 5.2], earlier));
  assert.ok(!isCalm([14, 14, 14], earlier));
  assert.ok(!isCalm([10, 10, 10, 10, 16, 17], earlier));
});
