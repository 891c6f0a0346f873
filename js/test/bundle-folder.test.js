import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, link, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { InferenceSession, Tensor } from "onnxruntime-node";

import { BundleError } from "../src/errors.js";
import { loadBundle } from "../src/inputs/bundle.js";
import { BUILTIN, serve } from "./support/server.js";

const SMALL = "w0.25-d0.50-int8-static";
const WEIGHTS = "weights-int8.bin";

/** Returns a folder that is there until the test ends. @param {import("node:test").TestContext} t */
async function folderFor(t) {
  const folder = await mkdtemp(join(tmpdir(), "edgebert-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

/**
 * Returns a copy of the built-in bundle in which one file has other content.
 * @param {import("node:test").TestContext} t @param {string} name @param {(content: Buffer) => Buffer | string} change
 */
async function damaged(t, name, change) {
  const folder = await folderFor(t);
  for (const file of await readdir(BUILTIN)) {
    const [from, to] = [BUILTIN + file, join(folder, file)];
    if (file !== name) await link(from, to).catch(() => cp(from, to));
  }
  await writeFile(join(folder, name), change(await readFile(BUILTIN + name)));
  return folder;
}

/** Returns a manifest with another text in it, and its right hash. @param {string} before @param {string} after */
function changed(before, after) {
  return (/** @type {Buffer} */ content) => {
    const blank = content.toString().replace(/"sha256": "[0-9a-f]{64}"/, '"sha256": ""').replace(before, after);
    const sha256 = createHash("sha256").update(blank).digest("hex");
    return blank.replace('"sha256": ""', `"sha256": "${sha256}"`);
  };
}

/** @param {() => unknown} work @param {RegExp} message */
async function refused(work, message) {
  await assert.rejects(async () => work(), (/** @type {any} */ error) => {
    assert.ok(error instanceof BundleError, String(error?.stack));
    assert.match(error.message, message);
    return true;
  });
}

test("the built-in bundle has the hash that Python makes of it", async () => {
  const content = await readFile(`${BUILTIN}bundle.json`, "utf8");
  const blank = content.replace(/("sha256": ")[0-9a-f]{64}/, "$1");
  const bundle = await loadBundle(BUILTIN);
  assert.equal(bundle.sha256, createHash("sha256").update(blank).digest("hex"));
  assert.equal(bundle.sha256, bundle.manifest.sha256);
  assert.deepEqual(bundle.manifest, JSON.parse(content));
  assert.ok(Object.isFrozen(bundle));
});

test("a folder is given by its path or its address", async () => {
  const [path, url] = [await loadBundle(BUILTIN.slice(0, -1)), await loadBundle(pathToFileURL(BUILTIN))];
  assert.deepEqual(path.manifest, url.manifest);
  assert.deepEqual(await path.golden(), await (await loadBundle(pathToFileURL(BUILTIN).href)).golden());
});

test("the whole weights are those of the file, and come with their progress", async () => {
  const bundle = await loadBundle(BUILTIN);
  /** @type {any[]} */
  const seen = [];
  const found = await bundle.weights("int8", { onProgress: (one) => seen.push(one) });
  assert.ok((await readFile(BUILTIN + WEIGHTS)).equals(found));
  assert.deepEqual(seen.at(-1), { file: WEIGHTS, loadedBytes: found.length, totalBytes: found.length });
});

for (const from of ["a folder", "a server"]) {
  test(`networks of ${from} that run with only what was read compute the golden outputs`, async (t) => {
    const bundle = await loadBundle(from === "a folder" ? BUILTIN : (await serve(t)).url);
    const golden = await bundle.golden();
    for (const id of [SMALL, "w1.00-d1.00-int8-static"]) {
      for (const flavor of /** @type {const} */ (["fused", "portable"])) {
        const { graph, externalData } = await bundle.openGraph(bundle.subnet(id), flavor);
        const session = await InferenceSession.create(graph, { externalData });
        const outputs = await session.run(feedsOf(golden, session.inputNames));
        for (const expected of golden.outputs.find((one) => one.id === id)?.values ?? assert.fail(id)) {
          const output = outputs[expected.name];
          assert.deepEqual(output.dims, expected.shape);
          const miss = missOf(/** @type {Float32Array} */ (output.data), expected);
          assert.ok(miss <= expected.tolerance, `${id}, ${flavor}: ${miss} off, ${expected.tolerance} allowed`);
        }
        await session.release();
      }
    }
  });
}

/** @param {import("../src/inputs/golden.js").Golden} golden @param {readonly string[]} names */
function feedsOf({ inputs }, names) {
  const tensors = names.map((name) => {
    const rows = inputs[name];
    return [name, new Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0].length])];
  });
  return Object.fromEntries(tensors);
}

/**
 * Returns each text's largest difference, on average.
 * @param {Float32Array} found @param {import("../src/inputs/golden.js").GoldenValues} expected
 */
function missOf(found, { values, shape: [texts] }) {
  const width = values.length / texts;
  const differences = values.map((one, at) => Math.abs(one - found[at]));
  const largest = [...Array(texts).keys()].map((text) => Math.max(...differences.slice(text * width).slice(0, width)));
  return largest.reduce((sum, one) => sum + one, 0) / texts;
}

test("what is not there is named with what there is", async () => {
  const bundle = await loadBundle(BUILTIN);
  await refused(() => bundle.subnet("large"), /^no sub-network "large" in bundle "movie.*; choose one of "w1\.00/);
  await refused(() => bundle.weights("fp16"), /^bundle "movie.*" has no fp16 weights; choose one of "int8"$/);
  const { portable: _, ...graphs } = bundle.subnet(SMALL).graphs;
  const subnet = { ...bundle.subnet(SMALL), graphs };
  await refused(() => bundle.graph(subnet, "portable"), /has no portable graph; choose one of "fused"/);
});

test("a folder without a bundle, and a file in the place of one, are refused", async (t) => {
  await refused(async () => loadBundle(await folderFor(t)), /bundle\.json is missing; copy the bundle again/);
  await refused(() => loadBundle(`${BUILTIN}/golden.json`), /golden\.json\/bundle\.json: ENOTDIR; copy/);
});

for (const name of ["golden.json", WEIGHTS, "weights-int8.pieces", `${SMALL}.fused.onnx`]) {
  test(`a copy in which ${name} was altered or cut short is refused`, async (t) => {
    const open = async (/** @type {string} */ folder) => {
      const bundle = await loadBundle(folder);
      await Promise.all([bundle.golden(), bundle.openGraph(bundle.subnet(SMALL), "fused")]);
    };
    const altered = await damaged(t, name, (content) => content.fill(content[7] ^ 4, 7, 8));
    await refused(() => open(altered), /was altered: expected sha256 [0-9a-f]{12}\.\.\., found [0-9a-f]{12}\.\.\./);
    const short = await damaged(t, name, (content) => content.subarray(0, -9));
    await refused(() => open(short), /expected \d+ bytes, found \d+; it was truncated or altered: copy/);
    const long = await damaged(t, name, (content) => Buffer.concat([content, Buffer.of(0)]));
    await refused(() => open(long), /expected \d+ bytes, found \d+; it was truncated or altered: copy/);
  });
}

test("a name that leads out of the folder is refused before it is asked for", async (t) => {
  for (const name of ["../a", "/etc/passwd", ".a", "a/b", "http://x/", "a?b", "a%2e", "", "x".repeat(201)]) {
    const change = changed('"file": "tokenizer.json"', `"file": ${JSON.stringify(name)}`);
    const folder = await damaged(t, "bundle.json", change);
    await refused(() => loadBundle(folder), /expected a plain file of the bundle's folder, found ".*" at \$\./);
  }
});

test("a link out of the bundle is refused, and links beside the manifest's own are followed", async (t) => {
  const folder = await folderFor(t);
  await cp(`${BUILTIN}bundle.json`, join(folder, "bundle.json"));
  await symlink(`${BUILTIN}golden.json`, join(folder, "golden.json"));
  const bundle = await loadBundle(folder);
  await refused(() => bundle.golden(), /golden\.json is a link out of the bundle; copy .* cp -rL/);

  const links = await folderFor(t);
  for (const file of await readdir(BUILTIN)) await symlink(BUILTIN + file, join(links, file));
  const linked = await loadBundle(links);
  assert.deepEqual(await linked.golden(), await (await loadBundle(BUILTIN)).golden());
});

test("what is no plain file is not waited for", async (t) => {
  const folder = await damaged(t, "bundle.json", (content) => content);
  await rm(join(folder, "golden.json"));
  await mkdir(join(folder, "golden.json"));
  const bundle = await loadBundle(folder);
  await refused(() => bundle.golden(), /golden\.json is no plain file; copy/);
});

test("a graph that reads another file, or beyond the end of its weights, is refused", async (t) => {
  const name = `${SMALL}.fused.onnx`;
  const graph = await readFile(BUILTIN + name);
  /** @param {(content: Buffer) => Buffer} change */
  const withGraph = async (change) => {
    const other = change(Buffer.from(graph));
    const hashes = [graph, other].map((content) => createHash("sha256").update(content).digest("hex"));
    const folder = await damaged(t, "bundle.json", changed(hashes[0], hashes[1]));
    await rm(join(folder, name));
    await writeFile(join(folder, name), other);
    const bundle = await loadBundle(folder);
    return bundle.openGraph(bundle.subnet(SMALL), "fused");
  };
  const patched = (/** @type {string} */ before, /** @type {string} */ after) => (/** @type {Buffer} */ content) =>
    Buffer.from(content.toString("latin1").replaceAll(before, after), "latin1");
  const advice = "do not use this bundle unless you trust where it comes from";
  await withGraph((content) => content);
  const away = patched(WEIGHTS, "../shadow-secret");
  await refused(() => withGraph(away), new RegExp(`"../shadow-secret", no weight file of its bundle; ${advice}`));
  const alsoAway = (/** @type {Buffer} */ content) => {
    content.write("weights-int9.bin", content.lastIndexOf(WEIGHTS));
    return content;
  };
  await refused(() => withGraph(alsoAway), /reads "weights-int8\.bin", "weights-int9\.bin", no weight file/);
  await refused(() => withGraph((content) => content.fill(0, 0, 4)), new RegExp(`expected an ONNX graph .*${advice}`));
  const offset = /offset\x12\x08\d{8}/.exec(graph.toString("latin1"))?.[0] ?? assert.fail("no offset");
  await refused(() => withGraph(patched(offset, "offset\x12\x0899999999")), /is too short for the graph of/);
});

test("hashes of more or fewer pieces than the weights have are refused", async (t) => {
  const name = "weights-int8.pieces";
  const table = await readFile(BUILTIN + name);
  for (const other of [table.subarray(40), table.subarray(0, -40), table.subarray(1), Buffer.concat([table, table.subarray(0, 40)])]) {
    const [before, after] = [table, other].map((content) => {
      const sha256 = createHash("sha256").update(content).digest("hex");
      return `"size_bytes": ${content.length},\n    "sha256": "${sha256}"`;
    });
    const folder = await damaged(t, "bundle.json", changed(before, after));
    await rm(join(folder, name));
    await writeFile(join(folder, name), other);
    const bundle = await loadBundle(folder);
    await refused(() => bundle.weights("int8"), /^the pieces of weights-int8\.bin do not fit it; export the bundle again$/);
  }
});

test("reading a folder ends with its signal", async () => {
  const bundle = await loadBundle(BUILTIN);
  const control = new AbortController();
  const onProgress = () => control.abort("enough");
  const reading = bundle.weights("int8", { signal: control.signal, onProgress });
  await assert.rejects(reading, (error) => error === "enough");
});
