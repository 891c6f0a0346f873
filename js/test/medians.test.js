/** What samples say: the test vectors that the Python side passes too, and so does numpy. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { settingsFor, shapesOf } from "../src/measuring/settings.js";
import { isKnown, latencyOf, medianInterval, percentile, profiledSubnet } from "../src/measuring/statistics.js";
import { measurement, NODE_WAY, RIGHT, WRONG } from "./support/trials.js";
import { read } from "./vectors.js";

for (const [name, { cases, ...asked }] of read("medians/")) {
  for (const case_ of cases) {
    test(`${name}: ${case_.name}`, () => {
      const rounds = case_.rounds.map((/** @type {number[][]} */ ofRound) => {
        return { ...measurement(), samples_ms: ofRound };
      });
      const settings = { ...settingsFor({ max_length: 128 }), ...asked };
      assert.equal(isKnown(rounds, settings), case_.is_known);

      case_.latency.forEach((/** @type {any} */ expected, /** @type {number} */ shape) => {
        const samples = case_.rounds.flatMap((/** @type {number[][]} */ ofRound) => ofRound[shape]);
        const { p50_ci95_ms: found, ...row } = latencyOf({ batchSize: 1, length: 2 }, samples);
        assert.deepEqual(found, expected.p50_ci95_ms);
        for (const key of ["p50_ms", "p90_ms", "p95_ms", "p99_ms"]) {
          // Halfway between two of them, Python rounds to the even one.
          assert.ok(Math.abs(row[/** @type {"p50_ms"} */ (key)] - expected[key]) < 1.5e-4, key);
        }
        assert.equal(row.runs, expected.runs);
      });
    });
  }
}

test("samples stay in the order in which they came", () => {
  const samples = Object.freeze([3, 1, 2]);
  assert.deepEqual([percentile(samples, 0), percentile(samples, 100), medianInterval(samples)], [1, 3, [1, 3]]);
});

test("an entry is the median of its rounds, but for the peak of memory, and for outputs that were wrong once", () => {
  const settings = settingsFor({ max_length: 128 }, { lengths: [8, 16] });
  const rounds = [3, 1, 2].map((number) => ({
    ...measurement(number, 2 * number),
    load_ms: number,
    peak_memory_mb: number + 10,
    steady_memory_mb: number,
    private_memory_mb: number / 2,
    numerics: number === 1 ? WRONG : RIGHT,
    runs_per_sample: [number, 1],
  }));
  const entry = profiledSubnet("a", NODE_WAY, rounds, settings);
  const { load_ms: loadMs, peak_memory_mb: peak, steady_memory_mb: steady, private_memory_mb: own } = entry;
  assert.deepEqual([loadMs, peak, steady, own], [2, 13, 2, 1]);
  assert.deepEqual([entry.numerics_ok, entry.numerics], [false, WRONG]);
  assert.deepEqual(entry.latency.map((row) => [row.length, row.p50_ms]), [[8, 2], [16, 4]]);
  // Of so many runs in a row is a sample the mean.
  assert.deepEqual(entry.latency.map((row) => [row.runs, row.runs_per_sample]), [[30 * 6, 3], [90, 1]]);
});

test("memory that one round was not shown is not known", () => {
  const settings = settingsFor({ max_length: 128 }, { lengths: [8] });
  const unseen = { ...measurement(1), peak_memory_mb: null, steady_memory_mb: null, private_memory_mb: null };
  const entry = profiledSubnet("a", NODE_WAY, [measurement(1), unseen], settings);
  assert.deepEqual([entry.peak_memory_mb, entry.steady_memory_mb, entry.private_memory_mb], [null, null, null]);
});

test("shapes are those that are asked for, or the usual ones up to the longest input", () => {
  const settings = settingsFor({ max_length: 100 }, { batchSizes: [2, 1, 2] });
  assert.deepEqual([settings.lengths, settings.batch_sizes], [[16, 64, 100], [1, 2]]);
  const shapes = shapesOf({ lengths: [8, 16], batch_sizes: [1, 2] });
  assert.deepEqual(shapes.map(Object.values), [[1, 8], [1, 16], [2, 8], [2, 16]]);
  const wrong = /** @type {const} */ ([
    [{ lengths: [1] }, /^expected a length of 2 to 128, found 1; choose one of these$/],
    [{ lengths: [16, 129] }, /^expected a length of 2 to 128, found 129; choose/],
    [{ lengths: [16.5] }, /found 16.5; choose/],
    [{ batchSizes: [0] }, /^expected a batch size of 1 to 1024, found 0; choose/],
    [{ batchSizes: [] }, /^expected a batch size of 1 to 1024, found none; choose/],
  ]);
  for (const [asked, message] of wrong) {
    assert.throws(() => settingsFor({ max_length: 128 }, asked), { name: "ProfileError", message });
  }
});
