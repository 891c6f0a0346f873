/** Tokens that were added to a vocabulary, such as [SEP], where somebody wrote their names into a text. */

/**
 * An added token of a tokenizer.json.
 *
 * `single_word` ones are found only where no letter or digit is beside them; blanks before and behind them belong to
 * those with `lstrip` and `rstrip`; `normalized` ones are looked for in what the normalizer makes of a text.
 *
 * @typedef {object} AddedToken
 * @property {number} id
 * @property {string} content
 * @property {boolean} single_word
 * @property {boolean} lstrip
 * @property {boolean} rstrip
 * @property {boolean} normalized
 * @property {boolean} special
 */

/**
 * A part of a text: the added token with that id, or what stands between these.
 *
 * @typedef {{start: number, end: number, id?: number}} TextPart
 */

// What the library `tokenizers` takes for a letter at an end of a text of at most two UTF-16 units.
const LETTER = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]";
const [LETTER_AT_END, LETTER_AT_START] = [new RegExp(`${LETTER}$`, "u"), new RegExp(`^${LETTER}`, "u")];
const BLANK = /\p{White_Space}/u;

/**
 * Returns the function that yields the parts of a text; of tokens that begin at the same place the longest is found.
 *
 * @param {Iterable<readonly [content: string, token: AddedToken]>} tokens by what they are called in texts
 * @returns {(text: string) => Iterable<TextPart>}
 */
export function partsWith(tokens) {
  const known = new Map(tokens);
  if (!known.size) return (text) => [{ start: 0, end: text.length }];
  const names = [...known.keys()].sort((first, second) => second.length - first.length);
  const pattern = new RegExp(names.map((name) => name.replace(/[$()*+.?[\\\]^{|}]/g, "\\$&")).join("|"), "gu");
  return (text) => parts(text, text.matchAll(pattern), known);
}

/**
 * @param {string} text
 * @param {Iterable<RegExpMatchArray>} matches
 * @param {ReadonlyMap<string, AddedToken>} known
 * @returns {Generator<TextPart>}
 */
function* parts(text, matches, known) {
  let from = 0;
  for (const { 0: name, index = 0 } of matches) {
    const { id, single_word, lstrip, rstrip } = /** @type {AddedToken} */ (known.get(name));
    let [start, end] = [index, index + name.length];
    if (single_word && touchesWord(text, start, end)) continue;

    if (lstrip) {
      while (BLANK.test(text.charAt(start - 1))) start--;
      start = Math.max(start, from); // they may belong to the token before
    }
    if (rstrip) while (BLANK.test(text.charAt(end))) end++;
    if (from < start) yield { start: from, end: start };
    yield { start, end, id };
    from = end;
  }
  if (from < text.length) yield { start: from, end: text.length };
}

/** @param {string} text @param {number} start @param {number} end */
function touchesWord(text, start, end) {
  const [before, behind] = [text.slice(Math.max(start - 2, 0), start), text.slice(end, end + 2)];
  return LETTER_AT_END.test(before) || LETTER_AT_START.test(behind);
}
