/** Texts, their tokens, and what tasks ask of a tokenizer. Knows no tokenizer. */

import { EdgeBertError } from "../errors.js";

/**
 * A text, or a text and the second one that belongs to it.
 *
 * @typedef {string | readonly [text: string, pair: string]} Text
 */

/**
 * A part of a string, in UTF-16 units: `text.slice(start, end)` is the part.
 *
 * @typedef {readonly [start: number, end: number]} Span
 */

/**
 * What a tokenizer finds in a whole text: all of its tokens without special ones.
 *
 * `offsets` are what each token was made of, with the blanks before a word where they are a part of its token;
 * undefined where the tokenizer does not tell. `words` has the number of each token's word.
 *
 * @typedef {{ids: readonly number[], offsets?: readonly Span[] | undefined, words: readonly number[]}} Pieces
 */

/**
 * The id and the segment of each token of a row of a batch, special tokens included.
 *
 * `offsets` are those of the pieces that stand in it, of a pair those of the second text; null for other tokens.
 *
 * @typedef {{ids: readonly number[], types: readonly number[], offsets?: readonly (Span | null)[] | undefined}} Tokens
 */

/**
 * What tasks ask of a tokenizer.
 *
 * `unknown` is the token that stands for what the vocabulary lacks, `marksInnerTokens` whether names tell tokens within
 * a word from those that begin one, as ##ing does. `encode` cuts a text at `maxLength` tokens and refuses one that
 * `checkedText` refuses; `withEnds` puts the special tokens around the pieces of a text, or of both of a pair; `joined`
 * is the text that names stand for.
 *
 * @typedef {object} Tokenizer
 * @property {number} maxLength
 * @property {number | undefined} unknown
 * @property {boolean} marksInnerTokens
 * @property {(text: Text) => Tokens} encode
 * @property {(text: string) => Pieces} pieces
 * @property {(texts: readonly Pieces[]) => Tokens} withEnds
 * @property {(id: number) => string} nameOf
 * @property {(names: readonly string[]) => string} joined
 */

/**
 * Tokens that know where they stand in `text`, the one of a text or the second of a pair, and what they are called.
 *
 * @typedef {object} LocatedTokens
 * @property {readonly number[]} ids
 * @property {readonly number[]} types
 * @property {readonly (Span | null)[]} offsets
 * @property {string} text
 * @property {Tokenizer} tokenizer
 */

// The characters that Python's str.strip leaves: it takes some separators for blanks, and the byte order mark for none.
const NOT_BLANK = /[^\s\x1c-\x1f\x85]|\ufeff/;

/**
 * Returns a text as an array of it, or of it and its pair.
 *
 * @param {unknown} text
 * @returns {string[]}
 * @throws {EdgeBertError} it is no string, nothing but white space, or not valid Unicode
 */
export function checkedText(text) {
  const parts = Array.isArray(text) && text.length === 2 ? text : [text];
  parts.forEach(checkPart);
  return parts;
}

/** @param {unknown} part */
function checkPart(part) {
  if (typeof part !== "string") {
    const found = part === null ? "null" : Array.isArray(part) ? "an array" : typeof part;
    throw new EdgeBertError(`expected a text or a [text, pair], found ${found}; pass strings`);
  }
  if (!NOT_BLANK.test(part)) throw new EdgeBertError("expected a text, found an empty one; leave it out");
  if (/\p{Surrogate}/u.test(part)) {
    throw new EdgeBertError("expected a text, found one that is not valid Unicode; decode it as UTF-8");
  }
}

/**
 * Returns where a part of a text begins without its leading blanks, which to some tokenizers belong to the next word.
 *
 * @param {Span} span
 * @param {string} text
 */
export function startOf([start, end], text) {
  const blanks = text.slice(start, end).search(NOT_BLANK);
  return blanks < 0 ? end : start + blanks;
}
