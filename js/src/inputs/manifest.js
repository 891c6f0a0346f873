/** What bundle.json says: the files of a bundle, its sub-networks, and what is known of them. */

import { BundleError } from "../errors.js";
import { sha256Of } from "./hashing.js";
import {
  decode,
  flag,
  integer,
  line,
  list,
  listed,
  mapOf,
  nullable,
  number,
  oneOf,
  quoted,
  record,
  refuse,
  sha256,
  text,
} from "./records.js";

export const MANIFEST = "bundle.json";
const VERSION = 8;
/** The most bytes of a file that is held in memory as a whole: all but the weights. */
export const MOST_BYTES = 2 ** 26;
/** The longest input that any profile or bundle may speak of, in tokens. */
export const MAX_LENGTH = 2 ** 20;

const TASKS = oneOf(
  "text-classification",
  "multi-label-text-classification",
  "text-regression",
  "question-answering",
  "sentence-embedding",
  "token-classification",
);
export const graphInput = oneOf("input_ids", "attention_mask", "token_type_ids");
const storage = oneOf("fp32", "fp16", "int8");
export const flavor = oneOf("fused", "portable");
const count = integer(1);
const metricValue = number(-1, 1);

/** @typedef {ReturnType<typeof storage>} Storage */
/** @typedef {ReturnType<typeof flavor>} Flavor */
/** @typedef {ReturnType<typeof fileRef>} FileRef */
/** @typedef {ReturnType<typeof weightFile>} WeightFile */
/** @typedef {ReturnType<typeof exportedSubnet>} ExportedSubnet */
/** @typedef {ReturnType<typeof manifest>} Manifest */

/**
 * A plain name, so that no path, hidden file or other address is ever asked for.
 * @type {import("./records.js").Check<string>}
 */
function fileName(value, path) {
  const isPlain = typeof value === "string" && /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$/.test(value);
  return isPlain ? value : refuse(`expected a plain file of the bundle's folder, found ${quoted(value)}`, path);
}

const fileRef = record({ file: fileName, size_bytes: integer(0, MOST_BYTES), sha256 });

const weightFile = record({ file: fileName, dtype: storage, size_bytes: count, sha256, pieces: fileRef });

const quality = record({
  metric: line,
  value: metricValue,
  samples: count,
  dataset: line,
  also: mapOf(metricValue),
});

const exportedSubnet = record({
  id: line,
  method: line,
  width: nullable(number(Number.MIN_VALUE, 1)),
  depth: nullable(number(Number.MIN_VALUE, 1)),
  precision: oneOf("fp32", "fp16", "int8", "int8-static", "int8-weights"),
  layers: list(integer(0)),
  heads: list(count),
  ffn: list(count),
  hidden_size: count,
  parameters: count,
  graphs: mapOf(fileRef, flavor),
  quality: nullable(quality),
  export_error: record({
    max_abs_difference: number(0),
    agreement: nullable(metricValue),
    quality_drop: nullable(number()),
  }),
  no_answer_threshold: nullable(number(-1000, 1000)),
});

const embedding = record({
  space: sha256,
  dims: list(count, 1),
  is_normalized: flag,
  similarity: oneOf("cosine", "dot", "euclidean", "manhattan"),
  prompts: mapOf(text),
  default_prompt: nullable(line),
});

const manifest = record(
  {
    schema_version: oneOf(VERSION),
    sha256,
    name: line,
    edgebert_version: line,
    task: TASKS,
    labels: list(line),
    embedding: nullable(embedding),
    max_length: integer(2, MAX_LENGTH),
    tokenizer: fileRef,
    inputs: list(graphInput, 1),
    pairs: flag,
    reduce_range: flag,
    golden: fileRef,
    answers: nullable(fileRef),
    weight_files: list(weightFile),
    subnetworks: list(exportedSubnet),
  },
  (found) => {
    checkEmbedding(found.embedding);
    checkSubnets(found.subnetworks);
    if (hasTwice(found.labels)) refuse(`expected different labels, found ${listed(found.labels)}`, "$.labels");
  },
);

/** @param {ReturnType<typeof embedding> | null} found */
function checkEmbedding(found) {
  if (found === null) return;
  const { dims, default_prompt: usual } = found;
  if (dims.some((one, place) => place > 0 && one >= dims[place - 1])) {
    refuse(`expected dims from the most down, found ${dims.join(", ")}`, "$.embedding.dims");
  }
  if (usual !== null && !Object.hasOwn(found.prompts, usual)) {
    refuse(`expected a prompt ${quoted(usual)}, found none`, "$.embedding.default_prompt");
  }
}

/** @param {readonly ExportedSubnet[]} subnets */
function checkSubnets(subnets) {
  for (const { id, layers, heads, ffn } of subnets) {
    const isWhole = layers.length > 0 && layers.length === heads.length && layers.length === ffn.length;
    if (!isWhole) refuse(`expected heads and ffn for each layer of ${quoted(id)}`, "$.subnetworks");
  }
  // Profiles, golden outputs and answers name sub-networks by their ids.
  const ids = subnets.map((subnet) => subnet.id);
  if (!ids.length || hasTwice(ids)) {
    refuse(`expected sub-networks with ids of their own, found ${listed(ids) || "none"}`, "$.subnetworks");
  }
  // Choosing compares qualities, and those of two metrics cannot be compared.
  const metrics = [...new Set(subnets.flatMap((subnet) => subnet.quality?.metric ?? []))];
  if (metrics.length > 1) refuse(`expected qualities of one metric, found ${listed(metrics)}`, "$.subnetworks");
}

function hasTwice(/** @type {readonly string[]} */ names) {
  return new Set(names).size !== names.length;
}

/**
 * Returns what the bytes of a bundle.json say, whether they are those that were exported or not.
 *
 * Throws a BundleError for another version, and for a key or value that cannot be.
 * @param {Uint8Array} bytes @param {string} name
 */
export function decodeManifest(bytes, name) {
  return decode(bytes, manifest, VERSION, name, BundleError);
}

/**
 * Returns what a bundle.json says after checking it against the hash that it holds of itself.
 *
 * Throws a BundleError for another version, a key or value that cannot be, and for one that was altered.
 * @param {Uint8Array} bytes @param {string} name
 */
export async function readManifest(bytes, name) {
  const found = decodeManifest(bytes, name);
  // The hash is of the file without these 64 digits, which stand first in it.
  const blank = new TextDecoder().decode(bytes).replace(found.sha256, "");
  const actual = await sha256Of(new TextEncoder().encode(blank));
  if (actual !== found.sha256) {
    const hashes = `expected sha256 ${found.sha256.slice(0, 12)}..., found ${actual.slice(0, 12)}...`;
    throw new BundleError(`${name} was altered: ${hashes}; copy the bundle again, or export it with other values`);
  }
  return found;
}

/** Returns the storage type whose weight file a precision reads. @returns {Storage} */
export function storageOf(/** @type {ExportedSubnet["precision"]} */ precision) {
  return precision === "fp32" || precision === "fp16" ? precision : "int8";
}
