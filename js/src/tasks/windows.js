/** Long texts in rows that overlap, with where each token stands. Knows no networks. */

import { BundleError, EdgeBertError } from "../errors.js";
import { checkedText } from "../inputs/tokens.js";

/** @typedef {import("../inputs/tokens.js").LocatedTokens} LocatedTokens */
/** @typedef {import("../inputs/tokens.js").Pieces} Pieces */
/** @typedef {import("../inputs/tokens.js").Tokens} Tokens */
/** @typedef {import("../inputs/tokens.js").Tokenizer} Tokenizer */

// All tokens are read, so that a text of megabytes would take all memory.
const MOST_CHARACTERS = 200_000;

/** @type {Pieces} */
const NOTHING = { ids: [], offsets: [], words: [] };

/**
 * Returns the tokens of a text with where they stand, cut at what a row holds.
 *
 * @param {string} text
 * @param {Tokenizer} tokenizer
 * @throws {BundleError} the tokenizer does not tell where tokens stand
 */
export function located(text, tokenizer) {
  return locatedIn(text, tokenizer, tokenizer.encode(text));
}

/**
 * Returns a text, or a pair whose second text is cut, in rows of at most `maxLength` tokens with where they stand.
 *
 * Each row but the first begins with the last `overlap` tokens of the one before, as far as there is room for more than
 * these. A row of a pair has all of the first text, which is cut at half of the room. With `wholeWords` a token stands
 * where its word does, as far as this is in the row.
 *
 * @param {import("../inputs/tokens.js").Text} text
 * @param {Tokenizer} tokenizer
 * @param {number} overlap
 * @param {boolean} [wholeWords]
 * @throws {EdgeBertError} a text is blank, none, or longer than is read as a whole
 * @throws {BundleError} the tokenizer does not tell where tokens stand
 */
export function windows(text, tokenizer, overlap, wholeWords = false) {
  const texts = checkedText(text);
  texts.forEach(checkLength);

  const room = tokenizer.maxLength - tokenizer.withEnds(texts.map(() => NOTHING)).ids.length;
  const pieces = texts.map((one) => tokenizer.pieces(one));
  const whole = pieces.slice(0, -1).map((one) => part(one, 0, Math.max(1, Math.floor(room / 2))));
  const left = room - (whole[0]?.ids.length ?? 0);

  return parts(pieces[texts.length - 1], left, overlap).map((one) => {
    const tokens = tokenizer.withEnds([...whole, wholeWords ? inWords(one) : one]);
    return locatedIn(texts[texts.length - 1], tokenizer, tokens);
  });
}

/** @param {string} text */
function checkLength({ length }) {
  if (length <= MOST_CHARACTERS) return;
  const [most, found] = [MOST_CHARACTERS, length].map((one) => one.toLocaleString("en-US"));
  throw new EdgeBertError(`expected a text of at most ${most} characters, found ${found}; cut it into several`);
}

/** @param {string} text @param {Tokenizer} tokenizer @param {Tokens} tokens @returns {LocatedTokens} */
function locatedIn(text, tokenizer, { ids, types, offsets }) {
  if (offsets) return { ids, types, offsets, text, tokenizer };
  const expected = "expected a tokenizer that tells where tokens stand, as BERT's WordPiece does";
  throw new BundleError(`${expected}, found another; use a bundle of a BERT, or edgebert in Python`);
}

/** @param {Pieces} pieces @param {number} start @param {number} end @returns {Pieces} */
function part({ ids, offsets, words }, start, end) {
  return { ids: ids.slice(start, end), offsets: offsets?.slice(start, end), words: words.slice(start, end) };
}

/** @param {Pieces} pieces @param {number} room @param {number} overlap */
function parts(pieces, room, overlap) {
  const found = [part(pieces, 0, room)];
  const step = Math.max(room - overlap, 1);
  for (let start = 0; start + room < pieces.ids.length; ) {
    start += step;
    found.push(part(pieces, start, start + room));
  }
  return found;
}

/** @param {Pieces} pieces @returns {Pieces} */
function inWords({ ids, offsets, words }) {
  /** @type {Map<number, import("../inputs/tokens.js").Span>} */
  const spans = new Map();
  offsets?.forEach(([start, end], place) => spans.set(words[place], [spans.get(words[place])?.[0] ?? start, end]));
  return { ids, words, offsets: offsets && words.map((word) => spans.get(word) ?? [0, 0]) };
}
