/** The pieces of a weight file, each checked by a hash of its own: what a sub-network does not read is not downloaded. */

import { BundleError } from "../errors.js";
import { hexOf } from "./hashing.js";

/** How many bytes a piece has at most. */
export const MOST_OF_A_PIECE = 2 ** 18;

// Where a piece ends, as a number of 8 bytes, the lowest first, and its SHA-256.
const ENTRY_BYTES = 40;

/** Where each piece of a weight file ends, in ascending order, and its SHA-256. */
export class Pieces {
  #ends;
  #digests;

  /** @param {number[]} ends @param {string[]} digests */
  constructor(ends, digests) {
    this.#ends = ends;
    this.#digests = digests;
  }

  /**
   * Returns the pieces that a file of pieces tells of the weight file of that size and name.
   *
   * Throws a BundleError if these are not all of its bytes, each in one piece that is not too long.
   * @param {Uint8Array} content @param {number} size @param {string} name
   */
  static read(content, size, name) {
    const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
    const places = Array.from({ length: Math.floor(content.length / ENTRY_BYTES) }, (_, piece) => piece * ENTRY_BYTES);
    const ends = places.map((at) => Number(view.getBigUint64(at, true)));
    const sizes = ends.map((end, piece) => end - (ends[piece - 1] ?? 0));
    const isFit = content.length % ENTRY_BYTES === 0 && (ends.at(-1) ?? 0) === size;
    if (!isFit || !sizes.every((one) => 0 < one && one <= MOST_OF_A_PIECE)) {
      throw new BundleError(`the pieces of ${name} do not fit it; export the bundle again`);
    }
    return new Pieces(ends, places.map((at) => hexOf(content.subarray(at + 8, at + ENTRY_BYTES))));
  }

  /** Returns the numbers of all pieces. */
  all() {
    return [...this.#ends.keys()];
  }

  /**
   * Returns the numbers of the pieces that hold some parts of the file, in ascending order.
   * @param {import("./graph-file.js").Reference[]} used
   */
  of(used) {
    const found = new Set();
    for (const { start, size } of used) {
      for (let piece = this.at(start); this.#holds(piece, start, start + size); piece++) {
        found.add(piece);
      }
    }
    return [...found].sort((a, b) => a - b);
  }

  /** Returns whether a piece holds a byte of a part. @param {number} piece @param {number} start @param {number} stop */
  #holds(piece, start, stop) {
    return piece < this.#ends.length && Math.max(this.start(piece), start) < Math.min(this.end(piece), stop);
  }

  /** Returns the number of the piece that holds the byte at a place. @param {number} place */
  at(place) {
    let [first, behind] = [0, this.#ends.length];
    while (first < behind) {
      const middle = (first + behind) >> 1;
      if (this.end(middle) <= place) first = middle + 1;
      else behind = middle;
    }
    return first;
  }

  /** Returns where a piece begins. @param {number} piece */
  start(piece) {
    return this.#ends[piece - 1] ?? 0;
  }

  /** Returns where a piece ends. @param {number} piece */
  end(piece) {
    return /** @type {number} */ (this.#ends[piece]);
  }

  /** Returns the SHA-256 of a piece. @param {number} piece */
  digest(piece) {
    return /** @type {string} */ (this.#digests[piece]);
  }
}
