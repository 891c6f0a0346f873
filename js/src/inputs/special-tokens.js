/** Where special tokens stand around a text or a pair, as the post-processor of a tokenizer.json has them. */

import { BundleError } from "../errors.js";
import { listed } from "./records.js";

/**
 * A part of what a text becomes, with its segment: special tokens, or the tokens of the first (0) or second (1) text.
 *
 * @typedef {{type: number, ids: number[], text?: undefined} | {type: number, text: number, ids?: undefined}}
 *   TemplatePart
 */

const NAMES = ["A", "B"];
const ADVICE = "export the bundle again";

/** What each kind of post-processor puts around a text, and around a pair. @type {Record<string, (one: any) => any>} */
const TEMPLATES = {
  TemplateProcessing({ single, pair, special_tokens: known }) {
    /** @param {any} part @returns {TemplatePart} */
    const read = ({ SpecialToken: special, Sequence: sequence }) =>
      special
        ? { ids: known[special.id].ids, type: special.type_id }
        : { text: NAMES.indexOf(sequence.id), type: sequence.type_id };
    return [single.map(read), pair.map(read)];
  },
  BertProcessing: ({ cls: [, first], sep: [, last] }) => around([first], [last], [], 1),
  RobertaProcessing: ({ cls: [, first], sep: [, last] }) => around([first], [last], [last], 0),
};

/**
 * Returns what a single text and a pair become.
 *
 * @param {any} processor the post_processor of a tokenizer.json
 * @returns {[single: TemplatePart[], pair: TemplatePart[]]}
 * @throws {BundleError} it is of an unknown kind, or does not have each text once
 */
export function templatesOf(processor) {
  const kinds = inside(processor).filter(({ type }) => type !== "ByteLevel"); // which adds no tokens
  if (kinds.length !== 1 || !Object.hasOwn(TEMPLATES, kinds[0].type)) {
    const found = listed(kinds.map(({ type }) => type)) || "none";
    const expected = `expected a post-processor of ${Object.keys(TEMPLATES).join(", ")}`;
    throw new BundleError(`${expected}, found ${found}; ${ADVICE}`);
  }
  const templates = TEMPLATES[kinds[0].type](kinds[0]);
  checkTexts(templates[0], "single", ["A"]);
  checkTexts(templates[1], "pair", NAMES);
  return templates;
}

/** @param {number[]} first @param {number[]} last @param {number[]} between @param {number} type of the second text */
function around(first, last, between, type) {
  const single = [{ ids: first, type: 0 }, { text: 0, type: 0 }, { ids: last, type: 0 }];
  return [single, [...single, { ids: between, type }, { text: 1, type }, { ids: last, type }]];
}

/** @param {any} processor @returns {any[]} */
function inside(processor) {
  return processor?.type === "Sequence" ? processor.processors.flatMap(inside) : [processor ?? { type: "none" }];
}

/** @param {TemplatePart[]} template @param {string} name @param {string[]} expected */
function checkTexts(template, name, expected) {
  const found = template.flatMap(({ text }) => (text === undefined ? [] : (NAMES[text] ?? "another"))).sort();
  if (found.join() === expected.join()) return;
  const wanted = `expected each text once in the tokenizer's template for a ${name}`;
  throw new BundleError(`${wanted}, found ${listed(found) || "none"}; ${ADVICE}`);
}
