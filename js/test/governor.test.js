/** The governor: the test vectors that the Python side passes too, and laws. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Governor } from "../src/serving/governor.js";
import { assertClose, read } from "./vectors.js";

/** @typedef {import("./vectors.js").Json} Json */

const WAY = /** @type {const} */ ({ engine: "cpu", device: "cpu", flavor: "fused", threads: 1, options: [] });

/**
 * Returns what a governor answers to a step; undefined where it is only told something.
 *
 * @param {Governor} governor @param {Json} step @param {Json} way
 * @returns {number | void}
 */
function answer(governor, { call, ms, expected_ms: expected, observed_ms: observed, allowed_ms: allowed }, way) {
  if (call === "observe") return governor.observe(way, expected, observed);
  if (call === "observe_overhead") return governor.observeOverhead(ms);
  if (call === "share_late") return governor.shareLate(way, expected, allowed);
  return call === "slow_down" ? governor.slowDown(way) : governor.overheadMs;
}

for (const [name, law] of read("governor/")) {
  test(`governor: ${name}`, () => {
    let nowMs = 0;
    const governor = new Governor(() => nowMs);
    for (const step of law.steps) {
      nowMs = step.at_s * 1000;
      // A new object each time, as from another file.
      const found = answer(governor, step, structuredClone(law.ways[step.way]));
      if ("answer" in step) assertClose(found ?? null, step.answer, JSON.stringify(step));
      else assert.equal(found, undefined);
    }
  });
}

test("a longer time allowed is never later, and a larger network never earlier", () => {
  const governor = new Governor(() => 0);
  for (const [expected, observed] of [[1, 5], [10, 14], [3, 3.5], [2, 5]]) governor.observe(WAY, expected, observed);
  const sizes = [0.5, 1, 2, 4, 8, 16];
  const ascending = (/** @type {number[]} */ shares) =>
    shares.every((share, place) => place === 0 || share >= shares[place - 1]);
  for (const fixed of sizes) {
    assert.ok(ascending(sizes.map((expected) => governor.shareLate(WAY, expected, fixed))));
    assert.ok(ascending(sizes.map((allowed) => governor.shareLate(WAY, fixed, allowed)).reverse()));
  }
});

test("without a clock of its own it has that of the page", () => {
  const governor = new Governor();
  governor.observe(WAY, 10, 30);
  const share = governor.shareLate(WAY, 10, 20);
  assert.ok(share > 0.1 && share <= 1 / 3, `${share}`);
});
