/** How long a request may take, and each of its batches. */

/** @typedef {import("../inputs/batches.js").Batch} Batch */
/** @typedef {readonly (readonly Batch[])[]} Groups batches of a request; those of a group belong to one text */

/** What a request may take: `latencyMs` for each group of its batches, infinite without a limit. */
export class TimeLimit {
  /**
   * `parts` say of each batch which group it is of, by number, and what share it may take of the time that is left to
   * its group when its turn comes: what one saves goes to the others.
   *
   * @param {number} latencyMs @param {readonly (readonly [group: number, share: number])[]} parts
   */
  constructor(latencyMs, parts) {
    this.latencyMs = latencyMs;
    this.parts = parts;
  }

  /**
   * Returns the limit of groups of batches, from what each batch takes with its fastest network.
   *
   * @param {number} latencyMs @param {readonly (readonly number[])[]} groups
   */
  static of(latencyMs, groups) {
    const parts = groups.flatMap((fastestMs, number) => {
      let leftMs = fastestMs.reduce((sum, ms) => sum + ms, 0);
      return fastestMs.map((ownMs) => {
        // In proportion to what is still to come, so that there is time for all; the last may take all.
        const share = leftMs > ownMs ? ownMs / leftMs : 1;
        leftMs -= ownMs;
        return /** @type {const} */ ([number, share]);
      });
    });
    return new TimeLimit(latencyMs, parts);
  }

  /**
   * Returns what the batch of that number may still take, when `groupMs` have gone by since its group began.
   *
   * @param {number} number @param {number} groupMs
   */
  leftMs(number, groupMs) {
    return (this.latencyMs - groupMs) * this.parts[number][1];
  }

  /** Returns whether a request kept its limit, of which the slowest group took so long; null if it has none. */
  isKept(/** @type {number} */ slowestMs) {
    return this.latencyMs === Infinity ? null : slowestMs <= this.latencyMs;
  }
}
