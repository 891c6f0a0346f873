/** The parts of the page that measures a phone: what needs no browser of it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { EdgeBertError } from "../src/errors.js";
import { scaleOf, ticksOf } from "../src/page/chart.js";
import { Heat, heatOf } from "../src/page/heat.js";
import { Interim, pointsOf } from "../src/page/interim.js";
import { OtherPageError, PageJournal, Server, ServerGoneError } from "../src/page/server.js";
import { bought } from "../src/page/view.js";
import { milliseconds, timeLeft, wayInWords } from "../src/page/words.js";
import { madeProfile } from "./support/made-profile.js";

const WAY = /** @type {const} */ ({ engine: "wasm", device: "CPU", flavor: "fused", threads: 1, options: [] });
const READING = /** @type {any} */ ({ canary_ms: 10 });

/** @param {number} round @param {string} subnet @param {number} ms @returns {any} */
function record(round, subnet, ms, numerics = { drift: 0, tolerance: 1, wrong_answers: 0 }) {
  const memory = { peak_memory_mb: 50, steady_memory_mb: 50, private_memory_mb: 50 };
  const samples = [1, 2, 3].map((times) => Array(20).fill(times * ms));
  const costs = { load_ms: 1, first_ms: 1, new_shape_ms: 0, runs_per_sample: [1, 1, 1] };
  return { round, subnet, way: WAY, reading: READING, result: { ...costs, ...memory, numerics, samples_ms: samples } };
}

test("times and ways are told roughly, in words", () => {
  assert.equal(timeLeft(3), "a few seconds left");
  assert.equal(timeLeft(31), "about 40 s left");
  assert.equal(timeLeft(59), "about 1 min left");
  assert.equal(timeLeft(600), "about 10 min left");
  assert.deepEqual([0.5, 9.994, 12.34, 123.4].map(milliseconds), ["0.50 ms", "9.99 ms", "12.3 ms", "123 ms"]);
  assert.equal(wayInWords(WAY), "on 1 thread, fused graph");
});

test("ticks are round numbers within the range", () => {
  assert.deepEqual(ticksOf(0.7, 60), [1, 2, 5, 10, 20, 50]);
  assert.deepEqual(ticksOf(0.03, 0.3), [0.05, 0.1, 0.2]);
});

test("a scale of one value is its middle", () => {
  assert.equal(scaleOf([2, 4], [0, 10])(3), 5);
  assert.equal(scaleOf([2, 2], [0, 10])(2), 5);
});

test("what is known so far is a profile that the law chooses from", async () => {
  const { bundle, profile } = await madeProfile();
  const [best, other] = [...bundle.manifest.subnetworks].sort((a, b) => (b.quality?.value ?? 0) - (a.quality?.value ?? 0));
  const interim = new Interim(/** @type {any} */ (profile.settings));
  interim.add(record(0, best.id, 1));
  assert.equal(interim.profile(), null, "a short look is no measurement");
  interim.add({ ...record(1, other.id, 1), result: { reason: "no memory" } });
  assert.equal(interim.profile(), null);
  for (const round of [1, 2]) interim.add(record(round, best.id, round));
  interim.add(record(1, other.id, 4));

  const known = interim.profile();
  assert.ok(known);
  const points = pointsOf(bundle.manifest, known);
  assert.deepEqual(points.map(({ id, isOnFront }) => [id, isOnFront]), [[best.id, true], [other.id, false]]);
  const budget = { batchSize: 1, length: 128 };
  assert.equal(bought(bundle.manifest, known, { ...budget, latencyMs: 10 }).headline, best.id);
  const none = bought(bundle.manifest, known, { ...budget, latencyMs: 0.1 });
  assert.equal(none.headline, "nothing");
  assert.match(none.detail, new RegExp(`the nearest is ${best.id}`));
});

test("what computes something else is on no front", async () => {
  const { bundle, profile } = await madeProfile();
  const [{ id }] = bundle.manifest.subnetworks;
  const interim = new Interim(/** @type {any} */ (profile.settings));
  interim.add(record(1, id, 1, { drift: 2, tolerance: 1, wrong_answers: 0 }));
  assert.deepEqual(pointsOf(bundle.manifest, /** @type {any} */ (interim.profile())), []);
});

test("a hot device is waited for until it is cooler, but not for ever", async () => {
  const seen = { wait: async () => {}, isLost: () => false };
  for (const [later, pauses] of /** @type {[number, number][]} */ ([[10, 1], [20, 10]])) {
    /** @type {boolean[]} */
    const changes = [];
    let paused = 0;
    const options = { quick: false, stepMs: 0.1, onChange: (/** @type {boolean} */ one) => void changes.push(one) };
    const pauseFor = async () => void paused++;
    const heat = new Heat(seen, options, { canaryMs: () => later, pauseFor });
    await heat.wait();
    assert.equal(paused, 0, "nothing is known yet");
    heat.add(10);
    heat.add(20);
    await heat.wait();
    assert.equal(paused, pauses);
    assert.equal(changes.at(-1), false);
    for (let trial = 0; trial < 20; trial++) await heat.wait();
    assert.ok(paused <= 40, "two minutes in all");
  }
});

test("heat is how much slower the device is than at best", () => {
  assert.deepEqual([1, 1.09, 1.2, 1.3].map(heatOf), ["cool", "cool", "warm", "hot"]);
});

/**
 * Stands in for fetch as long as a test runs: gives these answers, of which numbers are statuses and null is none.
 *
 * @param {import("node:test").TestContext} t @param {(number | null)[]} answers
 */
function answering(t, answers) {
  /** @type {[string, any][]} */
  const asked = [];
  t.mock.method(globalThis, "fetch", async (/** @type {string} */ address, /** @type {RequestInit} */ { body } = {}) => {
    asked.push([address, body && JSON.parse(String(body))]);
    const status = answers.shift();
    if (status === null || status === undefined) throw new TypeError("Failed to fetch");
    return new Response(status === 200 ? "[]" : "why\n", { status });
  });
  return asked;
}

test("a computer that does not answer is asked again, later and later", async (t) => {
  /** @type {(number | null)[]} */
  const heard = [];
  const asked = answering(t, [null, null, 200]);
  const server = new Server((waitS) => void heard.push(waitS), [0.001, 0.002]);
  assert.deepEqual(await server.begin("f", "p"), []);
  assert.deepEqual(heard, [0.001, 0.002, null]);
  assert.deepEqual(asked.map(([address]) => address), Array(3).fill("records?device=f&page=p"));
});

test("a computer that is gone is said to be gone", async (t) => {
  answering(t, [null, null]);
  await assert.rejects(new Server(() => {}, [0.001]).asked(), (problem) => {
    assert.ok(problem instanceof ServerGoneError);
    assert.match(problem.message, /run the same command there again/);
    return true;
  });
});

test("what the computer refuses is not asked again", async (t) => {
  answering(t, [400, 409]);
  const server = new Server(() => {}, [0.001]);
  await assert.rejects(server.finish({}), (problem) => problem instanceof EdgeBertError && /: why$/.test(problem.message));
  await assert.rejects(server.finish({}), OtherPageError);
});

test("trials are posted with the type that the computer tells them apart by", async (t) => {
  const asked = answering(t, [200, 200]);
  const server = new Server(() => {}, []);
  await server.add({ device: {}, done: 1, total: 2, trial: record(1, "a", 1) });
  await server.add({ device: {}, done: 1, total: 2, trial: { ...record(1, "a", 1), result: { reason: "no memory" } } });
  assert.deepEqual(asked.map(([, { trial }]) => trial.result.type), ["Measurement", "Failure"]);
  assert.equal(asked[1][1].trial.result.reason, "no memory");
});

test("the journal finds what the computer knows, and tells what is measured next", async () => {
  /** @type {any[]} */
  const next = [];
  /** @type {any[]} */
  const added = [];
  const add = async (/** @type {any} */ one) => void added.push(one);
  const journal = new PageJournal([record(1, "a", 1)], add, (...one) => void next.push(one));
  assert.equal(journal.find(1, "a", structuredClone(WAY))?.subnet, "a");
  assert.equal(journal.find(2, "a", WAY), undefined);
  assert.deepEqual(next, [[2, "a", WAY]]);
  await journal.add(record(2, "a", 1));
  assert.equal(added.length, 1);
});
