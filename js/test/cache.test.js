import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";

import { loadBundle } from "../src/inputs/bundle.js";
import { MemoryCache, StoredCache, clearCache, openCache } from "../src/inputs/cache.js";
import { serve } from "./support/server.js";

/** Node has no Cache Storage: this does what the standard says of the four functions that are used of it. */
class Storage {
  /** @type {Map<string, Response>} */
  kept = new Map();
  isFull = false;

  async match(/** @type {string} */ key) {
    return this.kept.get(new Request(key).url)?.clone();
  }

  async put(/** @type {string} */ key, /** @type {Response} */ response) {
    if (this.isFull) throw new DOMException("no room", "QuotaExceededError");
    this.kept.set(new Request(key).url, response);
  }

  async delete(/** @type {string} */ key) {
    return this.kept.delete(new Request(key).url);
  }
}

/**
 * Puts a page's storage in place until the test ends.
 * @param {import("node:test").TestContext} t @param {object} storage
 */
function place(t, storage) {
  Object.defineProperty(globalThis, "caches", { value: storage, configurable: true });
  t.after(() => Reflect.deleteProperty(globalThis, "caches"));
}

function something() {
  const content = new Uint8Array(randomBytes(1000));
  return { content, sha256: createHash("sha256").update(content).digest("hex") };
}

const asCache = (/** @type {Storage} */ storage) => new StoredCache(/** @type {any} */ (storage));

for (const [name, make] of Object.entries({ memory: () => new MemoryCache(), storage: () => asCache(new Storage()) })) {
  test(`the ${name} gives what was put there, and what nobody else can change`, async () => {
    const [cache, { content, sha256 }] = [make(), something()];
    assert.equal(await cache.get(sha256), undefined);
    await cache.put(sha256, content);
    const expected = content.slice();
    content.fill(0);
    (await cache.get(sha256))?.fill(0);
    assert.deepEqual(await cache.get(sha256), expected);
  });
}

test("what was altered in the storage is not used, and is removed", async () => {
  const [storage, { content, sha256 }] = [new Storage(), something()];
  const cache = asCache(storage);
  await cache.put(sha256, content);
  const [key] = storage.kept.keys();
  await storage.put(key, new Response("something else"));
  assert.equal(await cache.get(sha256), undefined);
  assert.equal(storage.kept.size, 0);
});

test("a page without storage, or whose storage is refused, keeps things in memory", async (t) => {
  assert.ok((await openCache()) instanceof MemoryCache);
  place(t, { open: () => Promise.reject(new DOMException("not here", "SecurityError")) });
  assert.ok((await openCache()) instanceof MemoryCache);
});

test("a page's storage is used for everything that is downloaded, and can be freed", async (t) => {
  const storage = new Storage();
  /** @type {string[]} */
  const deleted = [];
  place(t, { open: async () => storage, delete: async (/** @type {string} */ name) => deleted.push(name) });
  const { url, requests } = await serve(t);
  for (let visit = 0; visit < 2; visit++) {
    const bundle = await loadBundle(url);
    await bundle.golden();
    await bundle.openGraph(bundle.subnet("w0.25-d0.50-int8-static"), "fused");
  }
  assert.deepEqual(requests.filter((one) => !one.startsWith("weights-int8.bin")), [
    "bundle.json",
    "golden.json",
    "w0.25-d0.50-int8-static.fused.onnx",
    "weights-int8.pieces",
    "bundle.json",
  ]);
  await clearCache();
  assert.deepEqual(deleted, ["edgebert"]);
});

test("a storage that is full, or that fails, is survived", async (t) => {
  const storage = new Storage();
  storage.isFull = true;
  storage.match = () => Promise.reject(new Error("the disk is gone"));
  place(t, { open: async () => storage });
  const bundle = await loadBundle((await serve(t)).url);
  assert.equal((await bundle.golden()).texts.length, 6);
  assert.equal((await bundle.weights("int8")).length, 23087112);
  assert.equal(storage.kept.size, 0);
});
