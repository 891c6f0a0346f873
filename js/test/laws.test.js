/** The law of selection: the test vectors that the Python side passes too, in what is chosen and what is said. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { budgetOf } from "../src/choosing/budget.js";
import { costOf } from "../src/choosing/cost-model.js";
import { Menu } from "../src/choosing/menu.js";
import { named, select, selectUnprofiled } from "../src/choosing/selection.js";
import { BudgetError, EdgeBertError, ProfileError } from "../src/errors.js";
import { assertClose, read } from "./vectors.js";

/** @typedef {import("./vectors.js").Json} Json */

const [[, WORDS]] = read("words/");
const LAWS = read();

/** @param {Json} law */
function manifestOf(law) {
  const subnetworks = law.subnetworks.map((/** @type {Json} */ { id, parameters, quality: value }) => {
    return { id, parameters, precision: "int8", quality: value === null ? null : { metric: WORDS.metric, value } };
  });
  return { name: WORDS.bundle, max_length: law.longest_length, subnetworks };
}

/** @param {Json} law */
function profileOf(law) {
  const wayOf = (/** @type {Json} */ one) => structuredClone(law.ways[one.way]);
  const subnetworks = law.entries.map((/** @type {Json} */ one) => {
    return { ...one, way: wayOf(one), numerics: WORDS.numerics[one.numerics_ok ? "right" : "wrong"] };
  });
  const leftOut = law.left_out.map((/** @type {Json} */ one) => ({ ...one, way: wayOf(one), reason: WORDS.left_out }));
  return { settings: WORDS.settings, subnetworks, left_out: leftOut };
}

/** @param {Json} budget */
function budgetIn(budget) {
  const { latency_ms: latencyMs, memory_mb: memoryMb, batch_size: batchSize, ...others } = budget;
  return { latencyMs, memoryMb, batchSize, ...others };
}

/** @param {Json} law @param {Json} case_ */
function decided(law, case_) {
  return select(manifestOf(law), profileOf(law), budgetIn(case_.budget));
}

/** @param {Json} law @param {Json} found @param {Json} expected */
function assertTold(law, found, expected) {
  assert.equal(found.subnetwork, expected.id);
  assert.deepEqual(found.way, law.ways[expected.way]);
  assertClose(found.predictedMs, expected.predicted_ms);
  assertClose(found.peakMemoryMb, expected.peak_memory_mb);
  assertClose(found.quality, expected.quality);
}

/** @param {{subnetwork: string, reason: string}[] | readonly {subnetwork: string, reason: string}[]} rejected */
function reasons(rejected) {
  return rejected.map((one) => `${one.subnetwork}: ${one.reason}`);
}

// Of each bundle without a quality a warning is said: once here, where it is looked at.
console.warn = () => {};

for (const [name, law] of LAWS) {
  for (const case_ of law.cases) {
    const words = WORDS.laws[name].cases[case_.name];

    test(`${name}: ${case_.name}`, () => {
      if (case_.error) {
        assert.throws(
          () => decided(law, case_),
          (/** @type {unknown} */ problem) => {
            assert.ok(problem instanceof BudgetError);
            assert.equal(problem.message, words.message);
            assert.equal(case_.error.kind, problem.nearest ? "over-budget" : "nothing-admitted");
            if (problem.nearest) assertTold(law, problem.nearest, case_.error.nearest);
            return true;
          },
        );
        return;
      }
      const found = decided(law, case_);
      assertTold(law, found, case_.chosen);
      const rejected = found.rejected.map(({ subnetwork, way, kind }) =>
        JSON.stringify([subnetwork, kind, kind === "not-profiled" ? null : way]),
      );
      const expected = case_.rejected.map((/** @type {Json} */ { id, way, kind }) =>
        JSON.stringify([id, kind, law.ways[way] ?? null]),
      );
      assert.deepEqual(rejected.sort(), expected.sort());
      assert.deepEqual(reasons(found.rejected), words.reasons);
    });

    test(`${name}: ${case_.name}: the menu's first that is on time is as good as the chosen one`, () => {
      const { latencyMs = Infinity, ...budget } = budgetIn(case_.budget);
      const { length, batchSize, percentile } = budgetOf(budget);
      const longest = Math.min(length ?? Infinity, law.longest_length);
      const menu = new Menu(manifestOf(law), profileOf(law), budget);
      const options = menu.options(batchSize, longest);
      for (const { entry, boundMs, expectedMs } of options) {
        assert.equal(boundMs, costOf(entry).boundMs(longest, batchSize, percentile));
        assert.equal(expectedMs, costOf(entry).expectedMs(longest, batchSize));
      }
      const first = options.find((one) => one.boundMs <= latencyMs);
      if (case_.error) assert.equal(first, undefined);
      else if (!case_.budget.tolerance) assertClose(first?.boundMs ?? null, case_.chosen.predicted_ms);
      assert.equal(new Set(options.map((one) => one.key)).size, options.length);
      assert.equal(menu.options(batchSize, longest), options);
    });
  }

  test(`${name}: without a profile`, () => {
    const [way] = /** @type {Json[]} */ (Object.values(law.ways));
    const found = selectUnprofiled(manifestOf(law), {}, way);
    const expected = WORDS.laws[name].unprofiled;
    assert.deepEqual([found.subnetwork, reasons(found.rejected)], [expected.chosen, expected.reasons]);
    assert.deepEqual([found.way, found.predictedMs, found.peakMemoryMb], [way, null, null]);
  });
}

test("precisions that do not suit the way are left out where others do", () => {
  const [, law] = LAWS[0];
  const manifest = manifestOf(law);
  const [way] = /** @type {Json[]} */ (Object.values(law.ways));
  const [best, ...others] = [...manifest.subnetworks].sort((one, other) => other.quality.value - one.quality.value);
  best.precision = "fp16";
  others.push({ ...others[0], id: "as good and smaller", parameters: others[0].parameters - 1 });
  manifest.subnetworks.push(others.at(-1));
  const found = selectUnprofiled(manifest, {}, way, (precision) => precision === "int8");
  assert.equal(found.subnetwork, "as good and smaller");
  assert.ok(reasons(found.rejected).includes(`${best.id}: fp16 is not worth it on ${way.engine}`));
  const unsuited = selectUnprofiled(manifest, {}, way, () => false);
  assert.equal(unsuited.subnetwork, best.id);
  assert.ok(unsuited.rejected.every((one) => one.kind === "less-quality"));
});

test("a budget is whole, checked, and of names that there are", () => {
  const unlimited = { latencyMs: null, memoryMb: null, percentile: 95, length: null, batchSize: 1, tolerance: 0 };
  assert.deepEqual(budgetOf(), unlimited);
  assert.deepEqual(budgetOf({ latencyMs: 5, memoryMb: undefined }), { ...unlimited, latencyMs: 5 });
  /** @type {[Json, RegExp][]} */
  const wrong = [
    [{ latencyMs: 0 }, /expected a latencyMs above 0, found 0/],
    [{ memoryMb: NaN }, /expected a memoryMb above 0, found NaN/],
    [{ latencyMs: "20" }, /expected a latencyMs above 0, found 20/],
    [{ length: -1 }, /expected a length above 0, found -1/],
    [{ batchSize: null }, /expected a batchSize above 0, found null/],
    [{ tolerance: 1.5 }, /expected a tolerance of 0 to 1, found 1.5/],
    [{ latency_ms: 20 }, /a budget has no latency_ms; expected one of latencyMs, memoryMb/],
    [{ toString: 20 }, /a budget has no toString/],
  ];
  for (const [options, message] of wrong) {
    assert.throws(() => budgetOf(options), { name: "EdgeBertError", message });
  }
  for (const percentile of [0, -1, 99.5, NaN, null]) {
    const options = /** @type {Json} */ ({ percentile });
    const message = `expected a percentile above 0 and at most 99, found ${percentile}`;
    assert.throws(() => budgetOf(options), new ProfileError(message));
  }
});

test("a budget of the wrong kind is refused before anything is chosen", () => {
  const [, law] = LAWS[0];
  const options = /** @type {Json} */ ({ latency_ms: 5 });
  assert.throws(() => select(manifestOf(law), profileOf(law), options), EdgeBertError);
});

test("a network that is asked for by its name costs what nobody knows", () => {
  const [, law] = LAWS[0];
  const { subnetworks } = manifestOf(law);
  const way = law.ways[law.entries[0].way];
  const found = named(subnetworks[0], budgetOf(), way);
  assert.deepEqual([found.subnetwork, found.quality], [subnetworks[0].id, subnetworks[0].quality.value]);
  assert.deepEqual([found.predictedMs, found.peakMemoryMb, found.rejected], [null, null, []]);
});

test("who has time but no memory is not told to shorten inputs", () => {
  const [, law] = LAWS[0];
  const options = { latencyMs: 1e6, memoryMb: 1 };
  assert.throws(() => select(manifestOf(law), profileOf(law), options), /MB\. Raise the budget, export again with a /);
});

test("a menu remembers what shapes cost, but not all there are", () => {
  const [, law] = LAWS[0];
  const menu = new Menu(manifestOf(law), profileOf(law), {});
  const first = menu.options(1, 1);
  for (let batchSize = 1; batchSize <= 4000; batchSize += 1) menu.options(batchSize, 1);
  assert.equal(menu.options(1, 1), first);
  for (let batchSize = 1; batchSize <= 4200; batchSize += 1) menu.options(batchSize, 2);
  assert.notEqual(menu.options(1, 1), first);
  assert.deepEqual(menu.options(1, 1), first);
});

test("a bundle without any quality is warned of, and no other", (t) => {
  const [, law] = /** @type {[string, Json]} */ (LAWS.find(([name]) => name === "unknown_quality_of_all"));
  const warned = t.mock.method(console, "warn");
  selectUnprofiled(manifestOf(law), {}, law.ways[law.entries[0].way]);
  const [said] = warned.mock.calls[0].arguments;
  assert.match(said, /no sub-network of bundle 'law' has a known quality, so the largest that fits is chosen/);
  selectUnprofiled(manifestOf(LAWS[0][1]), {}, law.ways[law.entries[0].way]);
  assert.equal(warned.mock.callCount(), 1);
});
