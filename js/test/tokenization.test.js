/** Which tokenizer a bundle gets, how texts are cut and padded, and what is refused. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import * as tokenizers from "@huggingface/tokenizers";

import { BundleError, EdgeBertError } from "../src/errors.js";
import { checkGolden, pad, tokenizerOf } from "../src/inputs/tokenization.js";
import { builtin, changed } from "./support/builtin-tokenizer.js";

/** @typedef {any} Json */

const CONTENT = builtin("tokenizer.json");
const MANIFEST = JSON.parse(builtin("bundle.json"));
const GOLDEN = JSON.parse(builtin("golden.json"));
const VECTORS = JSON.parse(readFileSync(new URL("vectors/tokens.json", import.meta.url), "utf8"));
const PAIRS = { max_length: 128, pairs: true };

const ours = await tokenizerOf(CONTENT, PAIRS);

/** @param {RegExp} message */
function refused(message, kind = BundleError) {
  return (/** @type {unknown} */ problem) => problem instanceof kind && message.test(problem.message);
}

/** @param {string} single @param {string} pair */
function withTemplate(single, pair) {
  /** @param {string} template */
  const parts = (template) =>
    template.split(" ").map((name) => {
      const kind = /^\$/.test(name) ? "Sequence" : "SpecialToken";
      return { [kind]: { id: name.replace("$", ""), type_id: 0 } };
    });
  const known = { "[SEP]": { id: "[SEP]", ids: [102], tokens: ["[SEP]"] } };
  const template = { type: "TemplateProcessing", single: parts(single), pair: parts(pair), special_tokens: known };
  return changed({ post_processor: { type: "Sequence", processors: [template] } });
}

test("the golden texts become the golden inputs", async () => {
  const tokenizer = await tokenizerOf(CONTENT, MANIFEST);
  checkGolden(tokenizer, GOLDEN);
  const arrays = pad(GOLDEN.texts.map(tokenizer.encode, tokenizer), MANIFEST.inputs);
  for (const [name, rows] of Object.entries(GOLDEN.inputs)) {
    assert.deepEqual(arrays[name].dims, [rows.length, rows[0].length]);
    assert.deepEqual(Array.from(arrays[name].data, Number), rows.flat());
  }
});

test("a text that becomes other tokens than where the bundle was made is named, with the first token", () => {
  const golden = structuredClone(GOLDEN);
  golden.inputs.input_ids[1][3] = 5;
  const first = /token 5 \("\[unused4\]"\) at place 3 of the golden text "The plot .*found token 3084 \("makes"\)/;
  assert.throws(() => checkGolden(ours, golden), refused(first));

  for (const rows of Object.values(golden.inputs)) rows.forEach((/** @type {number[]} */ row) => row.splice(10));
  const longer = /expected token 0 .* at place 10 of the golden text "A warm, funny .*, found token \d+ /;
  assert.throws(() => checkGolden(ours, golden), refused(longer));

  golden.inputs = { ...GOLDEN.inputs, token_type_ids: GOLDEN.inputs.attention_mask };
  const type = /expected token_type_ids 1 at place 0 of the golden text "A warm, funny .*, found token_type_ids 0;/;
  assert.throws(() => checkGolden(ours, golden), refused(type));
});

test("padding is zero and masked, up to the next of the lengths that were asked for", () => {
  const names = ["input_ids", "attention_mask", "token_type_ids"];
  const batch = [{ ids: [5, 6, 7], types: [0, 0, 1] }, { ids: [8], types: [0] }];
  /** @param {number[]} [lengths] */
  const padded = (lengths) => {
    return Object.entries(pad(batch, names, lengths)).map(([name, { data, dims }]) => [name, dims, data]);
  };
  assert.deepEqual(padded(), [
    ["input_ids", [2, 3], BigInt64Array.of(5n, 6n, 7n, 8n, 0n, 0n)],
    ["attention_mask", [2, 3], BigInt64Array.of(1n, 1n, 1n, 1n, 0n, 0n)],
    ["token_type_ids", [2, 3], BigInt64Array.of(0n, 0n, 1n, 0n, 0n, 0n)],
  ]);
  assert.deepEqual(padded([2, 8, 4])[0], ["input_ids", [2, 4], BigInt64Array.of(5n, 6n, 7n, 0n, 8n, 0n, 0n, 0n)]);
  assert.deepEqual(padded([1, 2]), padded());
});

test("of a long pair the longer text keeps the odd token, of equal ones the second", () => {
  for (const [first, second] of [[3000, 2999], [2999, 3000], [3000, 3000], [70, 3000], [3000, 70]]) {
    const { ids, types } = ours.encode(["a ".repeat(first), "b ".repeat(second)]);
    const kept = [first > second ? 63 : 62, first > second ? 62 : 63];
    assert.deepEqual([0, 1].map((type) => types.filter((one) => one === type).length), [kept[0] + 2, kept[1] + 1]);
    assert.equal(ids.length, 128);
  }
});

test("a megabyte is no problem", () => {
  assert.equal(ours.encode("great film ".repeat(100_000)).ids.length, 128);
  assert.equal(ours.encode("x".repeat(1_000_000)).ids.length, 3);
  assert.equal(ours.encode(["great film ".repeat(100_000), "dull ".repeat(200_000)]).ids.length, 128);
});

test("a pair is refused where single texts are expected", async () => {
  const single = await tokenizerOf(CONTENT, { max_length: 128, pairs: false });
  const message = /^expected single texts, found a pair, which this bundle was not exported for; give one text$/;
  assert.throws(() => single.encode(["a", "b"]), refused(message, EdgeBertError));
  assert.throws(() => single.withEnds([single.pieces("a"), single.pieces("b")]), refused(message, EdgeBertError));
});

test("a tokenizer that adds more than ends is refused", async () => {
  for (const [single, pair, message] of /** @type {[string, string, RegExp][]} */ ([
    ["$A $A", "$A $B", /each text once in the tokenizer's template for a single, found "A", "A";/],
    ["$A", "$A $B $A", /each text once in the tokenizer's template for a pair, found "A", "A", "B";/],
    ["[SEP]", "$A $B", /each text once in the tokenizer's template for a single, found none;/],
    [`$A${" [SEP]".repeat(17)}`, "$A $B", /adds more special tokens than the 16 that a text may have; export/],
    ["$A", `$A $B${" [SEP]".repeat(17)}`, /adds more special tokens than the 16 that a text may have; export/],
  ])) {
    await assert.rejects(tokenizerOf(withTemplate(single, pair), { max_length: 16, pairs: true }), refused(message));
  }
  const unknown = changed({ post_processor: { type: "Other" } });
  const message = /expected a post-processor of TemplateProcessing, .*, found "Other"; export the bundle again/;
  await assert.rejects(tokenizerOf(unknown, PAIRS), refused(message));
});

test("a damaged tokenizer is refused", async () => {
  const message = /^the tokenizer cannot be read: .*; export the bundle again$/;
  for (const content of ["", "{}", "<html>", "null", changed({ post_processor: { type: "BertProcessing" } })]) {
    await assert.rejects(tokenizerOf(content, PAIRS), refused(message));
  }
});

test("tokens have names of which texts are made", () => {
  const names = ours.pieces("embedding").ids.map(ours.nameOf, ours);
  assert.deepEqual(names, ["em", "##bed", "##ding"]);
  assert.equal(ours.joined(names), "embedding");
  assert.ok(ours.marksInnerTokens);
  assert.deepEqual([ours.nameOf(Number(ours.unknown)), ours.nameOf(-1)], ["[UNK]", ""]);
});

test("added tokens have names too", async () => {
  const tokenizer = await tokenizerOf(changed(VECTORS.changes["added tokens"]), PAIRS);
  const ids = tokenizer.pieces("a <m>covid").ids;
  assert.deepEqual(ids.map(tokenizer.nameOf, tokenizer), ["a", "<m>", "covid"]);
});

test("tokenizers of other kinds are read by another package, as Python reads them", async () => {
  for (const { name, file, max_length, cases } of VECTORS.others) {
    const content = JSON.stringify(file);
    for (const given of [undefined, tokenizers]) {
      const tokenizer = await tokenizerOf(content, { max_length, pairs: true }, given);
      for (const { text, ...expected } of cases) assert.deepEqual(tokenizer.encode(text), expected);
      assert.equal(tokenizer.pieces("a").offsets, undefined);
      assert.deepEqual([tokenizer.marksInnerTokens, tokenizer.unknown], [false, undefined]);
      assert.equal(tokenizer.nameOf(1), name === "byte level" ? "</s>" : "<sep>");
    }
  }
});

/** Makes one change to the built-in tokenizer.json. @param {(file: Json) => void} change */
function edited(change) {
  const file = JSON.parse(CONTENT);
  change(file);
  return JSON.stringify(file);
}

const UNKNOWN = /** @type {[(file: Json) => void, RegExp][]} */ ([
  [(file) => (file.normalizer = { type: "Sequence", normalizers: [file.normalizer] }), /\$\.normalizer/],
  [(file) => (file.normalizer = null), /expected an object, found null at \$\.normalizer/],
  [(file) => (file.normalizer.other = true), /expected no key "other" at \$\.normalizer/],
  [(file) => (file.pre_tokenizer.type = "Whitespace"), /one of BertPreTokenizer, found "Whitespace" at \$\.pre_tok/],
  [(file) => (file.model.type = "BPE"), /expected one of WordPiece, found "BPE" at \$\.model\.type/],
  [(file) => (file.model.unk_token = "<unk>"), /expected "<unk>" in the vocabulary at \$\.model/],
  [(file) => (file.model.vocab.the = "1"), /found "1" at \$\.model\.vocab\.the/],
  [(file) => (file.decoder = { type: "ByteLevel" }), /\$\.decoder/],
  [(file) => (file.version = "2.0"), /expected one of 1.0, found "2.0" at \$\.version/],
  [(file) => (file.added_tokens[1].id = 7), /expected the id 100 of "\[UNK\]" at \$\.added_tokens/],
  [(file) => file.added_tokens.push({ ...file.added_tokens[0] }), /added tokens that differ to the normalizer/],
  [(file) => file.added_tokens.push(...added("zq", "ZQ")), /added tokens that differ to the normalizer/],
  [(file) => file.added_tokens.push(...added("\u200b")), /added tokens that differ to the normalizer/],
]);

/** @param {...string} contents */
function added(...contents) {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: true, special: false };
  return contents.map((content, place) => ({ id: 30522 + place, content, ...flags }));
}

test("what is unknown in a tokenizer.json is not guessed: without another package the bundle is refused", () => {
  const folder = mkdtempSync(join(tmpdir(), "edgebert-"));
  try {
    cpSync(fileURLToPath(new URL("../src", import.meta.url)), join(folder, "src"), { recursive: true });
    writeFileSync(join(folder, "package.json"), '{"type": "module"}');
    writeFileSync(join(folder, "main.js"), `
      import { readFileSync } from "node:fs";
      import { tokenizerOf } from "./src/inputs/tokenization.js";
      for (const content of JSON.parse(readFileSync("contents.json", "utf8"))) {
        const found = tokenizerOf(content, ${JSON.stringify(PAIRS)});
        console.log(JSON.stringify(await found.then(() => "taken", (problem) => problem.message)));
      }`);
    const contents = [CONTENT, ...UNKNOWN.map(([change]) => edited(change))];
    writeFileSync(join(folder, "contents.json"), JSON.stringify(contents));
    const [taken, ...messages] = execFileSync(process.execPath, ["main.js"], { cwd: folder, encoding: "utf8" })
      .trim().split("\n").map((line) => JSON.parse(line));
    assert.equal(taken, "taken");
    messages.forEach((message, place) => {
      assert.match(message, /^no tokenizer for this bundle: its tokenizer.json is no BERT's \(/);
      assert.match(message, UNKNOWN[place][1]);
      assert.match(message, /; install the package @huggingface\/tokenizers, or pass it as tokenizers$/);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
