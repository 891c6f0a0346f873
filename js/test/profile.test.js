import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { ProfileError } from "../src/errors.js";
import { decodeManifest } from "../src/inputs/manifest.js";
import { checkFits, narrowed, readProfile } from "../src/inputs/profile.js";

const text = (/** @type {string} */ path) => readFileSync(new URL(path, import.meta.url), "utf8");
const manifest = decodeManifest(readFileSync(new URL("vectors/bundle.json", import.meta.url)), "bundle.json");
const profile = readProfile(text("vectors/profile.json"));
const ofABrowser = readProfile(text("vectors/profile-of-a-browser.json"));

test("a profile that Python measured is read and fits its bundle", () => {
  const measured = text("../../profiles/amd-epyc-2-cores.json");
  const found = readProfile(new TextEncoder().encode(measured));
  assert.deepEqual(found, JSON.parse(measured));
  checkFits(found, decodeManifest(readFileSync(new URL("../../edgebert/builtin/bundle.json", import.meta.url)), "x"));
});

test("a profile of another bundle is refused", () => {
  const other = { ...profile, bundle_sha256: "0".repeat(64) };
  assert.throws(() => checkFits(other, manifest, "p.json"), (/** @type {any} */ error) => {
    assert.ok(error instanceof ProfileError);
    assert.match(error.message, /^p\.json is of another bundle \(expected bundle 6744f33e624b, found 000000000000\); /);
    return true;
  });
});

test("a profile with more than the bundle has is refused", () => {
  const settings = { ...profile.settings, lengths: [16, 64, 129] };
  assert.throws(() => checkFits({ ...profile, settings }, manifest), /expected at most 128 tokens, found 129/);
  const [first, ...others] = profile.subnetworks;
  const renamed = { ...profile, subnetworks: [...others, { ...first, id: "toString" }] };
  assert.throws(() => checkFits(renamed, manifest), /found "toString", fused at \$\.subnetworks\[2\]; profile/);
});

test("what another runtime measured is refused, and of several only what this one measured is left", () => {
  const refused = /^ProfileError: p\.json was measured by edgebert in Python with "cpu, ONNX/;
  assert.throws(() => narrowed(profile, ["wasm"], "p.json"), refused);
  const here = narrowed(profile, ["openvino"]);
  assert.deepEqual(here.subnetworks.map((one) => one.way.engine), ["openvino"]);
  assert.deepEqual(here.left_out, []);
  assert.equal(profile.subnetworks.length, 3);
  assert.ok(Object.isFrozen(here) && Object.isFrozen(here.subnetworks));
});

test("what a browser measured is left of a profile of that browser", () => {
  checkFits(ofABrowser, manifest);
  const here = narrowed(ofABrowser, ["wasm", "node"]);
  assert.deepEqual(here.subnetworks.map((one) => one.way.engine), ["wasm", "wasm"]);
  assert.deepEqual(here.subnetworks.map((one) => one.peak_memory_mb), [null, null]);
  assert.equal(narrowed(ofABrowser, ["wasm", "webgpu"]).subnetworks.length, 3);
  assert.throws(() => narrowed(ofABrowser, ["node"], "p.json"), {
    name: "ProfileError",
    message:
      "p.json was measured by edgebert in JavaScript on Chrome 156 on Android, Pixel 8 with " +
      '"wasm, onnxruntime-web 1.30.0", "webgpu, onnxruntime-web 1.30.0"; expected "node": profile in this runtime',
  });
});

test("a device that JavaScript describes is told by its runtime", () => {
  const { device } = ofABrowser;
  assert.ok(device.runtime === "javascript" && device.isolated && device.timer_step_ms === 0.005);
  assert.equal(profile.device.runtime, "python");
});
