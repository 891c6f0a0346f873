/** The likeliest parts of a text, from the logits of where they begin and end. Knows nothing about files. */

import { startOf } from "../inputs/tokens.js";

/**
 * A part of a context, where it stands, and the probability that it is the answer.
 *
 * @typedef {{start: number, end: number, text: string, score: number}} AnswerSpan
 */

/**
 * What is known of a window, or of a whole context: the likeliest spans, and how likely it is that there is none.
 *
 * `noAnswer` is the probability of the token that stands for that, in the window where it is least. It counts as an
 * answer where there is a `threshold`: the logarithm of how many times likelier it must be than the best span.
 *
 * @typedef {{spans: AnswerSpan[], noAnswer: number, threshold: number | null}} Found
 */

/**
 * Returns the likeliest spans of a window from the logits (length) that a token is the first and the last one.
 *
 * Probabilities are those among the tokens of the context and the first of all, which stands for no answer.
 *
 * @param {Float32Array} starts
 * @param {Float32Array} ends
 * @param {import("../inputs/tokens.js").LocatedTokens} row
 * @param {{spans: number, longest: number}} limits how many spans are kept, and how many tokens the longest may have
 * @param {number | null} threshold
 * @returns {Found}
 */
export function spansOfWindow(starts, ends, { offsets, text }, limits, threshold) {
  const spans = offsets.flatMap((span, place) => (span ? [{ place, start: startOf(span, text), end: span[1] }] : []));
  const places = [0, ...spans.map(({ place }) => place)];
  const [[noStart, ...first], [noEnd, ...last]] = [starts, ends].map((logits) => probabilities(logits, places));

  const found = spans.flatMap(({ start }, begin) => {
    const behind = spans.slice(begin, begin + limits.longest);
    return behind.map(({ end }, more) => ({ start, end, score: first[begin] * last[begin + more] }));
  });
  const best = byScore(found).slice(0, limits.spans);
  const answers = best.map(({ start, end, score }) => ({ start, end, text: text.slice(start, end), score }));
  return { spans: answers, noAnswer: noStart * noEnd, threshold };
}

/** @param {Float32Array} logits @param {number[]} places */
function probabilities(logits, places) {
  const most = Math.max(...places.map((place) => logits[place]));
  const weights = places.map((place) => Math.exp(logits[place] - most));
  const sum = weights.reduce((total, weight) => total + weight);
  return weights.map((weight) => weight / sum);
}

/**
 * Returns what the windows of a context say together: spans of the same words count as one, wherever they stand, with
 * the sum of their scores, as in transformers.
 *
 * @param {Found[]} windows
 * @returns {Found}
 */
export function joinedSpans(windows) {
  /** @type {Map<string, AnswerSpan>} */
  const spans = new Map();
  for (const span of windows.flatMap((one) => one.spans)) {
    const same = spans.get(span.text.toLowerCase());
    spans.set(span.text.toLowerCase(), same ? { ...same, score: same.score + span.score } : span);
  }
  const least = windows.reduce((one, other) => (other.noAnswer < one.noAnswer ? other : one));
  return { ...least, spans: [...spans.values()] };
}

/**
 * Returns all possible answers, the best first; the empty one is that there is none.
 *
 * @param {Found} found
 * @returns {AnswerSpan[]}
 */
export function ranked({ spans, noAnswer, threshold }) {
  const none = { start: 0, end: 0, text: "", score: noAnswer };
  const order = byScore(spans);
  if (threshold === null) return order.length ? order : [none];
  const ahead = order.filter(({ score }) => logarithm(noAnswer) - logarithm(score) <= threshold);
  return [...ahead, none, ...order.slice(ahead.length)];
}

/** @param {number} probability */
function logarithm(probability) {
  // Of float64, so that none is 0 but where logits differ by hundreds.
  return Math.log(Math.max(probability, 1e-300));
}

/** @template {{score: number}} T @param {T[]} spans */
function byScore(spans) {
  return [...spans].sort((one, other) => other.score - one.score);
}
