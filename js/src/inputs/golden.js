/** The golden texts of a bundle, and the outputs that every device must compute for them. */

import { BundleError } from "../errors.js";
import { graphInput } from "./manifest.js";
import {
  decode,
  integer,
  line,
  list,
  listed,
  mapOf,
  number,
  oneOf,
  positive,
  quoted,
  record,
  refuse,
  text,
} from "./records.js";

const VERSION = 2;

/** @typedef {ReturnType<typeof goldenFile>} Golden */
/** @typedef {ReturnType<typeof goldenValues>} GoldenValues */

const goldenValues = record(
  { name: line, shape: list(integer(1), 1), values: list(number()), tolerance: positive },
  ({ name, shape, values }, path) => {
    const size = shape.reduce((product, one) => product * one, 1);
    if (size !== values.length) refuse(`expected ${size} values of ${quoted(name)}, found ${values.length}`, path);
  },
);

const goldenFile = record(
  {
    schema_version: oneOf(VERSION),
    texts: list(text),
    inputs: mapOf(list(list(integer(0, 2 ** 31 - 1))), graphInput),
    outputs: list(record({ id: line, values: list(goldenValues) })),
  },
  ({ texts, inputs }, path) => {
    const shapes = Object.values(inputs).flatMap((rows) => rows.map((row) => `${rows.length} x ${row.length}`));
    const isWhole = new Set(shapes).size === 1 && inputs.input_ids?.length === texts.length;
    if (!isWhole) refuse(`expected rows of one length for each of ${texts.length} texts`, path);
  },
);

/**
 * Returns what golden.json says: texts, the graph inputs (texts, length) that they become, and for each sub-network the
 * values that its outputs must have, flat, row by row.
 *
 * Throws a BundleError for another version, a key or value that cannot be, and if one of the `inputs` is not there.
 * @param {Uint8Array} bytes @param {string} name @param {readonly string[]} inputs @returns {Golden}
 */
export function readGolden(bytes, name, inputs) {
  const found = decode(bytes, goldenFile, VERSION, name, BundleError);
  const missing = inputs.filter((one) => !Object.hasOwn(found.inputs, one));
  if (!missing.length) return found;
  const reason = `expected inputs ${listed(inputs)}, found no ${listed(missing)}`;
  throw new BundleError(`${name}: ${reason}; export the bundle again`);
}
