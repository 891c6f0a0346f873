/** Texts as the pieces of words in BERT's vocabulary, exactly as the library `tokenizers` reads its tokenizer.json. */

import { partsWith } from "./added-tokens.js";
import { normalizer, wordsOf } from "./bert-text.js";
import { flag, integer, list, mapOf, nullable, object, oneOf, quoted, record, refuse, text } from "./records.js";
import { joiner } from "./word-piece-decoder.js";

/** @typedef {import("./tokens.js").Pieces} Pieces */
/** @typedef {import("./tokens.js").Span} Span */
/** @typedef {ReturnType<typeof wordPieceFile>} WordPieceFile */

/**
 * A token and where it stands.
 *
 * @typedef {{id: number, start: number, end: number}} Piece
 */

const id = integer(0, 2 ** 31 - 1);

/**
 * Returns what a tokenizer.json of BERT's kind says, or throws an error that names what in it is unknown.
 *
 * How it truncates, pads and adds special tokens is not looked at.
 */
export const wordPieceFile = record(
  {
    version: oneOf("1.0"),
    truncation: nullable(object),
    padding: nullable(object),
    added_tokens: list(
      record({ id, content: text, single_word: flag, lstrip: flag, rstrip: flag, normalized: flag, special: flag }),
    ),
    normalizer: record({
      type: oneOf("BertNormalizer"),
      clean_text: flag,
      handle_chinese_chars: flag,
      strip_accents: nullable(flag),
      lowercase: flag,
    }),
    pre_tokenizer: record({ type: oneOf("BertPreTokenizer") }),
    post_processor: object,
    decoder: nullable(record({ type: oneOf("WordPiece"), prefix: text, cleanup: flag })),
    model: record({
      type: oneOf("WordPiece"),
      unk_token: text,
      continuing_subword_prefix: text,
      max_input_chars_per_word: integer(0),
      vocab: mapOf(id, text),
    }),
  },
  ({ added_tokens: added, normalizer: settings, model: { vocab, unk_token } }, path) => {
    if (!Object.hasOwn(vocab, unk_token)) refuse(`expected ${quoted(unk_token)} in the vocabulary`, `${path}.model`);
    // The library numbers added tokens itself, whatever the file says.
    let next = Object.keys(vocab).length;
    for (const token of added) {
      const expected = Object.hasOwn(vocab, token.content) ? vocab[token.content] : next++;
      const isRight = token.id === expected;
      if (!isRight) refuse(`expected the id ${expected} of ${quoted(token.content)}`, `${path}.added_tokens`);
    }

    const normalize = normalizer(settings);
    const names = added.map(({ content, normalized }) => (normalized ? normalize(content).text : content));
    const isClear = names.every(Boolean) && new Set(names).size === names.length;
    if (!isClear) refuse("expected added tokens that differ to the normalizer", `${path}.added_tokens`);
  },
);

/** Reads texts with the vocabulary of a tokenizer.json of BERT's kind. */
export class WordPiece {
  #asWritten;
  #normalize;
  #asNormalized;
  #model;
  #vocabulary;
  #added;
  /** @type {Map<number, string> | undefined} */
  #names;

  /** @param {WordPieceFile} file */
  constructor({ added_tokens: added, normalizer: settings, model: { vocab, ...model }, decoder }) {
    this.#normalize = normalizer(settings);
    /** @type {(isNormalized: boolean) => typeof added} */
    const those = (isNormalized) => added.filter(({ normalized }) => normalized === isNormalized);
    this.#asWritten = partsWith(those(false).map((token) => [token.content, token]));
    this.#asNormalized = partsWith(those(true).map((token) => [this.#normalize(token.content).text, token]));
    this.#model = model;
    this.#vocabulary = new Map(Object.entries(vocab));
    this.#added = added;
    this.unknown = vocab[model.unk_token];
    this.marksInnerTokens = model.continuing_subword_prefix !== "";
    this.joined = joiner(decoder);
  }

  /**
   * Returns the tokens of a text without special ones, at least the first `most` if it has so many.
   *
   * Their places count UTF-16 units, so that `text.slice(start, end)` is the part; the Python side counts characters,
   * of which those above U+FFFF have two units. Of a character that becomes several tokens each has all of it.
   *
   * @param {string} text
   * @param {number} [most]
   */
  pieces(text, most = Infinity) {
    /** @type {{ids: number[], offsets: Span[], words: number[]}} */
    const found = { ids: [], offsets: [], words: [] };
    let word = 0;
    for (const pieces of this.#words(text)) {
      for (const { id, start, end } of pieces) {
        found.ids.push(id);
        found.offsets.push([start, end]);
        found.words.push(word);
      }
      if (found.ids.length >= most) break;
      word++;
    }
    return found;
  }

  /** Returns what a token is called, such as ##ing; "" if there is none. @param {number} id */
  nameOf(id) {
    this.#names ??= new Map([
      ...[...this.#vocabulary].map(([name, one]) => /** @type {const} */ ([one, name])),
      ...this.#added.map((token) => /** @type {const} */ ([token.id, token.content])),
    ]);
    return this.#names.get(id) ?? "";
  }

  /** Yields the tokens of each word, and each added token. @param {string} text @returns {Generator<Piece[]>} */
  *#words(text) {
    for (const part of this.#asWritten(text)) {
      if (part.id !== undefined) yield [{ ...part, id: part.id }];
      else yield* this.#wordsOfPart(text, part);
    }
  }

  /** @param {string} text @param {import("./added-tokens.js").TextPart} part @returns {Generator<Piece[]>} */
  *#wordsOfPart(text, { start, end }) {
    const { text: made, origins } = this.#normalize(text.slice(start, end), start);
    /** @type {(piece: Piece) => Piece} */
    const inText = (piece) => {
      const last = origins[piece.end - 1];
      const units = Number(text.codePointAt(last)) > 0xffff ? 2 : 1;
      return { id: piece.id, start: origins[piece.start], end: last + units };
    };

    for (const part of this.#asNormalized(made)) {
      if (part.id !== undefined) {
        yield [inText({ ...part, id: part.id })];
        continue;
      }
      for (const [from, to] of wordsOf(made.slice(part.start, part.end))) {
        yield this.#split(made, part.start + from, part.start + to).map(inText);
      }
    }
  }

  /**
   * Returns a word in its longest known pieces, from its start on; as one unknown token where there are none.
   *
   * @param {string} text @param {number} start @param {number} end
   */
  #split(text, start, end) {
    const { max_input_chars_per_word: most, continuing_subword_prefix: prefix } = this.#model;
    const whole = [{ id: this.unknown, start, end }];
    const isTooLong = end - start > most && [...text.slice(start, end)].length > most;
    if (isTooLong) return whole;

    const found = [];
    for (let from = start; from < end; from = found[found.length - 1].end) {
      const piece = this.#longest(text, from, end, from > start ? prefix : "");
      if (!piece) return whole;
      found.push(piece);
    }
    return found;
  }

  /** @param {string} text @param {number} start @param {number} end @param {string} prefix */
  #longest(text, start, end, prefix) {
    for (; end > start; end--) {
      const id = this.#vocabulary.get(prefix + text.slice(start, end));
      if (id !== undefined) return { id, start, end };
    }
    return undefined;
  }
}
