/** What a model has done so far, in numbers. */

/**
 * What a model has done since it was loaded.
 *
 * `withinBudget` is the share of requests with a latency budget that kept it, null if there were none. `switches`
 * counts how often a batch was answered by another sub-network than the one before it. `slowDown` is how many times the
 * profiled latency the recent requests took, by the way to run networks. `subnetworks` are how many texts each has
 * answered, and how long that took in all.
 *
 * @typedef {object} Stats
 * @property {number} requests
 * @property {number | null} withinBudget
 * @property {number} switches
 * @property {Record<string, number>} slowDown
 * @property {Record<string, {texts: number, ms: number}>} subnetworks
 * @property {string[]} loaded
 */

/** Counts what is answered. */
export class Tally {
  #requests = 0;
  #budgeted = 0;
  #kept = 0;
  #switches = 0;
  /** @type {string | undefined} */
  #last;
  /** @type {Map<string, {texts: number, ms: number}>} */
  #answered = new Map();

  /**
   * Counts a request: its batches, each with the sub-network that answered it, and whether it kept its budget, null
   * for one that had none.
   *
   * @param {readonly {subnetwork: string, texts: number, ms: number}[]} batches @param {boolean | null} isKept
   */
  add(batches, isKept) {
    for (const { subnetwork, texts, ms } of batches) {
      const before = this.#answered.get(subnetwork) ?? { texts: 0, ms: 0 };
      this.#answered.set(subnetwork, { texts: before.texts + texts, ms: before.ms + ms });
      this.#switches += Number(this.#last !== undefined && this.#last !== subnetwork);
      this.#last = subnetwork;
    }
    this.#requests += 1;
    this.#budgeted += Number(isKept !== null);
    this.#kept += Number(isKept === true);
  }

  /**
   * Returns what was counted, beside the state of the device and the networks that are loaded.
   *
   * @param {Record<string, number>} slowDown @param {string[]} loaded
   * @returns {Stats}
   */
  stats(slowDown, loaded) {
    const withinBudget = this.#budgeted ? this.#kept / this.#budgeted : null;
    const subnetworks = Object.fromEntries([...this.#answered].map(([id, one]) => [id, { ...one }]));
    return { requests: this.#requests, withinBudget, switches: this.#switches, slowDown, subnetworks, loaded };
  }
}
