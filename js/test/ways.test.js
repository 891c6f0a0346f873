import assert from "node:assert/strict";
import { test } from "node:test";

import * as webRuntime from "onnxruntime-web";

import { combinations, hopelessWays } from "../src/measuring/ways.js";
import { wayOf } from "./support/trials.js";

/** @typedef {import("../src/way.js").Way} Way */

const graphs = { fused: {}, portable: {} };
const SUBNETS = /** @type {any[]} */ (["a", "b"].map((id) => ({ id, precision: "int8", graphs })));
const DEVICE = { cores: 4, gpu: null };
const NODE = /** @type {any} */ ({ env: { versions: { node: "1" } } });
const WEB = /** @type {any} */ ({ env: { versions: { web: "1" } } });

/** @param {{subnet: {id: string}, way: Way}[]} pairs */
const told = (pairs) => pairs.map(({ subnet, way }) => [subnet.id, way.engine, way.flavor, way.threads].join(" "));

test("networks are measured in both flavors and on several numbers of threads, or as they are asked for", async () => {
  const all = await combinations(SUBNETS, NODE, DEVICE, {});
  const counts = new Set(all.map(({ way }) => way.threads));
  assert.ok(counts.has(1));
  assert.equal(all.length, SUBNETS.length * 2 * counts.size);
  const asked = await combinations(SUBNETS, NODE, DEVICE, { threads: [3], quick: true });
  assert.deepEqual(told(asked), ["a node fused 3", "b node fused 3"]);
  assert.equal((await combinations(SUBNETS, NODE, DEVICE, { quick: true })).length, SUBNETS.length);
  // One object for each way, by which those of two sub-networks are compared.
  assert.equal(asked[0].way, asked[1].way);
});

test("flavors that a sub-network has not are not measured", async () => {
  const portable = /** @type {any} */ ({ ...SUBNETS[0], graphs: { portable: {} } });
  const found = await combinations([portable], NODE, DEVICE, { threads: [1] });
  assert.deepEqual(told(found), ["a node portable 1"]);
});

test("in the thread that calls it, onnxruntime-web has one number of threads", async () => {
  const found = await combinations(SUBNETS, /** @type {any} */ (webRuntime), DEVICE, {});
  assert.deepEqual(told(found).slice(0, 2), ["a wasm fused 1", "a wasm portable 1"]);
  assert.equal(found.length, 4);
});

test("the graphics card is measured where there is one and the precision suits it", async () => {
  const floats = /** @type {any[]} */ ([{ ...SUBNETS[0], precision: "fp32" }]);
  const device = { ...DEVICE, gpu: "nvidia" };
  assert.deepEqual(told(await combinations(floats, WEB, device, { threads: [1] })).at(-1), "a webgpu portable 1");
  const halves = [{ ...floats[0], precision: "fp16" }];
  assert.deepEqual(told(await combinations(halves, WEB, device, { quick: true })), ["a webgpu portable 1"]);
  const none = { name: "ProfileError", message: /^wasm is no engine for fp16; choose another engine or export more/ };
  await assert.rejects(combinations(halves, WEB, DEVICE, {}), none);
});

test("engines and threads that there are not are refused", async () => {
  const engine = { name: "EdgeBertError", message: 'no engine "webgpu" here; choose one of "wasm"' };
  await assert.rejects(combinations(SUBNETS, WEB, DEVICE, { engines: ["webgpu"] }), engine);
  for (const threads of [0, 33, 1.5]) {
    const message = `expected 1 to 32 threads on this device, found ${threads}; choose one of these`;
    await assert.rejects(combinations(SUBNETS, NODE, DEVICE, { threads: [threads] }), { message });
  }
});

const [FUSED, PORTABLE, TWO] = [wayOf(), wayOf({ flavor: "portable" }), wayOf({ threads: 2 })];
const OTHER = wayOf({ engine: "webgpu", device: "GPU", flavor: "portable" });
const own = (/** @type {string} */ engine) => (engine === "webgpu" ? "portable" : "fused");

/** @param {...[Way, number[]][]} networks */
function reasons(...networks) {
  const found = hopelessWays(networks.map((medians) => new Map(medians)), own);
  return [...found].map(([way, reason]) => [way.engine, way.flavor, way.threads, reason].join(" "));
}

test("a way that is twice as slow everywhere is left out, and one that is so for some shape alone is not", () => {
  const small = /** @type {[Way, number[]][]} */ ([[FUSED, [2, 4]], [TWO, [1, 2]]]);
  assert.deepEqual(reasons(small), ["node fused 1 2.0 to 2.0 times as slow as the fastest way"]);
  assert.deepEqual(reasons(small, [[FUSED, [1, 4]], [TWO, [1, 2]]]), []);
});

test("of two flavors exactly one is left: the engine's own unless the other gains", () => {
  const found = (/** @type {number} */ ms) => reasons([[FUSED, [1, 1]], [PORTABLE, [ms, ms]]]);
  assert.deepEqual(found(1.2), ["node portable 1 1.20 times as slow as the other flavor"]);
  assert.deepEqual(found(1), ["node portable 1 1.00 times as slow as the other flavor"]);
  assert.deepEqual(found(0.98), ["node portable 1 0.98 times as slow as the other flavor"]);
  assert.deepEqual(found(0.9), ["node fused 1 1.11 times as slow as the other flavor"]);
});

test("which flavor is left is the same on all numbers of threads", () => {
  const both = wayOf({ flavor: "portable", threads: 2 });
  const medians = new Map([[FUSED, [1, 4]], [PORTABLE, [2, 8]], [TWO, [1.3, 2.6]], [both, [1.2, 2.4]]]);
  assert.deepEqual([...hopelessWays([medians], own).keys()].map(({ flavor }) => flavor), ["portable", "portable"]);
});

test("another engine that is nowhere faster is left out, unless it is asked for", () => {
  const medians = new Map([[FUSED, [1, 4]], [OTHER, [1.5, 3.9]]]);
  const reason = "nowhere faster than another engine, at best 0.97 times as slow";
  assert.deepEqual([...hopelessWays([medians], own).values()], [reason]);
  assert.equal(hopelessWays([medians], own, { keepEngines: true }).size, 0);
  medians.set(OTHER, [1.5, 2]);
  assert.equal(hopelessWays([medians], own).size, 0);
});

test("a way that could not be run for one network is judged by the others", () => {
  assert.deepEqual(reasons([[FUSED, [1]]], [[FUSED, [1]], [TWO, [3]]]), [
    "node fused 2 3.0 to 3.0 times as slow as the fastest way",
  ]);
  assert.deepEqual(reasons([]), []);
});
