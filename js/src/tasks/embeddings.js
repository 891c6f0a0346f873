/** Vectors of texts that say where they are from, and how alike two of them are. Knows nothing about networks. */

import { EdgeBertError } from "../errors.js";
import { rowsOf } from "./task.js";

/** @typedef {"cosine" | "dot" | "euclidean" | "manhattan"} Similarity */

// As torch's normalize has it, so that a vector of zeros is no division by zero.
const LEAST_LENGTH = 1e-12;

/**
 * Vectors (texts, dims), or one of them (dims), of one `space`, made by `networks`.
 *
 * `data` has the numbers, vector after vector. `networks` are the ids of the sub-networks that made them, each once.
 * Vectors of two spaces are not compared.
 */
export class Embeddings {
  /**
   * @param {Float32Array} data
   * @param {readonly number[]} dims
   * @param {string} space
   * @param {readonly string[]} networks
   */
  constructor(data, dims, space, networks) {
    this.data = data;
    this.dims = dims;
    this.space = space;
    this.networks = [...new Set(networks)];
    Object.freeze(this);
  }

  /** Each vector by itself, as a view of `data`. */
  get vectors() {
    return this.dims.length === 1 ? [this.data] : rowsOf(this);
  }
}

/**
 * Returns the first dimensions of a vector, of length 1 again where it was.
 *
 * @param {Float32Array} vector
 * @param {number} dims
 * @param {boolean} isNormalized
 */
export function cut(vector, dims, isNormalized) {
  const kept = vector.slice(0, dims);
  return isNormalized && vector.length !== dims ? unit(kept) : kept;
}

/** @typedef {Float32Array | readonly number[]} Vector */

/** @param {Vector} vector */
function unit(vector) {
  const length = Math.max(Math.hypot(...vector), LEAST_LENGTH);
  return Float32Array.from(vector, (one) => one / length);
}

/**
 * Returns how alike every vector of some is to every one of others, a row for each of the first; higher is more.
 *
 * @param {Similarity} similarity
 * @param {unknown} first an Embeddings, a vector, or a list of vectors
 * @param {unknown} second the same
 * @param {string} space that of the bundle, of which plain vectors are taken to be
 * @returns {Float32Array[]}
 * @throws {EdgeBertError} they are of another space, or of different dims
 */
export function similarities(similarity, first, second, space) {
  const [left, right] = [first, second].map((one) => vectorsOf(one, space));
  const sizes = [...new Set([...left, ...right].map((one) => one.length))];
  if (sizes.length > 1) {
    const found = `found ${sizes.join(" and ")}`;
    throw new EdgeBertError(`expected vectors of as many dims, ${found}; ask for both with the same dims`);
  }
  const [some, others] = similarity === "cosine" ? [left.map(unit), right.map(unit)] : [left, right];
  return some.map((one) => Float32Array.from(others, (other) => ALIKE[similarity](one, other)));
}

/** @param {unknown} given @param {string} space @returns {Vector[]} */
function vectorsOf(given, space) {
  if (!(given instanceof Embeddings)) {
    const vectors = /** @type {Vector[]} */ (given);
    return typeof vectors[0] === "number" ? [/** @type {Vector} */ (/** @type {unknown} */ (vectors))] : vectors;
  }
  if (given.space === space) return given.vectors;
  const found = `found ${space.slice(0, 12)}... and ${given.space.slice(0, 12)}...`;
  throw new EdgeBertError(`expected embeddings of one space, ${found}; embed all texts with bundles of one checkpoint`);
}

/** @type {Record<Similarity, (one: Vector, other: Vector) => number>} */
const ALIKE = {
  cosine: dot,
  dot,
  euclidean: (one, other) => -Math.sqrt(sum(one, (value, at) => (value - other[at]) ** 2)),
  manhattan: (one, other) => -sum(one, (value, at) => Math.abs(value - other[at])),
};

/** @param {Vector} one @param {Vector} other */
function dot(one, other) {
  return sum(one, (value, at) => value * other[at]);
}

/** @param {Vector} vector @param {(value: number, at: number) => number} term */
function sum(vector, term) {
  let total = 0;
  for (let at = 0; at < vector.length; at++) total += term(vector[at], at);
  return total;
}
