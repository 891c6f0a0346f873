/** The test vectors of tasks: what is made of tokens and outputs is what the Python side makes of them. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { BundleError, EdgeBertError } from "../src/errors.js";
import { checkedText, startOf } from "../src/inputs/tokens.js";
import { joiner } from "../src/inputs/word-piece-decoder.js";
import { Embeddings } from "../src/tasks/embeddings.js";
import { checkOutputs } from "../src/tasks/task.js";
import { taskMaker } from "../src/tasks/tasks.js";

/** @typedef {any} Json */

/** @param {string} name @returns {Json} */
function read(name) {
  return JSON.parse(readFileSync(new URL(`../../tests/laws/tasks/${name}.json`, import.meta.url), "utf8"));
}

const TABLE = read("table");

/**
 * Returns what plays again what Hugging Face's library made of texts.
 *
 * @param {Json} record
 * @returns {import("../src/inputs/tokens.js").Tokenizer}
 */
function recorded(record) {
  const { max_length: maxLength, unknown, marks_inner_tokens: marksInnerTokens, names, texts } = record;
  /** @param {string} text */
  const pieces = (text) => {
    assert.ok(text in texts, `no record of ${JSON.stringify(text)}`);
    return texts[text];
  };
  /** @param {readonly import("../src/inputs/tokens.js").Pieces[]} parts */
  const withEnds = (parts) => {
    const places = { A: parts[0], B: parts[1] };
    const tokens = record[parts.length === 1 ? "single" : "pair"].flatMap((/** @type {Json} */ { token, type }) => {
      const part = places[/** @type {"A" | "B"} */ (token)];
      if (!part) return [{ id: token, type, span: null }];
      const isLast = part === parts.at(-1);
      return part.ids.map((id, place) => ({ id, type, span: isLast ? part.offsets?.[place] : null }));
    });
    /** @param {string} key */
    const all = (key) => tokens.map((/** @type {Json} */ one) => one[key]);
    return { ids: all("id"), types: all("type"), offsets: all("span") };
  };
  /** @param {import("../src/inputs/tokens.js").Text} text */
  const encode = (text) => {
    const parts = checkedText(text).map(pieces);
    const room = maxLength - 2; // pairs are short here
    return withEnds(parts.map((one) => ({ ...one, ids: one.ids.slice(0, room) })));
  };
  const nameOf = (/** @type {number} */ id) => names[id];
  return { maxLength, unknown, marksInnerTokens, encode, pieces, withEnds, nameOf, joined: joiner(record.decoder) };
}

/** @param {Json} outputs @returns {import("../src/tasks/task.js").Outputs} */
function outputsOf(outputs) {
  const found = Object.entries(outputs).map(([name, { dims, data, at }]) => {
    const size = dims.reduce((/** @type {number} */ all, /** @type {number} */ one) => all * one, 1);
    const numbers = data ?? Array.from({ length: size }, (_, place) => TABLE[(at + place) % TABLE.length]);
    return [name, { dims, data: Float32Array.from(numbers, Number) }];
  });
  return Object.fromEntries(found);
}

/** @param {Json} options */
function inCamelCase(options) {
  /** @param {string} name */
  const named = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [named(name), value]));
}

/** @param {Json} found @param {Json} expected @param {string} [path] */
function assertAlike(found, expected, path = "$") {
  if (typeof expected === "number" && typeof found === "number") {
    const most = Math.max(1e-7, 1e-6 * Math.abs(expected));
    assert.ok(Math.abs(found - expected) <= most, `expected ${expected}, found ${found} at ${path}`);
  } else if (expected === null || typeof expected !== "object") {
    assert.equal(found, expected, `at ${path}`);
  } else {
    assert.deepEqual(Object.keys(found).sort(), Object.keys(expected).sort(), `at ${path}`);
    for (const key of Object.keys(expected)) assertAlike(found[key], expected[key], `${path}.${key}`);
  }
}

/** @param {Json} found */
function plain(found) {
  if (!(found instanceof Embeddings)) return found;
  return { ...found, data: [...found.data] };
}

const TASKS = ["text-classification", "multi-label-text-classification", "text-regression", "question-answering"];
const MAKERS = new Map(await Promise.all([...TASKS, "sentence-embedding", "token-classification"].map(makerOf)));

/** @param {string} name @returns {Promise<[string, import("../src/tasks/tasks.js").TaskMaker]>} */
async function makerOf(name) {
  return [name, await taskMaker(name)];
}

/** @param {Json} facts */
function task(facts) {
  return /** @type {import("../src/tasks/tasks.js").TaskMaker} */ (MAKERS.get(facts.task))(facts, facts);
}

/** Answers a case as a predictor does. @param {Json} law @param {Json} one */
function answered(law, one) {
  const [ours, tokenizer] = [task(law.tasks[one.task]), recorded(law.tokenizer)];
  const asked = ours.options(inCamelCase(one.options));
  const rows = one.texts.map((/** @type {Json} */ text) => ours.rows(text, tokenizer, asked));
  const outputs = outputsOf(one.outputs);
  const shape = /** @type {[number, number]} */ (Object.values(outputs)[0].dims.slice(0, 2));
  checkOutputs(ours, outputs, shape);

  const found = ours.results(outputs, rows.flat(), asked);
  const results = rows.map((/** @type {Json} */ own) => ours.joined(found.splice(0, own.length), asked));
  const form = one.form === "dict" ? "object" : one.form;
  const answers = ours.shaped(ours.answers(results, asked), form, asked, rows.map(() => "a"));
  return { rows: rows.flat().map(rowOf), answers: plain(answers) };
}

/** @param {Json} row */
function rowOf({ ids, types, offsets, text }) {
  // Only tasks whose answers have places ask for those of tokens.
  const located = text === undefined ? [] : offsets;
  const spans = located.map((/** @type {Json} */ span) => span && [startOf(span, text), span[1]]);
  return { ids, types, spans };
}

const ANSWERED = ["labels", "embeddings", "tags", "tags_cased", "tags_sentence_pieces", "answers", "answers_cased"];
for (const name of ANSWERED) {
  const law = read(name);
  for (const [number, one] of law.cases.entries()) {
    test(`${name} ${number}: ${JSON.stringify(one.options)} ${JSON.stringify(one.texts).slice(0, 60)}`, () => {
      const found = answered(law, one);
      assertAlike(found.answers, one.expected.answers);
      if (one.expected.rows) assert.deepEqual(found.rows, one.expected.rows);
    });
  }
}

test("vectors are as alike as the Python side says", () => {
  for (const { similarity, first, second, expected } of read("similarities").cases) {
    const found = embeddings({ similarity, dims: [7] }).similarity(first, second);
    assertAlike(found.map((/** @type {Json} */ row) => [...row]), expected);
  }
});

test("vectors of a task are compared as plain ones are, and by themselves too", () => {
  const ours = embeddings({ similarity: "dot", dims: [2] });
  const both = shaped(ours, [1, 2, 3, 4], "several");
  assert.deepEqual(both.dims, [2, 2]);
  const rows = ours.similarity(both, [Float32Array.of(1, 1)]);
  assert.deepEqual(rows, [Float32Array.of(3), Float32Array.of(7)]);
  assert.deepEqual(ours.similarity(shaped(ours, [1, 2], "text"), both), [Float32Array.of(5, 11)]);
  assert.deepEqual(ours.similarity(shaped(ours, [], "several"), both), []);
});

test("vectors of two spaces, or of different dims, are not compared", () => {
  const [ours, other] = [embeddings({ dims: [2] }), embeddings({ dims: [2], space: "0123456789abcdef" })];
  const refused = /^expected embeddings of one space, found 0123456789ab... and ababababab.*; embed all texts with/;
  assert.throws(() => other.similarity([1, 2], shaped(ours, [1, 2], "text")), expects(EdgeBertError, refused));
  const dims = /^expected vectors of as many dims, found 2 and 3; ask for both with the same dims$/;
  assert.throws(() => ours.similarity([[1, 2]], [[1, 2, 3]]), expects(EdgeBertError, dims));
});

test("a network is named once, however many texts it embedded", () => {
  const ours = embeddings({ dims: [1] });
  const found = ours.shaped([1, 2, 3].map((one) => Float32Array.of(one)), "several", ours.options(), ["b", "a", "b"]);
  assert.deepEqual(found.networks, ["b", "a"]);
  assert.deepEqual(found.vectors, [Float32Array.of(1), Float32Array.of(2), Float32Array.of(3)]);
});

/** @param {Json} given */
function embeddings(given) {
  const usual = { space: "ab".repeat(32), similarity: "cosine", prompts: { query: "find: " }, default_prompt: null };
  return /** @type {Json} */ (facts("sentence-embedding", { embedding: { ...usual, is_normalized: false, ...given } }));
}

/** @param {Json} ours @param {number[]} numbers @param {string} form */
function shaped(ours, numbers, form) {
  const [dims] = ours.settings.dims;
  const embedding = { data: Float32Array.from(numbers), dims: [numbers.length / dims, dims] };
  return ours.shaped(ours.results({ embedding }, [], ours.options()), form, ours.options(), []);
}

/** @param {string} name @param {Json} [given] */
function facts(name, given) {
  return task({ task: name, labels: ["O", "B"], embedding: null, no_answer_threshold: null, ...given });
}

/** @param {Function} type @param {RegExp | string} message */
function expects(type, message) {
  return (/** @type {Error} */ error) => {
    assert.ok(error instanceof type, `found ${error.name}: ${error.message}`);
    typeof message === "string" ? assert.equal(error.message, message) : assert.match(error.message, message);
    return true;
  };
}

test("names of tokens are joined as the library's decoders do", () => {
  for (const { decoder, names, expected } of read("decoders").cases) {
    assert.equal(joiner(decoder)(names), expected, JSON.stringify([decoder, names]));
  }
  const found = /^expected a decoder of type WordPiece in the tokenizer, found BPEDecoder; use another bundle$/;
  assert.throws(() => joiner({ type: "BPEDecoder" }), expects(BundleError, found));
});

test("tasks and outputs that no answer can be made of are refused in the words of the Python side", async () => {
  for (const { task: said, outputs, expected } of read("refused").cases) {
    const answer = async () => {
      const ours = (await taskMaker(said.task))(said, said);
      checkOutputs(ours, outputsOf(outputs), [2, 3]);
      ours.results(outputsOf(outputs), [], ours.options());
    };
    await assert.rejects(answer(), expects(BundleError, expected));
  }
});

test("outputs of another type are refused", () => {
  const outputs = /** @type {Json} */ ({ logits: { data: new BigInt64Array(4), dims: [2, 2] } });
  const found = /found bigint64 of shape \(2, 2\); export the bundle again$/;
  assert.throws(() => checkOutputs(facts("text-regression"), outputs, [2, 3]), expects(BundleError, found));
});

test("a text is blank if it has nothing but what the Python side takes for blanks", () => {
  const [{ expected }] = read("blanks").cases;
  const blanks = new Set(expected);
  for (let code = 0; code < 0x110000; code++) {
    const text = String.fromCodePoint(code);
    assert.equal(startOf([0, text.length], text) === text.length, blanks.has(code), `U+${code.toString(16)}`);
  }
  assert.equal(startOf([1, 5], "a  bc"), 3);
});

test("what is no text is refused", () => {
  /** @type {[unknown, RegExp][]} */
  const cases = [
    [" \u2003\x1c", /^expected a text, found an empty one; leave it out$/],
    [["a", ""], /^expected a text, found an empty one; leave it out$/],
    ["a\ud800", /^expected a text, found one that is not valid Unicode; decode it as UTF-8$/],
    [7, /^expected a text or a \[text, pair\], found number; pass strings$/],
    [null, /found null; pass strings$/],
    [["a", "b", "c"], /found an array; pass strings$/],
    [["a", undefined], /found undefined; pass strings$/],
  ];
  for (const [text, message] of cases) assert.throws(() => checkedText(text), expects(EdgeBertError, message));
  assert.deepEqual(checkedText("\u{1f600}"), ["\u{1f600}"]);
  assert.deepEqual(checkedText(["a", "\ufeff"]), ["a", "\ufeff"]);
});

test("options that there are not are refused, with those that there are", () => {
  const tags = "token-classification";
  /** @type {[string, Json, RegExp][]} */
  const cases = [
    ["text-classification", { top_k: 1 }, /^text-classification has no option top_k; expected one of topK$/],
    ["text-regression", { topK: 0 }, /^expected a topK of 1 or more, or null for all, found 0; pass these$/],
    ["text-regression", { topK: "2" }, /found "2"; pass these$/],
    ["multi-label-text-classification", { topK: true }, /found true; pass these$/],
    [tags, { aggregationStrategy: "mean" }, /of none, simple, first, average, max, found "mean"; choose/],
    [tags, { ignoreLabels: "O" }, /^expected a list of labels as ignoreLabels, found "O"; pass a list/],
    [tags, { ignoreLabels: [0] }, /^expected a list of labels as ignoreLabels, found \[0\]; pass a list/],
    [tags, { stride: -1 }, /^expected a stride of 0 tokens or more, found -1; pass a whole number$/],
    [tags, { stride: 1.5 }, /^expected a stride of 0 tokens or more, found 1.5; pass a whole/],
    [tags, { stride: 2 }, /^expected an aggregationStrategy beside a stride, found "none"; choose one/],
    ["question-answering", { topK: null }, /^expected a topK of 1 or more, found null; pass a whole number$/],
    ["question-answering", { maxAnswerLen: 0 }, /^expected a maxAnswerLen of 1 or more, found 0; pass a whole number$/],
    ["question-answering", { docStride: -1 }, /^expected a docStride of 0 or more, found -1; pass a whole number$/],
  ];
  for (const [name, given, message] of cases) {
    assert.throws(() => facts(name).options(given), expects(EdgeBertError, message));
  }
  const ours = embeddings({ dims: [6, 3] });
  const dims = /^expected dims of 6, 3, which the network was trained for, found 4; give one of these$/;
  assert.throws(() => ours.options({ dims: 4 }), expects(EdgeBertError, dims));
  const prompt = /^expected a promptName of query, found "toString"; give one of these, or the prompt itself/;
  assert.throws(() => ours.options({ promptName: "toString" }), expects(EdgeBertError, prompt));
});

test("an option that is undefined is one that is not given", () => {
  for (const [name, given] of [["text-classification", "topK"], ["token-classification", "stride"]]) {
    assert.deepEqual(facts(name).options({ [given]: undefined }), facts(name).options());
  }
});

test("texts of another kind than a task's are refused", () => {
  const tokenizer = recorded(read("answers").tokenizer);
  const [tags, answers] = [facts("token-classification"), facts("question-answering")];
  const single = /^expected a text by itself for token-classification, found two; pass one string$/;
  assert.throws(() => tags.rows(["a", "b"], tokenizer, tags.options()), expects(EdgeBertError, single));
  const wide = tags.options({ stride: tokenizer.maxLength, aggregationStrategy: "simple" });
  const stride = /^expected a stride below the 24 tokens of a window, found 24; pass a smaller one$/;
  assert.throws(() => tags.rows("a", tokenizer, wide), expects(EdgeBertError, stride));
  const pair = /^expected a question and its context, found a single text; pass both, as a \[question, context\] or an/;
  assert.throws(() => answers.rows("a", tokenizer, answers.options()), expects(EdgeBertError, pair));
  const long = /^expected a text of at most 200,000 characters, found 200,001; cut it into several$/;
  const context = "a".repeat(200_001);
  assert.throws(() => answers.rows(["a", context], tokenizer, answers.options()), expects(EdgeBertError, long));
});

const MASKED = "yes  [MASK]";

test("a tokenizer that does not tell where tokens stand is refused by the tasks that ask for it", () => {
  const { pieces, withEnds, encode, ...rest } = recorded(read("answers").tokenizer);
  const silent = {
    ...rest,
    pieces,
    encode: (/** @type {Json} */ text) => ({ ...encode(text), offsets: undefined }),
    withEnds: (/** @type {Json} */ parts) => ({ ...withEnds(parts), offsets: undefined }),
  };
  const message = /^expected a tokenizer that tells where tokens stand, as BERT's WordPiece does, found another; use/;
  for (const text of /** @type {Json[]} */ ([MASKED, ["who is it?", MASKED]])) {
    const ours = facts(typeof text === "string" ? "token-classification" : "question-answering");
    assert.throws(() => ours.rows(text, silent, ours.options()), expects(BundleError, message));
  }
});

test("a task is a value", () => {
  const names = Object.keys(KINDS);
  for (const ours of names.map((name) => facts(name, { embedding: KINDS[name] }))) {
    assert.ok(Object.isFrozen(ours), ours.name);
    assert.throws(() => Object.assign(ours, { name: "other" }), TypeError);
  }
  assert.equal(new Set(names.map((name) => facts(name, { embedding: KINDS[name] }).name)).size, 6);
});

/** @type {Json} */
const KINDS = Object.fromEntries(
  ANSWERED.flatMap((name) => read(name).tasks).map((/** @type {Json} */ one) => [one.task, one.embedding]),
);
