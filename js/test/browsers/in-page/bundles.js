/** Reads bundles as `load` does, and tells what came of it; of errors their class and message. */

import { BundleError, clearCache, loadBundle } from "../../../src/index.js";
import { references } from "../../../src/inputs/graph-file.js";
import { sha256Of } from "../../../src/inputs/hashing.js";

const CACHE = "edgebert";

/**
 * Reads all that a sub-network is made of; `used` is a hash of what its graph reads of the weights.
 *
 * @param {string} id
 */
export async function read(id) {
  const bundle = await loadBundle("/bundle");
  await bundle.tokenizer();
  await bundle.golden();
  const { graph, externalData: [{ data }] } = await bundle.openGraph(bundle.subnet(id), "fused");
  const hashes = references(graph, id).map(({ start, size }) => sha256Of(data.slice(start, start + size)));
  return { used: await sha256Of(new TextEncoder().encode((await Promise.all(hashes)).join())), kept: await kept() };
}

/** Returns what the reading of a sub-network says. @param {string} id */
export async function refusal(id) {
  return read(id).then(() => "nothing is refused", said);
}

/** Reads where the storage takes nothing. @param {string} id */
export async function readWithoutRoom(id) {
  // On the class: the cache makes its own.
  Cache.prototype.put = () => Promise.reject(new DOMException("no room", "QuotaExceededError"));
  return read(id);
}

/** Reads where the page may not store anything. @param {string} id */
export async function readWithoutStorage(id) {
  CacheStorage.prototype.open = () => Promise.reject(new DOMException("not here", "SecurityError"));
  return read(id);
}

/** Reads until the first of the weights are there, and says what an end by a signal comes to. @param {string} id */
export async function aborted(id) {
  const control = new AbortController();
  const onProgress = ({ file = "" }) => file.endsWith(".bin") && control.abort();
  const bundle = await loadBundle("/bundle");
  const options = { signal: control.signal, onProgress };
  const problem = await bundle.openGraph(bundle.subnet(id), "fused", options).catch((error) => error);
  return [problem?.name, control.signal.aborted];
}

/** Changes a byte of everything that is kept. */
export async function alterKept() {
  const cache = await caches.open(CACHE);
  for (const request of await cache.keys()) {
    const response = await cache.match(request);
    const content = new Uint8Array(await /** @type {Response} */ (response).arrayBuffer());
    content[0] ^= 1;
    await cache.put(request, new Response(content));
  }
}

export async function clear() {
  await clearCache();
  return kept();
}

/** How many files and pieces are kept. */
async function kept() {
  const cache = await globalThis.caches?.open(CACHE).catch(() => undefined);
  return (await cache?.keys())?.length ?? 0;
}

/** @param {any} problem */
function said(problem) {
  return `${problem instanceof BundleError ? "BundleError" : String(problem?.name)}: ${problem?.message}`;
}
