/** The assertions that tests have in pages are those that they have in Node. */

import assert from "node:assert/strict";
import { test } from "node:test";

import inPage from "./browsers/in-page/node/assert.js";

class OwnError extends TypeError {
  /** @override */
  name = "OwnError";
}

/** @type {unknown[]} */
const VALUES = [
  ...[null, undefined, 0, -0, 1, NaN, "", "0", true, 1n, Symbol.iterator],
  ...[{}, { a: 1 }, { a: undefined }, { a: 1, b: 2 }, { b: 2, a: 1 }, Object.create(null)],
  ...[[], [1], [undefined], [1, 2], ["1"], [[1]], [[2]], [{ a: [NaN] }], [{ a: [NaN] }]],
  ...[Uint8Array.of(1, 2), Uint8Array.of(1, 3), Uint16Array.of(1, 2), Float32Array.of(-0), Float32Array.of(0)],
  ...[BigInt64Array.of(1n), new Map([[1, { a: 1 }]]), new Map([[1, { a: 2 }]]), new Map([[2, { a: 1 }]])],
  ...[new Set([1, "a"]), new Set(["a", 1]), new Set([1]), new Set([[1]]), new Set([[1]])],
  ...[new Error("a"), new Error("b"), new TypeError("a"), new OwnError("a"), /a/, /b/],
];

/** @param {() => unknown} call */
function isRefused(call) {
  try {
    call();
    return false;
  } catch {
    return true;
  }
}

test("values are equal in pages where they are in Node", () => {
  for (const name of /** @type {const} */ (["equal", "notEqual", "deepEqual"])) {
    for (const one of VALUES) {
      for (const other of [...VALUES, one]) {
        const expected = isRefused(() => assert[name](one, other));
        const what = `${name}: ${String(Object(one)?.constructor?.name)} and ${String(Object(other)?.constructor?.name)}`;
        assert.equal(isRefused(() => inPage[name](one, other)), expected, what);
      }
    }
  }
  for (const one of VALUES) assert.equal(isRefused(() => inPage.ok(one)), !one);
});

test("errors are the expected ones in pages where they are in Node", async () => {
  const thrown = [new Error("a"), new TypeError("a b"), new OwnError("b")];
  const expected = [
    ...[undefined, Error, TypeError, OwnError, /a/, /^OwnError: b$/, new Error("a"), new OwnError("b")],
    ...[{ name: "TypeError", message: /b/ }, { message: "a" }, { message: "b" }, () => true, () => false],
  ];
  for (const problem of thrown) {
    for (const one of /** @type {any[]} */ (expected)) {
      const call = () => {
        throw problem;
      };
      const isWrong = isRefused(() => assert.throws(call, one));
      assert.equal(isRefused(() => inPage.throws(call, one)), isWrong, `${problem} ${one}`);
      const isRejected = await inPage.rejects(Promise.reject(problem), one).then(() => false, () => true);
      assert.equal(isRejected, isWrong, `${problem} ${one}`);
    }
  }
  assert.ok(isRefused(() => inPage.throws(() => {})));
  await assert.rejects(inPage.rejects(Promise.resolve()), /expected an error, found none/);
});

test("texts match in pages where they do in Node", () => {
  for (const name of /** @type {const} */ (["match", "doesNotMatch"])) {
    for (const text of ["a", "b"]) {
      assert.equal(isRefused(() => inPage[name](text, /a/)), isRefused(() => assert[name](text, /a/)));
    }
  }
});
