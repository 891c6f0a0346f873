/**
 * Finds which parts of which files an ONNX graph refers into, so that nothing unverified is ever opened.
 *
 * Reads protobuf only in the form in which its serializers write what edgebert exports: known fields in the order of
 * their numbers, those that are no lists once, numbers in their shortest form. Parsers read anything else in more than
 * one way, so a graph that has any of it is refused.
 */

import { BundleError } from "../errors.js";
import { listed, quoted } from "./records.js";

// Twenty times the largest graph that was ever exported.
const MOST_BYTES = 2 ** 22;

// How a field is written: the lower three bits of its tag. The others are its number in onnx.proto.
const VARINT = 0;
const FIXED64 = 1;
const COUNTED = 2;
const FIXED32 = 5;

/**
 * The tags of the fields that a message may have, and whether it may have several of one.
 * @typedef {Map<number, boolean>} Known
 */

/**
 * The tag of a field, and where its content starts and stops.
 * @typedef {[tag: number, start: number, stop: number]} Field
 */

/**
 * The bytes of a file from `start` on, `size` of them.
 * @typedef {{file: string, start: number, size: number}} Reference
 */

class Refusal extends Error {}

function tagOf(/** @type {number} */ number, wire = COUNTED) {
  return (number << 3) | wire;
}

/** The numbers of fields, by how they are written. @typedef {Record<number, number[]>} Numbers */

/** Returns the fields that stand once and those that may stand several times. @returns {Known} */
function message(/** @type {Numbers} */ one, /** @type {Numbers} */ several = {}) {
  const entries = [one, several].flatMap((numbers, place) =>
    Object.entries(numbers).flatMap(([wire, all]) => all.map((each) => [tagOf(each, Number(wire)), place === 1])),
  );
  return new Map(/** @type {[number, boolean][]} */ (entries));
}

// Versions, names, the graph and operator sets. Not metadata, in which ONNX Runtime may look for settings of sessions,
// nor functions and what is for training, which hold graphs of their own.
const MODEL = message({ [VARINT]: [1, 5], [COUNTED]: [2, 3, 4, 6, 7] }, { [COUNTED]: [8] });
// A name, nodes, initializers, and what describes values. Neither sparse initializers nor annotations.
const GRAPH = message({ [COUNTED]: [2, 10] }, { [COUNTED]: [1, 5, 11, 12, 13] });
const NODE = message({ [COUNTED]: [3, 4, 6, 7] }, { [COUNTED]: [1, 2, 5] });
// A number, a text, a tensor, or a list of numbers or texts. No graphs, in which all of this might stand again.
const ATTRIBUTE = message(
  { [COUNTED]: [1, 4, 5, 13], [FIXED32]: [2], [VARINT]: [3, 20] },
  { [FIXED32]: [7], [VARINT]: [8], [COUNTED]: [9] },
);
const TENSOR = message(
  { [VARINT]: [2], [COUNTED]: [8, 9, 12] },
  { [VARINT]: [1], [COUNTED]: [4, 5, 6, 7, 10, 11] },
);
// Of all tensors initializers alone may lie in another file.
const INITIALIZER = new Map([...TENSOR, [tagOf(14, VARINT), false], [tagOf(13), true]]);
const ENTRY = message({ [COUNTED]: [1, 2] });

const MODEL_GRAPH = tagOf(7);
const GRAPH_NODE = tagOf(1);
const GRAPH_INITIALIZER = tagOf(5);
const NODE_OPERATOR = tagOf(4);
const NODE_ATTRIBUTE = tagOf(5);
const ATTRIBUTE_TENSOR = tagOf(5);
const EXTERNAL_DATA = tagOf(13);
const DATA_LOCATION = tagOf(14, VARINT);
const EXTERNAL = 1; // of the values of data_location
const ENTRY_KEY = tagOf(1);
const ENTRY_VALUE = tagOf(2);
// The one operator of ONNX Runtime that opens a file: what a provider has compiled.
const COMPILED = new TextEncoder().encode("EPContext");

/**
 * Returns everything that the external data of a serialised ONNX model refers to; `name` says whose bytes they are.
 *
 * Throws a BundleError if the bytes are no ONNX model as edgebert writes them.
 * @param {Uint8Array} graph @param {string} name
 */
export function references(graph, name) {
  try {
    if (graph.length > MOST_BYTES) throw new Refusal(`${graph.length} bytes, where ${MOST_BYTES} are the most`);
    return [...referencesOf(graph)];
  } catch (problem) {
    if (!(problem instanceof Refusal)) throw problem;
    const advice = "do not use this bundle unless you trust where it comes from; export it again";
    throw new BundleError(`${name}: expected an ONNX graph as edgebert writes it, found ${problem.message}; ${advice}`);
  }
}

/** @param {Uint8Array} data */
function* referencesOf(data) {
  for (const [tag, start, stop] of fields(data, 0, data.length, MODEL)) {
    if (tag !== MODEL_GRAPH) continue;
    for (const [part, first, last] of fields(data, start, stop, GRAPH)) {
      if (part === GRAPH_NODE) checkNode(data, first, last);
      else if (part === GRAPH_INITIALIZER) yield* reference(data, first, last);
    }
  }
}

/** @param {Uint8Array} data @param {number} start @param {number} stop */
function checkNode(data, start, stop) {
  for (const [tag, first, last] of fields(data, start, stop, NODE)) {
    const isOperator = tag === NODE_OPERATOR && last - first === COMPILED.length;
    if (isOperator && COMPILED.every((byte, place) => data[first + place] === byte)) {
      throw new Refusal("an operator EPContext");
    }
    if (tag !== NODE_ATTRIBUTE) continue;
    for (const [part, begin, end] of fields(data, first, last, ATTRIBUTE)) {
      if (part === ATTRIBUTE_TENSOR) for (const _ of fields(data, begin, end, TENSOR));
    }
  }
}

/**
 * Yields where an initializer lies, if that is outside.
 * @param {Uint8Array} data @param {number} start @param {number} stop @returns {Generator<Reference>}
 */
function* reference(data, start, stop) {
  /** @type {Map<string, string>} */
  const entries = new Map();
  let location = 0;
  for (const [tag, first, last] of fields(data, start, stop, INITIALIZER)) {
    if (tag === DATA_LOCATION) [location] = varint(data, first, last);
    if (tag !== EXTERNAL_DATA) continue;
    const [key, value] = entry(data, first, last);
    if (entries.has(key)) throw new Refusal(`the ${quoted(key)} of a tensor twice`);
    entries.set(key, value);
  }
  if (!entries.size && !location) return;
  // ONNX Runtime knows other keys too, among them places of weights that were packed before.
  const isPlace = location === EXTERNAL && [...entries.keys()].sort().join() === "length,location,offset";
  if (!isPlace) throw new Refusal(`a tensor at location ${location} with ${listed([...entries.keys()]) || "nothing"}`);
  const [file, from, size] = ["location", "offset", "length"].map((key) => /** @type {string} */ (entries.get(key)));
  yield { file, start: placeOf(from), size: placeOf(size) };
}

/** Returns the key and the value of an entry. @param {Uint8Array} data @param {number} start @param {number} stop */
function entry(data, start, stop) {
  const texts = new Map();
  for (const [tag, first, last] of fields(data, start, stop, ENTRY)) {
    texts.set(tag, decodeText(data.subarray(first, last)));
  }
  if (texts.size !== ENTRY.size) throw new Refusal("an entry that lacks a key or a value");
  return [texts.get(ENTRY_KEY), texts.get(ENTRY_VALUE)];
}

function decodeText(/** @type {Uint8Array} */ bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Refusal("text that is no UTF-8");
  }
}

/** Returns a number in the one form in which it can be read in one way only. @param {string} text */
function placeOf(text) {
  if (!/^(0|[1-9][0-9]{0,17})$/.test(text)) throw new Refusal(`the place ${quoted(text)}`);
  return Number(text);
}

/**
 * Yields every field of a message.
 * @param {Uint8Array} data @param {number} at @param {number} end @param {Known} known @returns {Generator<Field>}
 */
function* fields(data, at, end, known) {
  let before = 0;
  while (at < end) {
    const [tag, behind] = varint(data, at, end);
    if (!known.has(tag) || tag < before || (tag === before && !known.get(tag))) {
      throw new Refusal(`a field ${Math.floor(tag / 8)} in form ${tag % 8} at byte ${at}`);
    }
    before = tag;
    const [start, stop] = contentOf(data, tag & 7, behind, end);
    if (stop > end) throw new Refusal(`${end - start} bytes of ${stop - start} at byte ${start}`);
    yield [tag, start, stop];
    at = stop;
  }
}

/**
 * Returns where the content of a field starts and stops.
 * @param {Uint8Array} data @param {number} wire @param {number} at @param {number} end
 */
function contentOf(data, wire, at, end) {
  if (wire === VARINT) return [at, varint(data, at, end)[1]];
  if (wire !== COUNTED) return [at, at + (wire === FIXED64 ? 8 : 4)];
  const [size, start] = varint(data, at, end);
  return [start, start + size];
}

/**
 * Returns the number that starts at a position, and the position behind it.
 * @param {Uint8Array} data @param {number} at @param {number} end
 */
function varint(data, at, end) {
  // Seven bits a byte, the lowest first, of at most 64; the eighth says that more follow. Above 2^53 the value is
  // rounded, which is as well: no tag, size or location is so large.
  let value = 0;
  for (let place = 0; place < 10 && at + place < end; place++) {
    const byte = data[at + place];
    value += (byte & 127) * 2 ** (7 * place);
    if (byte > 127) continue;
    if ((byte === 0 && place > 0) || (place === 9 && byte > 1)) break;
    return [value, at + place + 1];
  }
  throw new Refusal(`no number at byte ${at}`);
}
