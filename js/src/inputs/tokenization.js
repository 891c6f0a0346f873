/** Text to token ids and padded graph inputs, with a bundle's tokenizer. Knows nothing about networks. */

import { BundleError, EdgeBertError } from "../errors.js";
import { quoted } from "./records.js";
import { templatesOf } from "./special-tokens.js";
import { checkedText } from "./tokens.js";
import { WordPiece, wordPieceFile } from "./word-piece.js";

/** @typedef {import("./tokens.js").Pieces} Pieces */
/** @typedef {import("./tokens.js").Span} Span */
/** @typedef {import("./tokens.js").Text} Text */
/** @typedef {import("./tokens.js").Tokenizer} Tokenizer */
/** @typedef {import("./tokens.js").Tokens} Tokens */

/**
 * What reads whole texts, without special tokens.
 *
 * @typedef {object} Reader
 * @property {(text: string, most?: number) => Pieces} pieces at least the first `most` tokens, if there are so many
 * @property {number | undefined} unknown
 * @property {boolean} marksInnerTokens
 * @property {(id: number) => string} nameOf
 * @property {(names: readonly string[]) => string} joined
 */

/**
 * The package @huggingface/tokenizers, or what has a class like its `Tokenizer`.
 *
 * @typedef {{Tokenizer: new (file: any, config: any) => OtherTokenizer}} Tokenizers
 */

/**
 * @typedef {object} OtherTokenizer
 * @property {(text: string, options: {add_special_tokens: boolean}) => {ids: number[]}} encode
 * @property {(id: number) => string | undefined} id_to_token
 * @property {{decode: (names: string[]) => string} | null} decoder
 */

/**
 * An array of int64, row after row, and its shape.
 *
 * @typedef {{data: BigInt64Array, dims: readonly [batch: number, length: number]}} Int64Array
 */

// Not written into the import, so that those who build a page need not have it.
const PACKAGE = "@huggingface/tokenizers";
const ADVICE = "export the bundle again";

/**
 * Returns the tokenizer of a bundle: edgebert's own for BERT's WordPiece, which tells where tokens stand, and for
 * others that of @huggingface/tokenizers, which does not.
 *
 * @param {string} content of tokenizer.json
 * @param {{max_length: number, pairs: boolean}} manifest
 * @param {Tokenizers} [tokenizers] that package, where it cannot be found by its name
 * @returns {Promise<Tokenizer>}
 * @throws {BundleError} the file cannot be read, or the package is needed and not there
 */
export async function tokenizerOf(content, manifest, tokenizers) {
  try {
    const file = JSON.parse(content);
    return new BundleTokenizer(await readerOf(file, tokenizers), file, manifest);
  } catch (problem) {
    if (problem instanceof EdgeBertError) throw problem;
    const reason = quoted(problem instanceof Error ? problem.message : problem);
    throw new BundleError(`the tokenizer cannot be read: ${reason}; ${ADVICE}`, { cause: problem });
  }
}

/** @param {any} file @param {Tokenizers} [tokenizers] @returns {Promise<Reader>} */
async function readerOf(file, tokenizers) {
  try {
    return new WordPiece(wordPieceFile(file, "$"));
  } catch (problem) {
    const { Tokenizer } = tokenizers ?? (await found(/** @type {Error} */ (problem).message));
    return otherReader(new Tokenizer(file, {}));
  }
}

/** @param {string} reason @returns {Promise<Tokenizers>} */
async function found(reason) {
  try {
    return await import(/* webpackIgnore: true */ /* @vite-ignore */ PACKAGE);
  } catch {
    const advice = `install the package ${PACKAGE}, or pass it as tokenizers`;
    throw new BundleError(`no tokenizer for this bundle: its tokenizer.json is no BERT's (${reason}); ${advice}`);
  }
}

/** @param {OtherTokenizer} tokenizer @returns {Reader} */
function otherReader(tokenizer) {
  return {
    pieces(text) {
      const { ids } = tokenizer.encode(text, { add_special_tokens: false });
      return { ids, words: [...ids.keys()] };
    },
    unknown: undefined,
    marksInnerTokens: false,
    nameOf: (id) => tokenizer.id_to_token(id) ?? "",
    joined: (names) => tokenizer.decoder?.decode([...names]) ?? names.join(" "),
  };
}

/**
 * Cuts what a reader finds in texts at a bundle's longest input, and puts special tokens around it.
 *
 * @implements {Tokenizer}
 */
class BundleTokenizer {
  #reader;
  #templates;
  #pairs;
  #isCutLeft;

  /** @param {Reader} reader @param {any} file @param {{max_length: number, pairs: boolean}} manifest */
  constructor(reader, file, { max_length: maxLength, pairs }) {
    this.#reader = reader;
    this.#templates = templatesOf(file.post_processor);
    this.#pairs = pairs;
    this.#isCutLeft = file.truncation?.direction === "Left";
    this.maxLength = maxLength;
    this.unknown = reader.unknown;
    this.marksInnerTokens = reader.marksInnerTokens;
    if (this.#room(1) >= 0 && (!pairs || this.#room(2) >= 0)) return;
    const reason = `the tokenizer adds more special tokens than the ${maxLength} that a text may have`;
    throw new BundleError(`${reason}; ${ADVICE}`);
  }

  /** Returns the tokens of a text or a pair, cut at `maxLength`, of a pair the longer text first. @param {Text} text */
  encode(text) {
    const texts = checkedText(text);
    const room = this.#room(texts.length);
    // What is behind the last token that is kept need not be read ...
    const most = this.#isCutLeft ? Infinity : room;
    let parts = texts.map((one) => this.#reader.pieces(one, most));
    // ... unless it says which text of a pair is the longer, which keeps the odd token.
    const isTied = texts.length > 1 && parts.every(({ ids }) => ids.length >= room);
    if (isTied && room % 2) parts = texts.map(this.pieces, this);

    const counts = longestFirst(parts.map(({ ids }) => ids.length), room);
    return this.withEnds(parts.map((part, at) => cut(part, counts[at], this.#isCutLeft)));
  }

  /** Returns all tokens of a text, without special ones. @param {string} text */
  pieces(text) {
    return this.#reader.pieces(text);
  }

  /**
   * Returns the tokens of a text or a pair with the special ones.
   *
   * @param {readonly Pieces[]} texts
   * @returns {Tokens}
   */
  withEnds(texts) {
    const last = texts.length - 1;
    /** @type {{ids: number[], types: number[], offsets: (Span | null)[]}} */
    const found = { ids: [], types: [], offsets: [] };
    for (const { text, ids, type } of this.#template(texts.length)) {
      const those = text === undefined ? ids : texts[text].ids;
      const offsets = text === last ? texts[text].offsets : undefined;
      those.forEach((id, place) => {
        found.ids.push(id);
        found.types.push(type);
        found.offsets.push(offsets?.[place] ?? null);
      });
    }
    return texts[last].offsets ? found : { ids: found.ids, types: found.types };
  }

  /** Returns what a token is called, such as ##ing; "" if there is none. @param {number} id */
  nameOf(id) {
    return this.#reader.nameOf(id);
  }

  /** Returns the text that names of tokens stand for. @param {readonly string[]} names */
  joined(names) {
    return this.#reader.joined(names);
  }

  /** @param {number} texts how many there are */
  #template(texts) {
    if (texts === 1 || this.#pairs) return this.#templates[texts - 1];
    const found = "found a pair, which this bundle was not exported for";
    throw new EdgeBertError(`expected single texts, ${found}; give one text`);
  }

  /** Returns how many tokens of texts are kept. @param {number} texts how many there are */
  #room(texts) {
    const special = this.#template(texts).map(({ ids }) => ids?.length ?? 0);
    return special.reduce((left, one) => left - one, this.maxLength);
  }
}

/**
 * Returns how many tokens texts keep of `most`: of two the longer one is cut until both are equal, then both.
 *
 * @param {readonly number[]} counts of one text or two
 * @param {number} most
 */
function longestFirst([first, second = 0], most) {
  if (first + second <= most) return [first, second];
  const shorter = Math.min(first, second, Math.floor(most / 2));
  return first <= second ? [shorter, most - shorter] : [most - shorter, shorter];
}

/** @param {Pieces} pieces @param {number} count @param {boolean} isCutLeft @returns {Pieces} */
function cut({ ids, offsets, words }, count, isCutLeft) {
  const start = isCutLeft ? ids.length - count : 0;
  /** @template T @param {readonly T[]} all */
  const kept = (all) => all.slice(start, start + count);
  return { ids: kept(ids), offsets: offsets && kept(offsets), words: kept(words) };
}

/**
 * Returns the named graph inputs, each (batch, length) int64, padded with 0.
 *
 * The length is that of the longest text, or the next of the given ones, if there is one.
 *
 * @param {readonly Tokens[]} batch
 * @param {readonly string[]} names of input_ids, attention_mask and token_type_ids
 * @param {readonly number[]} [lengths]
 * @returns {Record<string, Int64Array>}
 */
export function pad(batch, names, lengths = []) {
  const longest = Math.max(...batch.map(({ ids }) => ids.length));
  const enough = lengths.filter((length) => length >= longest);
  const length = enough.length ? Math.min(...enough) : longest;
  return Object.fromEntries(names.map((name) => {
    const data = new BigInt64Array(batch.length * length);
    batch.forEach((tokens, row) => data.set(column(tokens, name).map(BigInt), row * length));
    return [name, { data, dims: [batch.length, length] }];
  }));
}

/** @param {Tokens} tokens @param {string} name of a graph's input @returns {readonly number[]} */
function column({ ids, types }, name) {
  if (name === "input_ids") return ids;
  return name === "token_type_ids" ? types : ids.map(() => 1);
}

/**
 * Checks that the golden texts become the golden inputs here, as they did where the bundle was made.
 *
 * @param {Tokenizer} tokenizer
 * @param {{texts: readonly string[], inputs: Readonly<Record<string, readonly (readonly number[])[]>>}} golden
 * @throws {BundleError} they do not; the message names the first text and token that differ
 */
export function checkGolden(tokenizer, { texts, inputs }) {
  texts.forEach((text, row) => {
    const tokens = tokenizer.encode(text);
    for (const [name, rows] of Object.entries(inputs)) checkRow(name, column(tokens, name), rows[row], text, tokenizer);
  });
}

/**
 * @param {string} name of a graph's input
 * @param {readonly number[]} found
 * @param {readonly number[]} expected padded with 0
 * @param {string} text
 * @param {Tokenizer} tokenizer
 */
function checkRow(name, found, expected, text, tokenizer) {
  const all = found.length > expected.length ? found : expected;
  const place = all.findIndex((_, at) => (found[at] ?? 0) !== (expected[at] ?? 0));
  if (place < 0) return;
  const [wanted, ours] = [expected, found].map(({ [place]: value = 0 }) =>
    name === "input_ids" ? `token ${value} (${quoted(tokenizer.nameOf(value))})` : `${name} ${value}`,
  );
  const reason = `expected ${wanted} at place ${place} of the golden text ${quoted(text)}, found ${ours}`;
  throw new BundleError(`the tokenizer reads texts otherwise than where the bundle was made: ${reason}; ${ADVICE}`);
}
