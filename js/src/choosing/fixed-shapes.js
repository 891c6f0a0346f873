/** The shapes that networks were compiled for, each for one alone, and the parts that a batch is run in. */

// Each holds a copy of the weights.
const MOST_SHAPES = 16;
const LARGEST = 1024;
const NUMBERS = /^[1-9]\d{0,3}(,[1-9]\d{0,3})*$/;

/** A network for each of some lengths and each of some batch sizes, both in ascending order. */
export class FixedShapes {
  constructor(/** @type {readonly number[]} */ lengths, /** @type {readonly number[]} */ batchSizes) {
    this.lengths = lengths;
    this.batchSizes = batchSizes;
  }

  /**
   * Returns the shapes that an engine's options name; null where they name none, or not in order, or too many.
   *
   * @param {import("../way.js").Way["options"]} options
   */
  static of(options) {
    if (options.map(([name]) => name).join() !== "lengths,batch_sizes") return null;
    const sizes = options.map(([, value = ""]) => (NUMBERS.test(value) ? value.split(",").map(Number) : []));
    const [lengths = [], batchSizes = []] = sizes;
    const areFew = lengths.length * batchSizes.length <= MOST_SHAPES;
    return areFew && sizes.every(inOrder) ? new FixedShapes(lengths, batchSizes) : null;
  }

  /**
   * Returns the batch sizes that a batch of so many rows is run in, of which the last may be filled up.
   *
   * @param {number} rows
   */
  parts(rows) {
    const parts = [];
    for (let left = rows; left > 0; left -= /** @type {number} */ (parts.at(-1))) {
      parts.push(this.batchSizes.findLast((size) => size <= left) ?? this.batchSizes[0]);
    }
    return parts;
  }
}

/** @param {readonly number[]} sizes */
function inOrder(sizes) {
  const ascend = sizes.every((size, place) => place === 0 || size > sizes[place - 1]);
  return sizes.length > 0 && ascend && sizes[sizes.length - 1] <= LARGEST;
}
