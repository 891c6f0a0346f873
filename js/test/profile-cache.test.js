import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { loadBundle } from "../src/inputs/bundle.js";
import { readProfile } from "../src/inputs/profile.js";
import { thisDevice } from "../src/measuring/device.js";
import { findProfile, isDoubtful, keepProfile } from "../src/measuring/profile-cache.js";
import { settingsFor } from "../src/measuring/settings.js";
import { readingOf } from "../src/measuring/stability.js";
import { profiledSubnet } from "../src/measuring/statistics.js";
import { BUILTIN } from "./support/server.js";
import { measurement, wayOf } from "./support/trials.js";

/** @typedef {import("../src/inputs/profile.js").DeviceProfile} DeviceProfile */

const bundle = await loadBundle(BUILTIN);
const device = await thisDevice();
const KEY = { bundle, device, version: "onnxruntime-node 1", batchSize: 1 };
const IDS = bundle.manifest.subnetworks.map(({ id }) => id);

/** Returns a profile in which everything takes so long. @param {any} [given] @returns {DeviceProfile} */
function profileWith(given = {}) {
  const { ms = 1, ids = IDS, way = wayOf(), quick = false, lengths, ...others } = given;
  const settings = settingsFor(bundle.manifest, { quick, lengths });
  const rounds = [measurement(...settings.lengths.map(() => ms))];
  const drifts = { median_drift: 1, worst_drift: 1, canary_drift: 1, others_share: null };
  const found = {
    schema_version: 5,
    bundle_sha256: bundle.sha256,
    created_at: "2026-01-01T00:00:00+00:00",
    edgebert_version: "0.1.0",
    engine_versions: { node: KEY.version },
    device,
    settings,
    subnetworks: ids.map((/** @type {string} */ id) => profiledSubnet(id, way, rounds, settings)),
    left_out: [],
    stability: { rounds: 1, ...drifts, readings: [readingOf(1e9)], unsettled: [], warning: null },
    ...others,
  };
  return readProfile(JSON.stringify(found));
}

/** Has profiles kept in a folder of its own until the test ends. @param {import("node:test").TestContext} t */
async function freshCache(t) {
  const folder = await mkdtemp(join(tmpdir(), "edgebert-"));
  const before = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = folder;
  t.after(async () => {
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
    await rm(folder, { recursive: true });
  });
  return join(folder, "edgebert", "profiles");
}

// Elsewhere the folder is another one, which is not to be written into.
const options = { skip: process.platform === "linux" ? false : "the folder of caches is set on Linux alone" };

test("a profile that is kept is found by its bundle, device, runtime and batch size alone", options, async (t) => {
  const folder = await freshCache(t);
  assert.equal(await findProfile(KEY), undefined);
  const profile = profileWith();
  await keepProfile(profile, KEY);
  assert.deepEqual(await findProfile(KEY), profile);
  assert.equal((await readdir(folder)).length, 1);

  const other = { ...device, fingerprint: "0".repeat(64) };
  for (const changed of [{ version: "onnxruntime-node 2" }, { batchSize: 8 }, { device: other }]) {
    assert.equal(await findProfile({ ...KEY, ...changed }), undefined);
  }
});

test("a profile of some sub-networks, or not of the longest input, is not kept by itself", options, async (t) => {
  await freshCache(t);
  const [some, short] = [profileWith({ ids: IDS.slice(1) }), profileWith({ lengths: [8] })];
  for (const one of [some, short]) await keepProfile(one, KEY);
  assert.equal(await findProfile(KEY), undefined);
  await keepProfile(profileWith(), KEY);
  await keepProfile(short, KEY);
  await keepProfile(profileWith({ ms: 7, ids: IDS.slice(0, 1), way: wayOf({ threads: 2 }) }), KEY);
  const found = await findProfile(KEY);
  assert.deepEqual(found?.subnetworks.map(({ way }) => way.threads), [2, ...IDS.map(() => 1)]);
});

test("what is measured again takes the place of what was, but a quick one not of a full one", options, async (t) => {
  await freshCache(t);
  const keptMs = async () => new Set((await findProfile(KEY))?.subnetworks.map(({ latency }) => latency[0].p50_ms));
  await keepProfile(profileWith({ ms: 1, quick: true }), KEY);
  await keepProfile(profileWith({ ms: 2, quick: true }), KEY);
  assert.deepEqual(await keptMs(), new Set([2]));
  await keepProfile(profileWith({ ms: 3 }), KEY);
  assert.deepEqual(await keptMs(), new Set([3]));
  await keepProfile(profileWith({ ms: 4, quick: true }), KEY);
  assert.deepEqual(await keptMs(), new Set([3]));

  // What it has beyond that is added, and is then known no better than it says.
  await keepProfile(profileWith({ ms: 5, quick: true, way: wayOf({ threads: 2 }) }), KEY);
  const found = await findProfile(KEY);
  assert.deepEqual(await keptMs(), new Set([3, 5]));
  assert.deepEqual([found?.settings.min_rounds, found?.settings.min_runs], [1, 10]);
});

test("of short looks at a restless device the faster entries count, until one is at a calm device", options, async (t) => {
  await freshCache(t);
  const look = (/** @type {number} */ ms, /** @type {string | null} */ warning, ids = IDS) => {
    const found = profileWith({ ms, ids, quick: true });
    return readProfile(JSON.stringify({ ...found, stability: { .../** @type {any} */ (found.stability), warning } }));
  };
  const keptMs = async () => (await findProfile(KEY))?.subnetworks.map(({ latency }) => latency[0].p50_ms) ?? [];
  await keepProfile(look(9, "busy"), KEY);
  await keepProfile(look(5, "busy", IDS.slice(0, 1)), KEY);
  await keepProfile(look(7, "busy"), KEY);
  assert.deepEqual(await keptMs(), [5, ...IDS.slice(1).map(() => 7)]);
  assert.ok(isDoubtful(/** @type {DeviceProfile} */ (await findProfile(KEY))));

  await keepProfile(look(8, null), KEY);
  assert.deepEqual(new Set(await keptMs()), new Set([8]));
  assert.ok(!isDoubtful(/** @type {DeviceProfile} */ (await findProfile(KEY))));
  // And no longer then.
  await keepProfile(look(6, "busy"), KEY);
  assert.deepEqual(new Set(await keptMs()), new Set([8]));
});

test("content that is damaged, or of another bundle, is no profile", options, async (t) => {
  const folder = await freshCache(t);
  const profile = profileWith();
  const others = [{ bundle_sha256: "0".repeat(64) }, { device: { ...device, fingerprint: "0".repeat(64) } }];
  const altered = others.map((change) => JSON.stringify({ ...profile, ...change }));
  for (const content of ["", "{", "[]", JSON.stringify(profile).slice(0, -9), ...altered]) {
    await keepProfile(profile, KEY);
    const [name] = await readdir(folder);
    await writeFile(join(folder, name), content);
    assert.equal(await findProfile(KEY), undefined, content.slice(0, 40));
  }
  await keepProfile(profile, KEY);
  assert.deepEqual(await findProfile(KEY), profile);
});

test("after another version of the browser the canary says whether a profile still holds", options, async (t) => {
  await freshCache(t);
  await keepProfile(profileWith(), KEY);
  // No device takes as long for the canary as was written down there.
  assert.equal(await findProfile({ ...KEY, device: { ...device, user_agent: "another version" } }), undefined);
  assert.ok(await findProfile(KEY));
});

test("where nothing can be written a profile serves this once", options, async (t) => {
  await freshCache(t);
  process.env.XDG_CACHE_HOME = "/dev/null/none";
  await keepProfile(profileWith(), KEY);
  assert.equal(await findProfile(KEY), undefined);
});

test("a page keeps profiles in its own storage", async (t) => {
  const kept = new Map();
  const storage = {
    match: async (/** @type {string} */ key) => kept.get(key)?.clone(),
    put: async (/** @type {string} */ key, /** @type {Response} */ response) => kept.set(key, response),
  };
  const { process: node, caches } = globalThis;
  t.after(() => Object.assign(globalThis, { process: node, caches }));
  Object.assign(globalThis, { process: undefined, caches: { open: async () => storage } });
  const profile = profileWith();
  await keepProfile(profile, KEY);
  assert.deepEqual(await findProfile(KEY), profile);
  assert.match([...kept.keys()][0], /^https:\/\/edgebert\.invalid\/profiles\/[0-9a-f-]+-b1\.json$/);
  Object.assign(globalThis, { caches: undefined });
  assert.equal(await findProfile(KEY), undefined);
});
