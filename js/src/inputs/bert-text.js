/** Texts as BERT reads them: cleaned, without accents, in lower case, and split into words. Knows no vocabulary. */

/**
 * What becomes of a text, and for each UTF-16 unit of it where the character that it was made of begins.
 *
 * @typedef {{text: string, origins: readonly number[]}} NormalizedText
 */

/**
 * The BertNormalizer of a tokenizer.json; accents are stripped as `lowercase` says where `strip_accents` is null.
 *
 * @typedef {object} Settings
 * @property {boolean} clean_text
 * @property {boolean} handle_chinese_chars
 * @property {boolean | null} strip_accents
 * @property {boolean} lowercase
 */

// The library `tokenizers` knows the marks, signs and controls of Unicode 8; these are later, or have changed since.
// Letters among them make no difference, so that few ranges are enough, which later versions of Unicode fill up.
const LATER =
  "[\\u061d\\u07fd\\u0890-\\u08e2\\u09fd\\u09fe\\u0a76\\u0afa-\\u0aff\\u0b53-\\u0b55\\u0c04-\\u0c3c\\u0c77\\u0c84\\u0d00" +
  "\\u0d3b\\u0d3c\\u0d81\\u0eba\\u0ece\\u180f-\\u1886\\u1abf-\\u1aeb\\u1b4e\\u1b4f\\u1b7d-\\u1b7f\\u1df6-\\u1dfb" +
  "\\u2e43-\\u2e5d\\ua82c\\ua8c5\\ua8ff\\ua9bd\\u{105c9}-\\u{105e4}\\u{10d24}-\\u{10f89}\\u{11070}-\\u{11074}" +
  "\\u{110c2}-\\u{110cd}\\u{111c9}\\u{111cf}\\u{1123e}-\\u{11241}\\u{1133b}\\u{11383}-\\u{1145e}" +
  "\\u{11660}-\\u{1166c}\\u{116b9}\\u{1182f}-\\u{11fff}\\u{12ff1}-\\u{1612f}\\u{16d68}-\\u{16f4f}" +
  "\\u{16fe2}-\\u{16fe4}\\u{1cf00}-\\u{1cf46}\\u{1e000}-\\u{1e6f5}\\u{1e944}-\\u{1e95f}]";
const IS_LATER = new RegExp(LATER, "u");

const CONTROL = new RegExp(`(?![\\t\\n\\r]|${LATER})[\\p{Cc}\\p{Cf}\\p{Co}]|\\ufffd`, "u");
const BLANK = /\p{White_Space}/u;
const MARK = /[\p{Mn}\u1734\u{1171e}]/gu;
const CHINESE = new RegExp(
  "[\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff\\u{20000}-\\u{2a6df}" +
    "\\u{2a700}-\\u{2b81f}\\u{2b920}-\\u{2ceaf}\\u{2f800}-\\u{2fa1f}]",
  "u",
);
const END_OF_WORD = new RegExp(`(\\p{White_Space})|[!-/:-@[-\`{-~\\u166d\\u{111c9}]|(?!${LATER})\\p{P}`, "gu");

/**
 * Returns the function that makes of a text, which stands at a place of another, what BERT's vocabulary is made for.
 *
 * It does what the library's BertNormalizer does, character by character.
 *
 * @param {Settings} settings
 * @returns {(text: string, start?: number) => NormalizedText}
 */
export function normalizer(settings) {
  /** @type {string[]} */
  const known = [];
  /** @param {string} character */
  const normalized = (character) => {
    if (character.length > 1) return normalizedCharacter(character, settings);
    return (known[character.charCodeAt(0)] ??= normalizedCharacter(character, settings));
  };

  return (text, start = 0) => {
    let made = "";
    const origins = [];
    for (const character of text) {
      const part = normalized(character);
      made += part;
      for (let unit = 0; unit < part.length; unit++) origins.push(start);
      start += character.length;
    }
    return { text: made, origins };
  };
}

/** @param {string} character @param {Settings} settings */
function normalizedCharacter(character, { clean_text, handle_chinese_chars, strip_accents, lowercase }) {
  if (clean_text && CONTROL.test(character)) return "";
  if (clean_text && BLANK.test(character)) return " ";
  let made = character;
  if ((strip_accents ?? lowercase) && !IS_LATER.test(character)) made = character.normalize("NFD").replace(MARK, "");
  if (lowercase) made = made.toLowerCase();
  return handle_chinese_chars && CHINESE.test(character) ? ` ${made} ` : made;
}

/**
 * Yields where words and signs of punctuation, each of which is a word too, begin and end in a normalized text.
 *
 * @param {string} text
 * @returns {Generator<[start: number, end: number]>}
 */
export function* wordsOf(text) {
  let start = 0;
  for (const { index, 0: found, 1: blank } of text.matchAll(END_OF_WORD)) {
    if (start < index) yield [start, index];
    start = index + found.length;
    if (!blank) yield [index, start];
  }
  if (start < text.length) yield [start, text.length];
}
