/** Costs of shapes: the test vectors that the Python side passes too, and laws. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { CostModel, costOf } from "../src/choosing/cost-model.js";
import { FixedShapes } from "../src/choosing/fixed-shapes.js";
import { assertClose, read } from "./vectors.js";

const WAY = /** @type {const} */ ({ engine: "cpu", device: "cpu", flavor: "fused", threads: 1, options: [] });

for (const [name, law] of read("costs/")) {
  test(`costs: ${name}`, () => {
    const cost = costOf({ latency: law.latency, pad_to: law.pad_to, way: { ...WAY, options: law.options } });
    for (const { length, batch_size: size, percentile, expected_ms: expected, bound_ms: bound } of law.cases) {
      const shape = `for ${size} x ${length} at p${percentile}`;
      assertClose(cost.expectedMs(length, size, percentile), expected, shape);
      assertClose(cost.boundMs(length, size, percentile), bound, shape);
    }
  });

  test(`what was measured is expected, in any order of the rows: ${name}`, () => {
    const cost = new CostModel([...law.latency].reverse(), law.pad_to, FixedShapes.of(law.options));
    for (const row of law.latency) {
      assertClose(cost.expectedMs(row.length, row.batch_size), row.p50_ms);
      assertClose(cost.expectedMs(row.length, row.batch_size, 95), row.p95_ms);
      assertClose(cost.boundMs(row.length, row.batch_size, 91), row.p95_ms);
    }
  });
}

test("the costs of an entry are made once", () => {
  const [[, law]] = read("costs/");
  const entry = { latency: law.latency, pad_to: law.pad_to, way: WAY };
  assert.equal(costOf(entry), costOf(entry));
  assert.notEqual(costOf(entry), costOf({ ...entry }));
});

test("shapes that are not in order, not written as the options are, or too many are none", () => {
  /** @param {string} lengths @param {string} batchSizes */
  const of = (lengths, batchSizes) => FixedShapes.of([["lengths", lengths], ["batch_sizes", batchSizes]]);
  assert.deepEqual(of("16,64", "1,4"), new FixedShapes([16, 64], [1, 4]));
  assert.deepEqual(of("1024", "1024"), new FixedShapes([1024], [1024]));
  for (const lengths of ["", "64,16", "16,16", "016", "0", "-16", "16, 64", "1e2", "1025", "16,", "١٦", "99999"]) {
    assert.equal(of(lengths, "1"), null, lengths);
    assert.equal(of("16", lengths), null, lengths);
  }
  assert.equal(of("1,2,3,4,5,6", "1,2,3"), null);
  assert.equal(FixedShapes.of([]), null);
  assert.equal(FixedShapes.of([["batch_sizes", "1"], ["lengths", "16"]]), null);
});

test("a batch is run in the largest parts, the last one filled up", () => {
  const shapes = new FixedShapes([16], [2, 4]);
  assert.deepEqual([1, 2, 3, 4, 7, 13].map((rows) => shapes.parts(rows)), [
    [2],
    [2],
    [2, 2],
    [4],
    [4, 2, 2],
    [4, 4, 4, 2],
  ]);
});
