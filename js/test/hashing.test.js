import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";

import { hexOf, plainSha256Of, sha256Of } from "../src/inputs/hashing.js";

// NIST's examples for SHA-256, and the empty message.
const KNOWN = [
  ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
  ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  [
    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  ],
  ["a".repeat(1_000_000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"],
];

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function withoutSubtle(bytes) {
  const own = Object.getOwnPropertyDescriptor(globalThis, "crypto");
  // As on a page that is not secure, and in Node 18.
  Object.defineProperty(globalThis, "crypto", { value: undefined, configurable: true });
  try {
    return await sha256Of(bytes);
  } finally {
    if (own) Object.defineProperty(globalThis, "crypto", own);
    else Reflect.deleteProperty(globalThis, "crypto");
  }
}

test("known texts have their known hashes", async () => {
  for (const [text, expected] of KNOWN) {
    const bytes = new TextEncoder().encode(text);
    assert.equal(plainSha256Of(bytes), expected);
    assert.equal(await sha256Of(bytes), expected);
    assert.equal(await withoutSubtle(bytes), expected);
  }
});

test("both ways give the hash that Node's own gives, for every length around a block and for random ones", async () => {
  const lengths = [...Array(200).keys(), ...Array.from({ length: 50 }, () => Math.floor(Math.random() * 300_000))];
  for (const length of lengths) {
    // Within a larger buffer, as pieces are.
    const bytes = new Uint8Array(randomBytes(length + 7)).subarray(7);
    const expected = createHash("sha256").update(bytes).digest("hex");
    assert.deepEqual([plainSha256Of(bytes), await sha256Of(bytes)], [expected, expected], `of ${length} bytes`);
  }
});

test("bytes become two digits each", () => {
  assert.equal(hexOf(Uint8Array.of(0, 10, 255)), "000aff");
});
