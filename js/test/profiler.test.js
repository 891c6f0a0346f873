/** Profiles of the built-in bundle by real runtimes: what they hold, how they go on, and how they end. */

import assert from "node:assert/strict";
import { cp, mkdtemp, open, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import * as webRuntime from "onnxruntime-web";

import { runtimeOf } from "../src/engines/engines.js";
import { loadBundle } from "../src/inputs/bundle.js";
import { checkFits, readProfile } from "../src/inputs/profile.js";
import { profile, profileOf } from "../src/measuring/profiler.js";
import { settingsFor } from "../src/measuring/settings.js";
import { measureApart } from "../src/measuring/trial-apart.js";
import { BUILTIN } from "./support/server.js";
import { wayOf } from "./support/trials.js";

/** @typedef {import("../src/measuring/rounds.js").TrialRecord} TrialRecord */

const bundle = await loadBundle(BUILTIN);
const ort = /** @type {import("../src/engines/session-network.js").Runtime} */ (await runtimeOf(undefined));
// The smallest and the largest sub-network.
const TWO = ["w0.25-d0.50-int8-static", "w1.00-d1.00-int8-static"];
const BRIEF = { quick: true, lengths: [8, 16], subnets: TWO, cache: null };

const folder = await mkdtemp(join(tmpdir(), "edgebert-"));
const before = process.env.XDG_CACHE_HOME;
process.env.XDG_CACHE_HOME = folder;
after(async () => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before;
  await rm(folder, { recursive: true });
});

test("a quick profile of all sub-networks in Node says what, where and how, and all are right", async () => {
  /** @type {[number, number][]} */
  const heard = [];
  const found = await profile(BUILTIN, { quick: true, onProgress: ({ done, total }) => heard.push([done, total]) });
  assert.deepEqual(readProfile(JSON.stringify(found)), found);
  checkFits(found, bundle.manifest);
  const { subnetworks: subnets } = bundle.manifest;
  assert.deepEqual(found.subnetworks.map(({ id }) => id), subnets.map(({ id }) => id));
  assert.deepEqual(heard, subnets.map((_, place) => [place + 1, subnets.length]));
  assert.match(found.engine_versions.node, /^onnxruntime-node \d/);
  for (const entry of found.subnetworks) {
    assert.ok(entry.numerics_ok, entry.id);
    assert.deepEqual(entry.latency.map(({ length }) => length), [16, 64, 128]);
    assert.ok(entry.latency.every(({ runs, runs_per_sample: each }) => runs >= 10 && each === 1), entry.id);
    // In a process of its own: the weights at least.
    assert.ok(Number(entry.steady_memory_mb) > 10, `${entry.steady_memory_mb}`);
  }
});

test("load finds the quick profile that was kept, and measures what it lacks", async () => {
  /** @type {string[]} */
  const measured = [];
  const options = { onProgress: (/** @type {{subnet: string}} */ { subnet }) => void measured.push(subnet) };
  const first = await profileOf(bundle, options);
  const second = await profileOf(bundle, { ...options, ort });
  assert.equal(second.created_at, first.created_at);
  const before = measured.length;
  assert.ok(before === 0 || before === bundle.manifest.subnetworks.length);

  const threads = first.subnetworks[0].way.threads === 1 ? 2 : 1;
  const more = await profileOf(bundle, { ...options, threads: [threads] });
  assert.equal(measured.length, before + bundle.manifest.subnetworks.length);
  assert.equal(more.subnetworks.length, first.subnetworks.length + bundle.manifest.subnetworks.length);
});

test("onnxruntime-web in the calling thread is measured too; its memory is not known", async () => {
  const runtime = /** @type {any} */ (webRuntime);
  const found = await profile(bundle, { ...BRIEF, ort: runtime });
  assert.deepEqual(Object.keys(found.engine_versions), ["wasm"]);
  for (const entry of found.subnetworks) {
    assert.deepEqual([entry.numerics_ok, entry.peak_memory_mb, entry.way.threads], [true, null, 1]);
  }
});

/** Returns a runtime whose outputs are changed. @param {(values: Float32Array) => Float32Array} change */
function altered(change) {
  const { create } = ort.InferenceSession;
  const changedSession = async (/** @type {any} */ ...args) => {
    const session = await create.apply(ort.InferenceSession, args);
    const run = async (/** @type {any} */ feeds) => {
      const { logits } = await session.run(feeds);
      return { logits: { data: change(logits.data), dims: logits.dims } };
    };
    return { inputNames: session.inputNames, run, release: () => session.release() };
  };
  return { InferenceSession: { create: changedSession }, Tensor: ort.Tensor, env: ort.env };
}

test("a device that computes something else is found out, and told in numbers that JSON has", async () => {
  const changes = [
    (/** @type {Float32Array} */ values) => values.map((value) => -value),
    (/** @type {Float32Array} */ values) => values.map((value) => value + 1),
    (/** @type {Float32Array} */ values) => values.fill(NaN),
    (/** @type {Float32Array} */ values) => values.subarray(1),
  ];
  for (const [place, change] of changes.entries()) {
    const found = await profile(bundle, { ...BRIEF, subnets: [TWO[0]], ort: altered(change) });
    const [{ numerics_ok: isRight, numerics }] = found.subnetworks;
    assert.equal(isRight, false);
    assert.ok(numerics.drift > numerics.tolerance);
    if (place !== 1) assert.ok(numerics.wrong_answers > 0);
  }
});

test("a way that is wrong for one network is trusted for none of its precision", async () => {
  let sessions = 0;
  const runtime = altered((values) => (sessions === 1 ? values.map((value) => -value) : values));
  const { create } = runtime.InferenceSession;
  runtime.InferenceSession.create = (...args) => (sessions++, create(...args));
  const found = await profile(bundle, { ...BRIEF, ort: runtime });
  assert.deepEqual(found.subnetworks.map((one) => one.numerics_ok), [false, false]);
  assert.deepEqual(found.subnetworks.map((one) => one.numerics.drift <= one.numerics.tolerance), [false, true]);
});

test("a profile that broke off goes on by its journal, and measures nothing twice", async () => {
  /** @type {TrialRecord[]} */
  const records = [];
  const journal = {
    find: (/** @type {number} */ round, /** @type {string} */ subnet) => {
      return records.find((one) => one.round === round && one.subnet === subnet);
    },
    add: async (/** @type {TrialRecord} */ record) => void records.push(JSON.parse(JSON.stringify(record))),
  };
  const ending = new AbortController();
  const { signal } = ending;
  const leaving = profile(bundle, { ...BRIEF, journal, signal, onProgress: () => ending.abort(new Error("left")) });
  await assert.rejects(leaving, /left/);
  assert.deepEqual(records.map(({ subnet }) => subnet), [TWO[0]]);

  const found = await profile(bundle, { ...BRIEF, journal });
  assert.deepEqual(records.map(({ subnet }) => subnet), TWO);
  assert.deepEqual(found.subnetworks.map(({ id }) => id), TWO);
});

test("a signal ends a profile at once, before and amid a trial", async () => {
  await assert.rejects(profile(bundle, { ...BRIEF, signal: AbortSignal.abort(new Error("enough")) }), /enough/);
  for (const runtime of [undefined, altered((values) => values)]) {
    const signal = AbortSignal.timeout(300);
    // Of so many shapes that it would take minutes.
    const lengths = Array.from({ length: 127 }, (_, place) => place + 2);
    const options = { lengths, batchSizes: [8, 32], subnets: [TWO[1]], cache: null };
    await assert.rejects(profile(bundle, { ...options, ort: runtime, signal }), { name: "TimeoutError" });
  }
});

test("a damaged bundle is named, and not taken for a way that cannot be run", async () => {
  const copy = join(folder, "copy");
  await cp(BUILTIN, copy, { recursive: true });
  const file = await open(join(copy, "weights-int8.bin"), "r+");
  await file.write("xx", 0);
  await file.close();
  const expected = { name: "BundleError", message: /weights-int8\.bin was altered/ };
  await assert.rejects(profile(copy, BRIEF), expected);
  await assert.rejects(profile(copy, { ...BRIEF, ort: altered((values) => values) }), expected);
});

test("what runtimes refuse is left out with the reason; where nothing is left that is an error", async () => {
  const runtime = altered((values) => values);
  const { create } = runtime.InferenceSession;
  let sessions = 0;
  runtime.InferenceSession.create = (...args) => {
    if (sessions++ % 2 === 0) throw new RangeError("Array buffer allocation failed\nat x");
    return create(...args);
  };
  const found = await profile(bundle, { ...BRIEF, ort: runtime });
  assert.deepEqual(found.subnetworks.map(({ id }) => id), [TWO[1]]);
  assert.match(found.left_out[0].reason, /Array buffer allocation failed/);
  const message = /^no sub-network could be measured here: .*Array buffer allocation failed/;
  sessions = 0;
  const nothing = profile(bundle, { ...BRIEF, subnets: [TWO[0]], ort: runtime });
  await assert.rejects(nothing, { name: "ProfileError", message });
});

test("a process that dies leaves its reason", async () => {
  const order = {
    place: BUILTIN,
    sha256: bundle.sha256,
    subnet: TWO[0],
    way: wayOf(),
    settings: settingsFor(bundle.manifest, { quick: true, lengths: [8] }),
    stepMs: 1e-4,
  };
  const broken = await measureApart({ ...order, settings: /** @type {any} */ (null) }, undefined);
  assert.match("reason" in broken ? broken.reason : "", /^its process ended with status \d+ \(TypeError: /);
  const other = { ...order, sha256: "0".repeat(64) };
  await assert.rejects(measureApart(other, undefined), /was replaced since it was loaded/);
});

test("what cannot be measured is refused", async () => {
  const cases = /** @type {const} */ ([
    [{ lengths: [129] }, /^expected a length of 2 to 128, found 129/],
    [{ subnets: ["w9"] }, /^no sub-network "w9" in bundle/],
    [{ engines: ["cpu"] }, /^no engine "cpu" here; choose one of "node"/],
    [{ threads: [0] }, /^expected 1 to \d+ threads on this device, found 0/],
    [{ ort: "no such module" }, /no such module/],
    [{ batch_sizes: [1] }, /^profile has no option batch_sizes; expected one of "ort", "quick", "lengths"/],
  ]);
  for (const [wrong, message] of cases) await assert.rejects(profile(bundle, { ...BRIEF, ...wrong }), { message });
});

test("nothing but profiles is written", async () => {
  assert.deepEqual((await readdir(folder)).sort(), ["copy", "edgebert"]);
  assert.deepEqual(await readdir(join(folder, "edgebert")), ["profiles"]);
});
