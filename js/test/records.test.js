import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { BundleError, ProfileError } from "../src/errors.js";
import { readGolden } from "../src/inputs/golden.js";
import { decodeManifest } from "../src/inputs/manifest.js";
import { readProfile } from "../src/inputs/profile.js";

/**
 * Each changes one place of a file, and says at which path it is refused.
 *
 * tests/inputs/test_javascript_vectors.py checks that Python says the same.
 * @type {{file: string, replace: string, by: string, at: string | null}[]}
 */
const cases = JSON.parse(read("records.json"));

/** @type {Record<string, (bytes: Uint8Array) => object>} */
const readers = {
  "bundle.json": (bytes) => decodeManifest(bytes, "the file"),
  "golden.json": (bytes) => readGolden(bytes, "the file", ["input_ids"]),
  "profile.json": (bytes) => readProfile(bytes, "the file"),
  "profile-of-a-browser.json": (bytes) => readProfile(bytes, "the file"),
};

function read(/** @type {string} */ name) {
  return readFileSync(new URL(`vectors/${name}`, import.meta.url), "utf8");
}

for (const { file, replace, by, at } of cases) {
  test(`${file} with ${JSON.stringify(by).slice(0, 60)} is ${at ? "refused" : "read"} as Python does`, () => {
    const [before, after] = [read(file), read(file).replace(replace, () => by)];
    assert.ok(before.includes(replace));
    const bytes = new TextEncoder().encode(after);
    if (at === null) return void assert.deepEqual(readers[file](bytes), JSON.parse(after));
    assert.throws(() => readers[file](bytes), (/** @type {any} */ error) => {
      assert.ok(error instanceof (file.startsWith("profile") ? ProfileError : BundleError), String(error.stack));
      assert.ok(error.message.startsWith("the file: expected "), error.message);
      assert.ok(error.message.includes(` at ${at}`), error.message);
      assert.doesNotMatch(error.message, /[\x00-\x1f\x7f-\x9f\u202e]/);
      return true;
    });
  });
}

test("what is read is frozen in all its parts", () => {
  const open = [readers["bundle.json"](new TextEncoder().encode(read("bundle.json")))];
  for (let part = open.pop(); part; part = open.pop()) {
    assert.ok(Object.isFrozen(part));
    open.push(...Object.values(part).filter((one) => typeof one === "object" && one !== null));
  }
});

test("a version from the future and one from the past say which edgebert reads them", () => {
  const content = read("bundle.json");
  for (const [version, advice] of Object.entries({ 9: "newer", 6: "older" })) {
    const bytes = new TextEncoder().encode(content.replace('"schema_version": 8', `"schema_version": ${version}`));
    assert.throws(() => decodeManifest(bytes, "x"), new RegExp(`found ${version} \\(use an? ${advice} version`));
  }
});

test("bytes that are no UTF-8 are refused, as is a page in the place of JSON", () => {
  assert.throws(() => decodeManifest(Uint8Array.of(0x7b, 0xff, 0x7d), "x"), /^BundleError: x: expected UTF-8/);
  const page = new TextEncoder().encode("<!doctype html>\n<title>Not here</title>");
  assert.throws(() => decodeManifest(page, "x"), /^BundleError: x: expected JSON, found "<!doctype html>\\n<title>/);
});

test("golden inputs that lack one of the bundle's are refused", () => {
  const bytes = new TextEncoder().encode(read("golden.json"));
  assert.equal(readGolden(bytes, "x", ["input_ids", "attention_mask"]).texts.length, 2);
  assert.throws(() => readGolden(bytes, "x", ["input_ids", "token_type_ids"]), /found no "token_type_ids"; export/);
});

test("a number that no JSON could hold more of is refused whole", () => {
  const content = read("bundle.json").replace('"parameters": 22713986', '"parameters": 9007199254740993');
  assert.throws(() => decodeManifest(new TextEncoder().encode(content), "x"), /at \$\.subnetworks\[0\]\.parameters/);
});

test("no length and no depth of a file is too much for its checks", () => {
  const content = read("bundle.json");
  const long = content.replace('"edgebert_version": "', `"edgebert_version": "${"\\\\x".repeat(2 ** 22)}`);
  assert.throws(() => decodeManifest(new TextEncoder().encode(long), "x"), /at \$\.edgebert_version/);
  const deep = content.replace('"embedding": null', `"embedding": ${"[".repeat(200_000)}${"]".repeat(200_000)}`);
  assert.throws(() => decodeManifest(new TextEncoder().encode(deep), "x"), /^BundleError: x: expected/);
});
