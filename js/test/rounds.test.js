/** Rounds with trials that take no time: what is measured how often, left out, repeated, and found in a journal. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { attentionOf } from "../src/measuring/attention.js";
import { NO_JOURNAL, Profiling } from "../src/measuring/rounds.js";
import { settingsFor } from "../src/measuring/settings.js";
import { readingOf } from "../src/measuring/stability.js";
import { keyOf } from "../src/way.js";
import { measurement, wayOf, WRONG } from "./support/trials.js";

/** @typedef {import("../src/measuring/rounds.js").TrialRecord} TrialRecord */
/** @typedef {import("../src/measuring/trial.js").Measurement} Measurement */
/** @typedef {import("../src/measuring/trial.js").Failure} Failure */
/** @typedef {import("../src/measuring/ways.js").Combination} Combination */

const SETTINGS = settingsFor({ max_length: 128 }, { lengths: [8] });
const QUICK = settingsFor({ max_length: 128 }, { lengths: [8], quick: true });
const SEEN = { wait: async () => {}, isLost: () => false };
const FUSED = wayOf();

/** @param {string[]} ids @param {import("../src/way.js").Way[]} ways @returns {any[]} */
function pairsOf(ids, ways = [FUSED]) {
  const subnets = ids.map((id, place) => ({ id, precision: "int8", parameters: place }));
  return subnets.flatMap((subnet) => ways.map((way) => ({ subnet, way })));
}

/**
 * Returns a profiling that takes no time; `made` are the sub-networks measured so far.
 *
 * @param {(one: Combination, before: number) => number | Measurement | Failure} trial the latency, or what comes of it
 * @param {Partial<import("../src/measuring/rounds.js").Bench> & {settings?: typeof SETTINGS}} given
 */
function profiling(trial, { settings = SETTINGS, ...given } = {}) {
  /** @type {string[]} */
  const made = [];
  const one = new Profiling(settings, {
    measure: async (combination) => {
      const { id } = combination.subnet;
      const found = trial(combination, made.filter((other) => other === id).length);
      made.push(id);
      return typeof found === "number" ? measurement(found) : found;
    },
    canaryMs: () => 10,
    attention: SEEN,
    journal: NO_JOURNAL,
    onProgress: () => {},
    clock: () => 0,
    ...given,
  });
  const run = (/** @type {any[]} */ pairs) => one.run(pairs, () => "fused", { keepEngines: false });
  return { made, run, leftOut: one.leftOut };
}

/** @param {TrialRecord[]} records */
function journalOf(records = []) {
  const key = (/** @type {any[]} */ ...[round, id, way]) => [round, id, keyOf(way)].join();
  const kept = new Map(records.map((one) => [key(one.round, one.subnet, one.way), one]));
  return {
    records,
    find: (/** @type {any[]} */ ...asked) => kept.get(key(...asked)),
    add: async (/** @type {TrialRecord} */ record) => {
      // As a server or a file would keep it.
      const one = JSON.parse(JSON.stringify(record));
      records.push(one);
      kept.set(key(one.round, one.subnet, one.way), one);
    },
  };
}

test("each round starts elsewhere", async () => {
  const { made, run } = profiling(() => 1);
  await run(pairsOf(["a", "b", "c"]));
  assert.equal(made.join(""), "abcbcacab");
});

for (const [mediansMs, rounds] of /** @type {const} */ ([
  [Array(10).fill(1), 3],
  [[1, 1.6, 1, 1], 4],
  [Array.from({ length: 10 }, (_, round) => 1.2 ** round), 10],
])) {
  test(`rounds go on until enough agree: ${rounds} of them`, async () => {
    const { made, run } = profiling((_, before) => mediansMs[before]);
    const records = await run(pairsOf(["a"]));
    assert.equal(made.length, rounds);
    const numbers = [...records.values()].flat().map(({ round }) => round);
    assert.deepEqual(numbers, Array.from({ length: rounds }, (_, place) => place + 1));
  });
}

test("rounds end when the time is up", async () => {
  let nowMs = 0;
  const { made, run } = profiling((_, before) => 1.2 ** before, { clock: () => (nowMs += 1001) });
  await run(pairsOf(["a"]));
  assert.equal(made.length, 3 + 2); // 3 s for one entry, by a clock that is asked from round 4 on
});

test("a sub-network that cannot be run is left out with the reason, and the others are measured", async () => {
  const { run, leftOut } = profiling(({ subnet }) => (subnet.id === "b" ? { reason: "no memory" } : 1));
  const records = await run(pairsOf(["a", "b"]));
  assert.deepEqual([...records.keys()].map(({ subnet }) => subnet.id), ["a"]);
  assert.deepEqual(leftOut, [{ id: "b", way: FUSED, reason: "no memory" }]);
});

test("a short look at the largest and the smallest network leaves hopeless ways out for all", async () => {
  const slow = wayOf({ threads: 2 });
  const { made, run, leftOut } = profiling(({ way }) => (way === slow ? 3 : 1), { settings: QUICK });
  const records = await run(pairsOf(["a", "b", "c"], [FUSED, slow]));
  assert.equal(made.join(""), "ccaa" + "abc");
  assert.deepEqual([...records.keys()].map(({ way }) => way), [FUSED, FUSED, FUSED]);
  assert.deepEqual(leftOut.map(({ id, way }) => id + way.threads), ["a2", "b2", "c2"]);
});

test("a way that runs neither the largest nor the smallest network is not tried with the others", async () => {
  const none = wayOf({ threads: 2 });
  const trial = (/** @type {Combination} */ { way }) => (way === none ? { reason: "hangs" } : 1);
  const { made, run, leftOut } = profiling(trial, { settings: QUICK });
  await run(pairsOf(["a", "b", "c"], [FUSED, none]));
  assert.equal(made.join(""), "ccaa" + "abc");
  assert.deepEqual(leftOut.map(({ id, reason }) => `${id} ${reason}`), ["a hangs", "b hangs", "c hangs"]);
});

test("a way that fails for the largest network alone is tried with the others", async () => {
  const tight = wayOf({ threads: 2 });
  const trial = (/** @type {Combination} */ { subnet, way }) => {
    return way === tight && subnet.id === "c" ? { reason: "no memory" } : 1;
  };
  const { run, leftOut } = profiling(trial, { settings: QUICK });
  assert.equal((await run(pairsOf(["a", "b", "c"], [FUSED, tight]))).size, 5);
  assert.deepEqual(leftOut, [{ id: "c", way: tight, reason: "no memory" }]);
});

test("what is wrong rules out no slower way", async () => {
  const slow = wayOf({ flavor: "portable" });
  const fastAndWrong = { ...measurement(0.1), numerics: WRONG };
  const { run } = profiling(({ way }) => (way === FUSED ? fastAndWrong : 1), { settings: QUICK });
  assert.deepEqual([...(await run(pairsOf(["a"], [FUSED, slow]))).keys()].map(({ way }) => way), [FUSED, slow]);
});

test("progress is told to the end, with what was measured, and never goes back", async () => {
  /** @type {import("../src/measuring/rounds.js").ProfileProgress[]} */
  const heard = [];
  const slow = wayOf({ threads: 2 });
  const trial = (/** @type {Combination} */ { way }) => (way === slow ? 3 : 1);
  await profiling(trial, { onProgress: (one) => heard.push(one) }).run(pairsOf(["a", "b"], [FUSED, slow]));
  assert.deepEqual(heard.map(({ done, total }) => [done, total]), [
    ...[[1, 16], [2, 16], [3, 16], [4, 16]],
    ...[[5, 10], [6, 10], [7, 10], [8, 10], [9, 10], [10, 10]],
  ]);
  assert.deepEqual(heard.map(({ record }) => record.round), [0, 0, 0, 0, 1, 1, 2, 2, 3, 3]);
  assert.ok(heard.every(({ subnet, record }) => subnet === record.subnet && record.reading.canary_ms === 10));
});

test("a profiling that broke off goes on where it was, and measures nothing twice", async () => {
  const ways = [FUSED, wayOf({ threads: 2 })];
  const whole = profiling(() => 1);
  const expected = await whole.run(pairsOf(["a", "b"], ways));
  for (let breaksAt = 0; breaksAt < whole.made.length; breaksAt++) {
    const journal = journalOf();
    let count = 0;
    const breaking = profiling(
      () => {
        if (count++ === breaksAt) throw new Error("reloaded");
        return 1;
      },
      { journal },
    );
    await assert.rejects(breaking.run(pairsOf(["a", "b"], ways)), /reloaded/);
    assert.equal(journal.records.length, breaksAt);

    const going = profiling(() => 1, { journal });
    const found = await going.run(pairsOf(["a", "b"], ways));
    assert.equal(going.made.length, whole.made.length - breaksAt);
    assert.deepEqual([...found.values()], [...expected.values()]);
  }
});

test("a trial in the journal that is too short, or of other shapes, is made again", async () => {
  const few = { ...measurement(1), samples_ms: [Array(SETTINGS.min_runs - 1).fill(1)] };
  const broken = /** @type {any} */ ({});
  for (const result of [few, measurement(1, 1), broken]) {
    const records = [1, 2, 3].map((round) => ({ round, subnet: "a", way: FUSED, reading: readingOf(10), result }));
    const { made, run } = profiling(() => 1, { journal: journalOf(records) });
    await run(pairsOf(["a"]));
    assert.equal(made.length, 3);
  }
});

test("what could not be measured is not tried again", async () => {
  const record = { round: 1, subnet: "a", way: FUSED, reading: readingOf(10), result: { reason: "no memory" } };
  const { made, run, leftOut } = profiling(() => 1, { journal: journalOf([record]), settings: QUICK });
  await run(pairsOf(["a", "b"]));
  assert.deepEqual([made, leftOut.length], [["b"], 1]);
});

test("a trial during which the page was hidden is made again, and none begins while it is", async () => {
  const page = Object.assign(new EventTarget(), { hidden: true });
  const attention = attentionOf(new AbortController().signal, page);
  const turn = (/** @type {boolean} */ hidden) => {
    page.hidden = hidden;
    page.dispatchEvent(new Event("visibilitychange"));
  };
  let trials = 0;
  const journal = journalOf();
  const { made, run } = profiling(
    () => {
      // Hidden in the middle of the first trial, and seen again before it ends.
      if (trials++ === 0) [true, false].forEach(turn);
      return trials;
    },
    { attention, journal, settings: QUICK },
  );
  const running = run(pairsOf(["a"]));
  await new Promise((done) => setTimeout(done, 20));
  assert.equal(trials, 0);
  turn(false);
  const [[record]] = [...(await running).values()];
  assert.deepEqual([made, journal.records.length], [["a", "a"], 1]);
  assert.equal(/** @type {Measurement} */ (record.result).samples_ms[0][0], 2);
});

test("a signal ends it, also while it waits for a page that is hidden", async () => {
  for (const attention of [SEEN, { wait: () => new Promise(() => {}), isLost: () => false }]) {
    const ending = new AbortController();
    const journal = journalOf();
    const trial = () => (ending.abort(new Error("enough")), 1);
    const running = profiling(trial, { attention: /** @type {any} */ (attention), journal, signal: ending.signal });
    const found = running.run(pairsOf(["a", "b"]));
    if (attention !== SEEN) setTimeout(() => ending.abort(new Error("enough")), 10);
    await assert.rejects(found, /enough/);
    assert.deepEqual([running.made.length, journal.records.length], [attention === SEEN ? 1 : 0, 0]);
  }
});

test("where there is no page it is always seen", async () => {
  const attention = attentionOf(new AbortController().signal, undefined);
  await attention.wait();
  assert.equal(attention.isLost(), false);
});
