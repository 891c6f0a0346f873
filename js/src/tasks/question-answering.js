/** question-answering: the words of a context that answer a question, or that there are none. */

import { EdgeBertError } from "../errors.js";
import { joinedSpans, ranked, spansOfWindow } from "./spans.js";
import { isOther, readOptions, rowsOf } from "./task.js";
import { windows } from "./windows.js";

/** @typedef {import("./spans.js").AnswerSpan} AnswerSpan */
/** @typedef {import("./spans.js").Found} Found */
/** @typedef {import("../inputs/tokens.js").LocatedTokens} LocatedTokens */

/**
 * What a call may ask for.
 *
 * `maxAnswerLen` and `docStride`, by which windows overlap, are numbers of tokens. That there is no answer is an answer
 * if `handleImpossibleAnswer` is true; null is where a threshold for it is known. `alignToWords` makes answers of whole
 * words.
 *
 * @typedef {object} AnswerOptions
 * @property {number} topK
 * @property {number} maxAnswerLen
 * @property {number | null} docStride
 * @property {boolean | null} handleImpossibleAnswer
 * @property {boolean} alignToWords
 */

/** @typedef {{answer: string, score: number, start: number, end: number}} Answer */

/** @type {AnswerOptions} */
const DEFAULTS = { topK: 1, maxAnswerLen: 15, docStride: null, handleImpossibleAnswer: null, alignToWords: true };

// Tokens that two windows share, if that is not more than half of one; transformers' numbers.
const OVERLAP = 128;

/** The likeliest span of a context, or none where a network has a threshold for that. */
export class QuestionAnswering {
  name = "question-answering";
  /** @type {readonly string[]} */
  labels = [];
  outputs = { start_logits: ["batch", "length"], end_logits: ["batch", "length"] };

  /** @param {number | null} [threshold] the logarithm of how many times likelier no answer must be than the best one */
  constructor(threshold = null) {
    this.threshold = threshold;
    Object.freeze(this);
  }

  /** @param {Partial<AnswerOptions>} [given] @returns {AnswerOptions} */
  options(given = {}) {
    const asked = readOptions(this.name, DEFAULTS, given);
    checkCount("topK", asked.topK, 1);
    checkCount("maxAnswerLen", asked.maxAnswerLen, 1);
    checkCount("docStride", asked.docStride ?? 0, 0);
    return asked;
  }

  /**
   * Returns the windows of a context, each behind the question.
   *
   * @param {import("./task.js").Text} text a question and its context
   * @param {import("./task.js").Tokenizer} tokenizer
   * @param {AnswerOptions} options
   */
  rows(text, tokenizer, { docStride, alignToWords }) {
    if (!Array.isArray(text) || text.length !== 2) {
      const found = typeof text === "string" ? "a single text" : typeof text;
      const advice = "pass both, as a [question, context] or an object of these";
      throw new EdgeBertError(`expected a question and its context, found ${found}; ${advice}`);
    }
    const overlap = docStride ?? Math.min(Math.floor(tokenizer.maxLength / 2), OVERLAP);
    return windows(text, tokenizer, overlap, alignToWords);
  }

  /** @param {import("./task.js").Outputs} outputs @param {LocatedTokens[]} rows @param {AnswerOptions} options */
  results(outputs, rows, { topK, maxAnswerLen, handleImpossibleAnswer, alignToWords }) {
    // Some more than are asked for, since those of the same words will be one.
    const limits = { spans: alignToWords ? 2 * topK + 10 : topK, longest: maxAnswerLen };
    const known = this.threshold ?? (handleImpossibleAnswer ? 0 : null);
    const threshold = handleImpossibleAnswer === false ? null : known;
    const [starts, ends] = [outputs.start_logits, outputs.end_logits].map(rowsOf);
    return rows.map((row, place) => spansOfWindow(starts[place], ends[place], row, limits, threshold));
  }

  /** @param {Found[]} results */
  joined(results) {
    return joinedSpans(results);
  }

  /**
   * Returns an answer to each question, or with a `topK` above 1 a list of them.
   *
   * @param {Found[]} results
   * @param {AnswerOptions} options
   */
  answers(results, { topK }) {
    const found = results.map((one) => ranked(one).slice(0, topK).map(answerOf));
    return topK === 1 ? found.map(([best]) => best) : found;
  }

  /** @param {(Answer | Answer[])[]} answers @param {import("./task.js").Form} form */
  shaped(answers, form) {
    return form === "several" ? answers : answers[0];
  }

  /** @type {import("./task.js").Task["wrongAnswers"]} */
  wrongAnswers(found, right, tolerance) {
    const names = Object.keys(this.outputs);
    const isWrong = (/** @type {string} */ name, /** @type {number} */ text) =>
      isOther(rowsOf(found[name])[text], rowsOf(right[name])[text], tolerance);
    return rowsOf(right.start_logits).filter((_, text) => names.some((name) => isWrong(name, text))).length;
  }
}

/** @param {string} name @param {number} value @param {number} least */
function checkCount(name, value, least) {
  if (Number.isInteger(value) && value >= least) return;
  const found = JSON.stringify(value);
  throw new EdgeBertError(`expected a ${name} of ${least} or more, found ${found}; pass a whole number`);
}

/** @param {AnswerSpan} span @returns {Answer} */
function answerOf({ text, score, start, end }) {
  return { answer: text, score, start, end };
}
