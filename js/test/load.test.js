/** Models of the built-in bundle in Node: real networks, answers and budgets. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { BudgetError, BundleError, EdgeBertError, load, loadBundle, ProfileError } from "../src/index.js";
import { select } from "../src/choosing/selection.js";
import { madeProfile } from "./support/made-profile.js";
import { BUILTIN } from "./support/server.js";

const SMALL = "w0.25-d0.50-int8-static";
const TEXT = "a great film";

/** @param {import("node:test").TestContext} t @param {import("../src/serving/load.js").LoadOptions} options */
async function loaded(t, options = {}) {
  const model = await load(BUILTIN, options);
  t.after(() => model.dispose());
  return model;
}

test("without a budget the best network answers, in the form of transformers' pipeline", async (t) => {
  const model = await loaded(t);
  const best = Math.max(...model.bundle.manifest.subnetworks.map(({ quality }) => quality?.value ?? 0));
  assert.equal(model.subnet.quality?.value, best);
  assert.equal(model.selection.subnetwork, model.subnet.id);

  const [alone] = await model(TEXT);
  assert.equal(alone.label, "positive");
  assert.deepEqual(await model({ text: TEXT }), alone);
  assert.deepEqual(await model([]), []);
  const several = await model([TEXT, "dull", TEXT]);
  assert.deepEqual(several.map((/** @type {any} */ one) => one.label), ["positive", "negative", "positive"]);
  const scores = await model(TEXT, { topK: null });
  assert.equal(scores.length, 2);
  assert.equal(model.stats().requests, 4); // an empty list asks for nothing
  assert.equal(model.stats().withinBudget, null);
});

test("a text is answered alike alone and among others, whatever the order", async (t) => {
  const model = await loaded(t, { batchSize: 8 });
  const texts = ["bad", TEXT, "a story of two people, told so slowly that it never ends", "good", "dull and long"];
  const together = await model(texts);
  const alone = await Promise.all(texts.map((text) => model(text)));
  together.forEach((/** @type {any} */ one, /** @type {number} */ at) => {
    assert.equal(one.label, alone[at][0].label);
    assert.ok(Math.abs(one.score - alone[at][0].score) < 0.005);
  });
});

test("what load chooses is what the law selects", async (t) => {
  const { bundle, profile } = await madeProfile();
  for (const latencyMs of [22, 24, 26, 40]) {
    const model = await loaded(t, { profile, latencyMs });
    const chosen = select(bundle.manifest, /** @type {any} */ (profile), { latencyMs });
    assert.equal(model.subnet.id, chosen.subnetwork);
    assert.ok(Number(model.selection.predictedMs) <= latencyMs);
  }
});

test("a budget that nothing meets is refused, and the nearest miss is named", async () => {
  const { profile } = await madeProfile();
  await assert.rejects(load(BUILTIN, { profile, latencyMs: 0.001 }), (/** @type {any} */ problem) => {
    assert.ok(problem instanceof BudgetError);
    assert.ok(Number(problem.nearest?.predictedMs) > 0.001);
    return true;
  });
});

test("a call's own budget chooses by the length of its text, and a better network is loaded for the next", async (t) => {
  const { profile } = await madeProfile();
  const model = await loaded(t, { profile, latencyMs: 40 });
  const before = model.stats().loaded;
  await model(TEXT, { latencyMs: 38 });
  assert.ok(model.stats().loaded.length >= before.length);
  assert.equal(model.stats().requests, 1);
  assert.equal(model.stats().withinBudget, 1);
  await assert.rejects(model(TEXT, { latencyMs: 1e-6 }), BudgetError);
  assert.equal(model.stats().requests, 1);
});

test("a fixed choice answers all that it can, and refuses budgets", async (t) => {
  const model = await loaded(t, { subnet: SMALL, adaptive: false });
  assert.equal((await model(TEXT))[0].label, "positive");
  await assert.rejects(model(TEXT, { latencyMs: 50 }), BudgetError);
  assert.deepEqual(Object.keys(model.stats().subnetworks), [SMALL]);
});

test("requests at once are answered one after the other, and a refused one ends no other", async (t) => {
  const model = await loaded(t, { subnet: SMALL });
  const asked = [TEXT, "", "dull", 5, TEXT].map((text) => model(/** @type {any} */ (text)));
  const found = await Promise.allSettled(asked);
  assert.deepEqual(found.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled", "rejected", "fulfilled"]);
  assert.ok(found.every((one) => one.status === "fulfilled" || one.reason instanceof EdgeBertError));
});

test("a model that was disposed of answers no more, and says so", async () => {
  const model = await load(BUILTIN, { subnet: SMALL });
  await model.dispose();
  await model.dispose();
  await assert.rejects(model(TEXT), /disposed of/);
});

test("profiles of another bundle, runtime or form are refused", async () => {
  const { profile } = await madeProfile();
  const python = { ...profile, device: { runtime: "python" }, engine_versions: { cpu: "ONNX Runtime 1.31.1" } };
  python.subnetworks = profile.subnetworks.map((one) => ({ ...one, way: { ...one.way, engine: "cpu" } }));
  const others = [{}, { ...profile, schema_version: 4 }, { ...profile, bundle_sha256: "0".repeat(64) }, python];
  for (const one of others) await assert.rejects(load(BUILTIN, { profile: one }), ProfileError);
  await assert.rejects(load(BUILTIN, { profile: "/nowhere/profile.json" }), ProfileError);
  await assert.rejects(load(BUILTIN, { profile, threads: 7 }), /7 threads/);
});

test("options are checked before anything is loaded", async () => {
  const wrong = [{ latencyMs: 0 }, { memoryMb: -1 }, { percentile: 100 }, { nope: 1 }, { threads: 0 }, { ort: {} }];
  for (const options of wrong) {
    await assert.rejects(load("/nowhere", /** @type {any} */ (options)), (/** @type {any} */ problem) => {
      assert.ok(problem instanceof EdgeBertError && !(problem instanceof BundleError), String(problem));
      return true;
    });
  }
  await assert.rejects(load(BUILTIN, { subnet: "w9" }), BundleError);
  await assert.rejects(load("/nowhere"), BundleError);
});

test("loading ends when its signal says so", async () => {
  const reason = new Error("enough");
  await assert.rejects(load(BUILTIN, { signal: AbortSignal.abort(reason) }), reason);
});

test("a bundle that is loaded already is taken as it is", async (t) => {
  const bundle = await loadBundle(BUILTIN);
  const model = await load(bundle, { subnet: SMALL });
  t.after(() => model.dispose());
  assert.equal(model.bundle, bundle);
  assert.equal(model.countTokens(TEXT), 5);
  assert.throws(() => model.similarity([[1]], [[1]]), EdgeBertError);
});
