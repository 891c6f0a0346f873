/** Reads the pieces of a weight file that are needed, each checked against its hash. */

import { BundleError } from "../errors.js";
import { sha256Of } from "./hashing.js";

// In bytes, of one download: so much is lost at most where it breaks off.
const MOST_OF_A_RUN = 2 ** 22;
const DOWNLOADS_AT_ONCE = 4;

/**
 * `signal` ends the reading; `onProgress` is told while bytes come how many of how many of a file are there.
 * @typedef {object} ReadOptions
 * @property {AbortSignal | undefined} [signal]
 * @property {((progress: {file: string, loadedBytes: number, totalBytes: number}) => void) | undefined} [onProgress]
 */

/**
 * Some pieces that lie one after the other: the first, and the one behind the last.
 * @typedef {[first: number, end: number]} Run
 */

/**
 * Reads pieces of a weight file of `size` bytes into memory that has its whole size, each to its place.
 *
 * What is not read stays zero, and takes no memory where the system grants that only once it is written to.
 */
export class WeightReader {
  #file;
  #name;
  #pieces;
  #cache;

  /**
   * @param {import("./source.js").StoredFile} file @param {string} name @param {import("./pieces.js").Pieces} pieces
   * @param {import("./cache.js").HashCache | null} cache
   */
  constructor(file, name, pieces, cache) {
    this.#file = file;
    this.#name = name;
    this.#pieces = pieces;
    this.#cache = cache;
  }

  /**
   * Returns the file with those pieces in it.
   *
   * Throws a BundleError if they cannot be read or are not what was exported, and the reason of `signal` if it ends.
   * @param {number} size @param {number[]} pieces in ascending order @param {ReadOptions} options
   */
  async read(size, pieces, options) {
    options.signal?.throwIfAborted();
    const target = allocated(size, this.#name);
    const kept = await Promise.all(pieces.map((piece) => this.#fromCache(target, piece)));
    const missing = pieces.filter((_, place) => !kept[place]);
    if (missing.length) await this.#download(target, missing, options);
    return target;
  }

  /** Returns whether a piece was kept, and is now in its place. @param {Uint8Array<ArrayBuffer>} target @param {number} piece */
  async #fromCache(target, piece) {
    const content = await this.#cache?.get(this.#pieces.digest(piece));
    const place = this.#placeOf(target, piece);
    if (content?.length !== place.length) return false;
    place.set(content);
    return true;
  }

  /** @param {Uint8Array<ArrayBuffer>} target @param {number[]} missing @param {ReadOptions} options */
  async #download(target, missing, { signal, onProgress }) {
    let [loadedBytes, totalBytes] = [0, missing.reduce((sum, piece) => sum + this.#placeOf(target, piece).length, 0)];
    const onBytes = (/** @type {number} */ count, /** @type {number} */ of) => {
      // More than was asked for, where the server gives the whole file only.
      [loadedBytes, totalBytes] = [loadedBytes + count, Math.max(totalBytes, of)];
      onProgress?.({ file: this.#name, loadedBytes, totalBytes });
    };
    const [first, ...others] = this.#runsOf(missing);
    // The first shows whether the server gives parts.
    const [, end] = await this.#downloadRun(target, first, { signal, onBytes, orWhole: true });
    if (end > first[1]) return;
    await inParallel(others, signal, (run, stop) => this.#downloadRun(target, run, { signal: stop, onBytes }));
  }

  /**
   * Reads a run or more, and returns which pieces it was.
   * @param {Uint8Array<ArrayBuffer>} target @param {Run} run @param {import("./source.js").FillOptions} options
   * @returns {Promise<Run>}
   */
  async #downloadRun(target, [first, end], options) {
    const [from, to] = await this.#file.fill(target, this.#pieces.start(first), this.#pieces.end(end - 1), options);
    const [start, behind] = [this.#pieces.at(from), this.#pieces.at(to - 1) + 1];
    for (let piece = start; piece < behind; piece++) await this.#checkPiece(target, piece);
    return [start, behind];
  }

  /** @param {Uint8Array<ArrayBuffer>} target @param {number} piece */
  async #checkPiece(target, piece) {
    const content = this.#placeOf(target, piece);
    checkHash(this.#file.name, await sha256Of(content), this.#pieces.digest(piece));
    await this.#cache?.put(this.#pieces.digest(piece), content);
  }

  /** Returns the part of the file that is a piece. @param {Uint8Array<ArrayBuffer>} target @param {number} piece */
  #placeOf(target, piece) {
    return target.subarray(this.#pieces.start(piece), this.#pieces.end(piece));
  }

  /** Returns pieces as runs that are not too long. @param {number[]} pieces in ascending order */
  #runsOf(pieces) {
    /** @type {Run[]} */
    const runs = [];
    for (const piece of pieces) {
      const last = runs.at(-1);
      const isNext = last?.[1] === piece && this.#pieces.end(piece) - this.#pieces.start(last[0]) <= MOST_OF_A_RUN;
      if (last && isNext) last[1]++;
      else runs.push([piece, piece + 1]);
    }
    return runs;
  }
}

/** Returns zeros. @param {number} size @param {string} name of what they are for */
function allocated(size, name) {
  try {
    return new Uint8Array(size);
  } catch {
    throw new BundleError(`${name} has ${size} bytes, and there is no memory for them; load a smaller bundle`);
  }
}

/**
 * Works on some runs at once; where one fails the others end.
 * @param {Run[]} runs @param {AbortSignal | undefined} signal
 * @param {(run: Run, stop: AbortSignal) => Promise<unknown>} work
 */
async function inParallel(runs, signal, work) {
  const stop = new AbortController();
  const end = () => stop.abort(signal?.reason);
  signal?.addEventListener("abort", end);
  const next = async () => {
    for (let run = runs.shift(); run; run = runs.shift()) {
      signal?.throwIfAborted();
      await work(run, stop.signal);
    }
  };
  try {
    await Promise.all(Array.from({ length: DOWNLOADS_AT_ONCE }, next));
  } finally {
    runs.length = 0;
    stop.abort();
    signal?.removeEventListener("abort", end);
  }
}

/**
 * Throws a BundleError where a hash is not the expected one; `name` is that of the file.
 * @param {string} name @param {string} found @param {string} expected
 */
export function checkHash(name, found, expected) {
  if (found === expected) return;
  const hashes = `expected sha256 ${expected.slice(0, 12)}..., found ${found.slice(0, 12)}...`;
  throw new BundleError(`${name} was altered: ${hashes}; copy the bundle again`);
}
