/** Keeps downloaded files and pieces of files by their hashes, so that nothing is downloaded twice. */

import { sha256Of } from "./hashing.js";

/** What the storage is called. */
export const CACHE_NAME = "edgebert";

/**
 * What was kept before; `get` returns bytes of that hash or nothing, and may be given to anybody.
 * @typedef {object} HashCache
 * @property {(sha256: string) => Promise<Uint8Array<ArrayBuffer> | undefined>} get
 * @property {(sha256: string, content: Uint8Array<ArrayBuffer>) => Promise<void>} put content that was verified
 */

/**
 * Returns the browser's storage, which outlives the page, or where there is none the memory.
 * @returns {Promise<HashCache>}
 */
export async function openCache() {
  try {
    return new StoredCache(await globalThis.caches.open(CACHE_NAME));
  } catch {
    // Node, a page that is not secure, or one that may store nothing.
    return new MemoryCache();
  }
}

/** Frees what all bundles keep in the browser's storage. */
export async function clearCache() {
  await globalThis.caches?.delete(CACHE_NAME);
}

/** Keeps bytes in memory. @implements {HashCache} */
export class MemoryCache {
  /** @type {Map<string, Uint8Array<ArrayBuffer>>} */
  #kept = new Map();

  // Copies, both times: whoever else has the bytes may write into them or give them away.
  /** @type {HashCache["get"]} */
  async get(sha256) {
    return this.#kept.get(sha256)?.slice();
  }

  /** @type {HashCache["put"]} */
  async put(sha256, content) {
    this.#kept.set(sha256, content.slice());
  }
}

/** Keeps bytes in the browser's Cache Storage. @implements {HashCache} */
export class StoredCache {
  #cache;

  constructor(/** @type {Cache} */ cache) {
    this.#cache = cache;
  }

  /** @type {HashCache["get"]} */
  async get(sha256) {
    try {
      const response = await this.#cache.match(keyOf(sha256));
      const content = response && new Uint8Array(await response.arrayBuffer());
      // Other scripts of the page's origin may write here too.
      if (content && (await sha256Of(content)) === sha256) return content;
      if (content) await this.#cache.delete(keyOf(sha256));
    } catch {
      // Storage that cannot be read is one that has nothing.
    }
    return undefined;
  }

  /** @type {HashCache["put"]} */
  async put(sha256, content) {
    try {
      await this.#cache.put(keyOf(sha256), new Response(content));
    } catch {
      // It is full, or was taken away: then this is downloaded again the next time.
    }
  }
}

/** Returns an address that stands for a hash; nothing is ever asked there. @param {string} sha256 */
const keyOf = (sha256) => `https://edgebert.invalid/${sha256}`;
