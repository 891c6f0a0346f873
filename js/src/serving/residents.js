/** The networks that are loaded, within the memory that they may take. */

import { EdgeBertError } from "../errors.js";
import { keyOf } from "../way.js";

/** @typedef {import("../engines/session-network.js").Network} Network */
/** @typedef {import("../way.js").Way} Way */

/**
 * A sub-network and a way to run it; what it takes at its peak, null where no profile told.
 *
 * @typedef {{id: string, way: Way, peak_memory_mb: number | null}} Resident
 */

/** Keeps networks that were loaded; none leaves before all do. */
export class Residents {
  #memoryMb;
  #open;
  /** @type {Map<string, {one: Resident, network: Promise<Network>}>} */
  #networks = new Map();
  /** @type {Set<string>} */
  #ready = new Set();
  /** @type {Set<string>} */
  #failed = new Set();
  /** @type {Map<string, number>} */
  #wanted = new Map();
  /** @type {Promise<void> | undefined} */
  #loading;
  #isClosed = false;

  /** @param {number | null} memoryMb @param {(id: string, way: Way) => Promise<Network>} open */
  constructor(memoryMb, open) {
    this.#memoryMb = memoryMb ?? Infinity;
    this.#open = open;
  }

  /** Throws an EdgeBertError if these networks were let go of. */
  check() {
    if (this.#isClosed) throw new EdgeBertError("this model was disposed of; load another");
  }

  /** Returns the networks that are loaded, the first loaded first. */
  loaded() {
    return [...this.#networks.values()].map(({ one }) => one).filter((one) => this.isLoaded(one));
  }

  /** @param {Resident} one */
  isLoaded(one) {
    return this.#ready.has(nameOf(one));
  }

  /** Returns whether a network is loaded or may be, beside those that are. @param {Resident} one */
  fits(one) {
    const name = nameOf(one);
    if (this.#networks.has(name)) return true;
    // What an engine does not show counts as nothing: with a limit, no such network is ever chosen.
    const others = [...this.#networks.values()].reduce((sum, { one: other }) => sum + (other.peak_memory_mb ?? 0), 0);
    return !this.#failed.has(name) && (one.peak_memory_mb ?? 0) + others <= this.#memoryMb;
  }

  /**
   * Returns a network, which is loaded now if it is not yet, or if its Worker has died.
   *
   * @param {Resident} one
   * @returns {Promise<Network>}
   * @throws {EdgeBertError} there is no room for it, or these were let go of
   */
  async load(one) {
    this.check();
    const name = nameOf(one);
    const known = this.#networks.get(name);
    if (known && !(await known.network).isEnded) return known.network;
    // Of several requests that find it dead the first loads it again.
    if (this.#networks.get(name) !== known) return this.load(one);
    this.#networks.delete(name);
    if (!this.fits(one)) {
      throw new EdgeBertError(`expected room for ${one.id} within ${this.#memoryMb} MB, found none; raise memoryMb`);
    }
    const network = this.#open(one.id, one.way);
    this.#networks.set(name, { one, network });
    try {
      await network;
    } catch (problem) {
      this.#networks.delete(name);
      throw problem;
    }
    this.#ready.add(name);
    // While it was being loaded the others left.
    if (this.#isClosed) await this.dispose();
    this.check();
    return network;
  }

  /** Loads a network in the background, if there is room; the one asked for most often comes first. @param {Resident} one */
  want(one) {
    const name = nameOf(one);
    const times = (this.#wanted.get(name) ?? 0) + 1;
    this.#wanted.set(name, times);
    if (this.#loading || times < Math.max(...this.#wanted.values()) || !this.fits(one)) return;
    this.#loading = this.#loadQuietly(one);
  }

  /** Waits until nothing is being loaded in the background. */
  async wait() {
    await this.#loading;
  }

  /** Lets go of all networks. */
  async dispose() {
    this.#isClosed = true;
    const all = [...this.#networks.values()];
    this.#networks.clear();
    this.#ready.clear();
    await Promise.allSettled(all.map(async ({ network }) => (await network).dispose()));
  }

  /** @param {Resident} one */
  async #loadQuietly(one) {
    try {
      await this.load(one);
    } catch (problem) {
      const reason = problem instanceof Error ? problem.message : problem;
      if (!this.#isClosed) console.warn(`${one.id} cannot be loaded and is not used: ${reason}`);
      this.#failed.add(nameOf(one));
    }
    this.#wanted.delete(nameOf(one));
    this.#loading = undefined;
  }
}

/** @param {Resident} one */
function nameOf({ id, way }) {
  return `${id} ${keyOf(way)}`;
}
