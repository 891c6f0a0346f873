import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { BundleError } from "../src/errors.js";
import { MOST_OF_A_PIECE, Pieces } from "../src/inputs/pieces.js";
import { BUILTIN } from "./support/server.js";

/** Returns a file of pieces of those sizes. @param {number[]} sizes */
function written(sizes) {
  const content = Buffer.alloc(40 * sizes.length);
  let end = 0;
  for (const [piece, size] of sizes.entries()) {
    end += size;
    content.writeBigUInt64LE(BigInt.asUintN(64, BigInt(end)), 40 * piece);
    content.fill(piece, 40 * piece + 8, 40 * piece + 40);
  }
  return content;
}

test("pieces lie where they are said to", () => {
  // From a place that no number of 8 bytes may begin at.
  const pieces = Pieces.read(Buffer.concat([Buffer.alloc(3), written([10, 5, 20])]).subarray(3), 35, "w.bin");
  assert.deepEqual(pieces.all(), [0, 1, 2]);
  assert.deepEqual(pieces.all().map((piece) => [pieces.start(piece), pieces.end(piece)]), [[0, 10], [10, 15], [15, 35]]);
  assert.equal(pieces.digest(2), "02".repeat(32));
  assert.deepEqual([0, 9, 10, 14, 15, 34].map((place) => pieces.at(place)), [0, 0, 1, 1, 2, 2]);
});

test("the pieces of parts are those that hold a byte of them", () => {
  const sizes = [1, 1, 7, 3, 1, 12];
  const whole = sizes.reduce((sum, size) => sum + size, 0);
  const pieces = Pieces.read(written(sizes), whole, "w.bin");
  for (let start = 0; start <= whole; start++) {
    for (let stop = start; stop <= whole; stop++) {
      const holds = (/** @type {number} */ piece) =>
        Math.max(start, pieces.start(piece)) < Math.min(stop, pieces.end(piece));
      assert.deepEqual(pieces.of([{ file: "w.bin", start, size: stop - start }]), pieces.all().filter(holds));
    }
  }
});

test("the built-in bundle's pieces are its weight file", () => {
  const content = readFileSync(`${BUILTIN}weights-int8.bin`);
  const pieces = Pieces.read(readFileSync(`${BUILTIN}weights-int8.pieces`), content.length, "w.bin");
  assert.equal(pieces.end(pieces.all().length - 1), content.length);
});

for (const [sizes, size, cut] of /** @type {[number[], number, number][]} */ ([
  [[10, 10], 21, 0],
  [[10, 10], 19, 0],
  [[], 1, 0],
  [[10], 0, 0],
  [[10, 0, 10], 20, 0],
  [[10, -5, 10], 15, 0],
  [[-1], -1, 0],
  [[MOST_OF_A_PIECE + 1], MOST_OF_A_PIECE + 1, 0],
  [[10, 10], 20, 1],
  [[10, 10], 20, 40],
])) {
  test(`pieces of ${sizes} bytes less ${cut} of their file are not a file of ${size}`, () => {
    const content = written(sizes);
    assert.throws(() => Pieces.read(content.subarray(0, content.length - cut), size, "w.bin"), (error) => {
      assert.ok(error instanceof BundleError);
      assert.equal(error.message, "the pieces of w.bin do not fit it; export the bundle again");
      return true;
    });
  });
}
