/** BERT's normalizer and pre-tokenizer make of every character what the library makes of it in Python. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { normalizer, wordsOf } from "../src/inputs/bert-text.js";
import { tokenizerOf } from "../src/inputs/tokenization.js";
import { builtin } from "./support/builtin-tokenizer.js";
import { NO_PYTHON, printed } from "./support/python.js";

const DEVIATIONS = JSON.parse(readFileSync(new URL("unicode-deviations.json", import.meta.url), "utf8"));
const BERT = { clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true };

/** Returns numbers in ranges, as hexadecimal text. @param {number[]} numbers */
function ranges(numbers) {
  /** @type {[number, number][]} */
  const found = [];
  for (const number of numbers) {
    const last = found.at(-1);
    if (last?.[1] === number - 1) last[1] = number;
    else found.push([number, number]);
  }
  return found.map((range) => [...new Set(range)].map((one) => one.toString(16)).join("-"));
}

/** @param {import("../src/inputs/bert-text.js").Settings} settings */
function wordsWith(settings) {
  const normalize = normalizer(settings);
  return (/** @type {string} */ text) => {
    const made = normalize(text).text;
    return [...wordsOf(made)].map(([start, end]) => made.slice(start, end)).join(" ");
  };
}

/** Returns the characters of which other words are made. @param {any} expected */
function deviating({ settings, ranges: all }) {
  const words = wordsWith(settings);
  const found = [];
  let at = 0;
  for (let number = 0; number < 0x110000; number++) {
    if (number === 0xd800) number = 0xe000;
    while (all[at + 1]?.[0] <= number) at++;
    const character = String.fromCodePoint(number);
    const made = `${words(character)}\t${words(`a${character}b`)}`;
    if (made !== all[at][1].replaceAll("\0", character)) found.push(number);
  }
  return ranges(found);
}

test("every character becomes the words that it does in Python, but for some", { skip: NO_PYTHON }, () => {
  // Not to be seen by the properties of letters: engines take these from another version of Unicode.
  const isLowered = (/** @type {string} */ character) => character.toLowerCase() !== character;
  const notLowered = Object.values(DEVIATIONS.lowercase.since).flat().filter((/** @type {string} */ range) => {
    return !isLowered(String.fromCodePoint(parseInt(range, 16)));
  });
  for (const [name, expected] of Object.entries(printed("token_vectors.py", "code-points"))) {
    const known = /** @type {any} */ (expected).settings.lowercase ? notLowered : [];
    assert.deepEqual(deviating(expected).sort(), [...known].sort(), name);
  }
});

test("marks that are not in Unicode's order stay where they are", async () => {
  for (const { text, library, here } of DEVIATIONS.order.texts) {
    assert.equal(normalizer(BERT)(text).text, here);
    assert.notEqual(here, library);
  }
  const tokenizer = await tokenizerOf(builtin("tokenizer.json"), { max_length: 128, pairs: false });
  for (const { text, here } of DEVIATIONS.order.offsets) assert.deepEqual(tokenizer.pieces(text).offsets, here);
});
