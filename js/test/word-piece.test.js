/** Texts become the tokens that the Python side makes of them, where it has the same tokenizer.json. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { tokenizerOf } from "../src/inputs/tokenization.js";
import { changed } from "./support/builtin-tokenizer.js";
import { NO_PYTHON, printed } from "./support/python.js";

/** @typedef {any} Json */

const FEW = JSON.parse(readFileSync(new URL("vectors/tokens.json", import.meta.url), "utf8"));

// None but edgebert's own is needed here, and only that tells where tokens stand.
const NO_OTHER = /** @type {Json} */ ({});

/** @param {Json} vectors */
async function compare({ changes, cases }) {
  const files = new Map(Object.entries(changes).map(([name, one]) => [name, changed(one)]));
  const made = new Map();
  for (const { tokenizer: name, max_length: length, text, ...expected } of cases) {
    const key = `${name} ${length}`;
    const manifest = { max_length: length, pairs: true };
    if (!made.has(key)) made.set(key, await tokenizerOf(String(files.get(name)), manifest, NO_OTHER));
    const found = answer(made.get(key), text, expected);
    assert.deepEqual(found, expected, `${key}: ${JSON.stringify(text)}`);
  }
}

/** @param {import("../src/inputs/tokens.js").Tokenizer} tokenizer @param {Json} text @param {Json} expected */
function answer(tokenizer, text, expected) {
  if (expected.refused) return { refused: refusal(() => tokenizer.encode(text)) };
  const { ids, types, offsets } = tokenizer.encode(text);
  return typeof text === "string" ? { ids, types, offsets, pieces: tokenizer.pieces(text) } : { ids, types };
}

/** @param {() => void} call */
function refusal(call) {
  try {
    call();
  } catch (problem) {
    return /** @type {Error} */ (problem).message;
  }
  return "nothing is refused";
}

test("some texts become the tokens that they are in Python", () => compare(FEW));

test("some hundred random texts become the tokens that they are in Python", { skip: NO_PYTHON }, async () => {
  const vectors = printed("token_vectors.py", "texts");
  assert.ok(vectors.cases.length >= 400);
  await compare(vectors);
});
