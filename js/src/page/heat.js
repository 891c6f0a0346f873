/** How hot the device is, by how long a fixed workload takes, and waiting until it is cooler. */

import { canaryMs } from "../measuring/canary.js";

/** @typedef {import("../measuring/attention.js").Attention} Attention */

// Times the fastest reading so far.
const WARM = 1.1;
const HOT = 1.25;
const LOOK_AGAIN_MS = 3000;
const PAUSE_MS = 30_000;
// A device in a warm pocket or a busy computer stays as it is: then that is what is measured.
const ALL_PAUSES_MS = 120_000;
const ALL_PAUSES_QUICK_MS = 6000;

/** Returns in a word how hot a device is whose fixed workload takes so many times as long as at best. */
export function heatOf(/** @type {number} */ times) {
  if (times < WARM) return "cool";
  return times < HOT ? "warm" : "hot";
}

/**
 * What is known of the device's heat, and the attention of a profiling that lets a hot one cool.
 *
 * @implements {Attention}
 */
export class Heat {
  /** @type {number[]} */
  readingsMs = [];
  #page;
  #onChange;
  #leftMs;
  #canaryMs;
  #pauseFor;

  /**
   * @param {Attention} page whether the page is seen
   * @param {{quick: boolean, stepMs: number, onChange: (isPausing: boolean) => void}} options
   * @param {{canaryMs?: (stepMs: number) => number, pauseFor?: (ms: number) => Promise<void>}} parts for tests
   */
  constructor(page, { quick, stepMs, onChange }, parts = {}) {
    const measure = parts.canaryMs ?? canaryMs;
    this.#page = page;
    this.#onChange = onChange;
    this.#canaryMs = () => measure(stepMs);
    this.#pauseFor = parts.pauseFor ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
    this.#leftMs = quick ? ALL_PAUSES_QUICK_MS : ALL_PAUSES_MS;
  }

  /** Takes a reading of the profiling. @param {number} ms */
  add(ms) {
    this.readingsMs.push(ms);
  }

  /** How many times as long as at best the last reading took. */
  get times() {
    return this.readingsMs.length ? this.readingsMs[this.readingsMs.length - 1] / Math.min(...this.readingsMs) : 1;
  }

  async wait() {
    await this.#page.wait();
    let pausedMs = 0;
    while (heatOf(this.times) === "hot" && this.#leftMs > 0 && pausedMs < PAUSE_MS) {
      this.#onChange(true);
      await this.#pauseFor(LOOK_AGAIN_MS);
      pausedMs += LOOK_AGAIN_MS;
      this.#leftMs -= LOOK_AGAIN_MS;
      // It may be hidden meanwhile.
      await this.#page.wait();
      this.add(this.#canaryMs());
    }
    if (pausedMs) this.#onChange(false);
  }

  isLost() {
    return this.#page.isLost();
  }
}
