/**
 * Entities of a text, made of the scores of its tokens as transformers' `ner` pipeline makes them.
 *
 * Follows that pipeline's rules step by step, its heuristics too, but for one thing: no entity begins with a blank.
 */

import { startOf } from "../inputs/tokens.js";
import { largestAt } from "./task.js";

/** @typedef {import("../inputs/tokens.js").LocatedTokens} LocatedTokens */
/** @typedef {import("../inputs/tokens.js").Span} Span */

/**
 * How tokens become entities: "none" answers every token by itself, "simple" joins those of one label, and "first",
 * "average" and "max" join words, each by the scores of its first token, of all, or of the one that is surest.
 *
 * @typedef {"none" | "simple" | "first" | "average" | "max"} Strategy
 */

/** @type {readonly Strategy[]} */
export const STRATEGIES = ["none", "simple", "first", "average", "max"];

/**
 * A token or a group of them: its label, how sure that is, its words and where they stand; a token's place in the row.
 *
 * `span` may begin with blanks, `start` is behind them. `characters` is how many there are, whatever UTF-16 units each
 * one takes.
 *
 * @typedef {object} Entity
 * @property {string} label
 * @property {number} score
 * @property {string} word
 * @property {Span} span
 * @property {number} start
 * @property {number} characters
 * @property {number | undefined} index
 */

/**
 * What a text is answered: a token by itself is an `entity` and says which of the row it is, others an `entity_group`.
 *
 * @typedef {{entity?: string, entity_group?: string, score: number, index?: number, word: string, start: number,
 *   end: number}} EntityAnswer
 */

/**
 * A token of the text: its place in the row and the scores of its labels, (labels).
 *
 * @typedef {{place: number, scores: Float32Array}} ScoredToken
 */

/**
 * Tokens that have one label together, by their places in the row.
 *
 * @typedef {{label: string, score: number, places: number[]}} Word
 */

/**
 * Returns the entities of a row, of those of its tokens that are of the text.
 *
 * @param {LocatedTokens} row
 * @param {ScoredToken[]} tokens
 * @param {readonly string[]} labels
 * @param {{aggregationStrategy: Strategy, ignoreLabels: readonly string[]}} options
 * @returns {Entity[]}
 */
export function entitiesOf(row, tokens, labels, { aggregationStrategy, ignoreLabels }) {
  if (aggregationStrategy === "none") {
    const words = tokens.map(({ place, scores }) => wordOf(scores, [place], labels));
    const kept = words.filter(({ label }) => !ignoreLabels.includes(label));
    return kept.map(({ label, score, places }) => entity(row, label, score, nameOf(row, places[0]), places, places[0]));
  }
  const groups = grouped(wordsOf(row, tokens, labels, aggregationStrategy));
  const found = groups.map((group) => joinedEntity(row, group, aggregationStrategy));
  return found.filter(({ label }) => !ignoreLabels.includes(label));
}

/**
 * Returns an entity as transformers' pipeline does.
 *
 * @param {Entity} entity
 * @returns {EntityAnswer}
 */
export function entityAnswer({ label, score, index, word, start, span: [, end] }) {
  if (index === undefined) return { entity_group: label, score, word, start, end };
  return { entity: label, score, index, word, start, end };
}

/**
 * Returns the entities of a text's windows; of those that overlap the longest, then the surest.
 *
 * @param {Entity[]} entities
 */
export function withoutOverlaps(entities) {
  /** @type {Entity[]} */
  const kept = [];
  for (const one of [...entities].sort((first, second) => first.span[0] - second.span[0])) {
    const last = kept.at(-1);
    if (!last || last.span[0] > one.span[0] || one.span[0] >= last.span[1]) kept.push(one);
    else if ((one.characters - last.characters || one.score - last.score) > 0) kept[kept.length - 1] = one;
  }
  return kept;
}

/**
 * @param {LocatedTokens} row
 * @param {ScoredToken[]} tokens
 * @param {readonly string[]} labels
 * @param {Strategy} strategy
 */
function wordsOf(row, tokens, labels, strategy) {
  /** @type {ScoredToken[][]} */
  const parts = [];
  for (const token of tokens) {
    if (parts.length && strategy !== "simple" && continues(row, token.place)) parts[parts.length - 1].push(token);
    else parts.push([token]);
  }
  return parts.map((part) => {
    const scores = scoresOf(part.map((token) => token.scores), strategy);
    return wordOf(scores, part.map(({ place }) => place), labels);
  });
}

/** @param {Float32Array[]} tokens @param {Strategy} strategy */
function scoresOf(tokens, strategy) {
  if (strategy === "average") {
    return tokens[0].map((_, label) => tokens.reduce((sum, scores) => sum + scores[label], 0) / tokens.length);
  }
  return strategy === "max" ? tokens[largestAt(Float32Array.from(tokens, (scores) => Math.max(...scores)))] : tokens[0];
}

/** @param {Float32Array} scores @param {number[]} places @param {readonly string[]} labels @returns {Word} */
function wordOf(scores, places, labels) {
  const best = largestAt(scores);
  return { label: labels[best], score: scores[best], places };
}

/** @param {Word[]} words */
function grouped(words) {
  /** @type {Word[][]} */
  const groups = [];
  for (const word of words) {
    const before = groups.at(-1)?.at(-1);
    const goesOn = before && kindOf(before.label) === kindOf(word.label) && !word.label.startsWith("B-");
    if (goesOn) groups[groups.length - 1].push(word);
    else groups.push([word]);
  }
  return groups;
}

/** @param {string} label */
function kindOf(label) {
  return label.replace(/^[BI]-/, "");
}

/** @param {LocatedTokens} row @param {Word[]} group @param {Strategy} strategy */
function joinedEntity(row, group, strategy) {
  const { joined } = row.tokenizer;
  const names = group.map((word) => word.places.map((place) => nameOf(row, place)));
  // A word's text is made of its tokens, and that of a group once more of these texts.
  const word = joined(strategy === "simple" ? names.flat() : names.map((one) => joined(one)));
  const score = Math.fround(group.reduce((sum, one) => sum + one.score, 0) / group.length);
  // What is before the first - is left out, be it a B, an I or anything else.
  const label = group[0].label.slice(group[0].label.indexOf("-") + 1);
  return entity(row, label, score, word, group.flatMap(({ places }) => places));
}

/**
 * @param {LocatedTokens} row
 * @param {string} label
 * @param {number} score
 * @param {string} word
 * @param {number[]} places
 * @param {number} [index]
 * @returns {Entity}
 */
function entity(row, label, score, word, places, index) {
  const [start] = offsetOf(row, places[0]);
  const [, end] = offsetOf(row, places[places.length - 1]);
  const characters = lengthOf(row.text.slice(start, end));
  return { label, score, word, span: [start, end], start: startOf([start, end], row.text), characters, index };
}

/**
 * Returns what a token is called: its name in the vocabulary, or the characters that this does not know.
 *
 * @param {LocatedTokens} row
 * @param {number} place
 */
function nameOf(row, place) {
  const { ids, tokenizer } = row;
  return ids[place] === tokenizer.unknown ? charactersOf(row, place) : tokenizer.nameOf(ids[place]);
}

/**
 * Returns whether a token belongs to the word of the one before.
 *
 * @param {LocatedTokens} row
 * @param {number} place
 */
function continues(row, place) {
  if (row.ids[place] === row.tokenizer.unknown) return false;
  // By the mark that its name has and the text has not.
  if (row.tokenizer.marksInnerTokens) return lengthOf(nameOf(row, place)) !== lengthOf(charactersOf(row, place));
  // Punctuation then belongs to the word before it, as in the pipeline.
  const [start] = offsetOf(row, place);
  return start > 0 && !row.text.slice(start - 1, start + 1).includes(" ");
}

/** @param {LocatedTokens} row @param {number} place */
function charactersOf(row, place) {
  return row.text.slice(...offsetOf(row, place));
}

/** @param {LocatedTokens} row @param {number} place @returns {Span} */
function offsetOf({ offsets }, place) {
  return offsets[place] ?? [0, 0];
}

/** @param {string} text */
function lengthOf(text) {
  return [...text].length;
}
