/** The text that names of tokens stand for, as the decoder of a tokenizer.json joins them. */

import { BundleError } from "../errors.js";

// What the `tokenizers` library puts together again, in its order.
const CLEANED = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/**
 * Returns the function that joins names of tokens to a text: words with blanks, and what continues a word to it.
 *
 * @param {{type: string, prefix?: string, cleanup?: boolean} | null} decoder that of a tokenizer.json
 * @returns {(names: readonly string[]) => string}
 * @throws {BundleError} it is of another kind than WordPiece
 */
export function joiner(decoder) {
  if (decoder === null) return (names) => names.join(" ");
  const { type, prefix = "##", cleanup = true } = decoder;
  if (type !== "WordPiece") {
    throw new BundleError(`expected a decoder of type WordPiece in the tokenizer, found ${type}; use another bundle`);
  }
  const spaced = (/** @type {string} */ name) => (name.startsWith(prefix) ? name.slice(prefix.length) : ` ${name}`);
  return (names) => {
    const parts = names.map((name, place) => (place ? spaced(name) : name));
    return (cleanup ? parts.map(cleaned) : parts).join("");
  };
}

/** @param {string} part */
function cleaned(part) {
  return CLEANED.reduce((text, [from, to]) => text.replaceAll(from, to), part);
}
