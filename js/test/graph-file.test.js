import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { BundleError } from "../src/errors.js";
import { references } from "../src/inputs/graph-file.js";

/** @typedef {[file: string, start: number, size: number][] | null} Expected null where it is refused */
/**
 * Graphs, and what Python reads in them; tests/inputs/test_javascript_vectors.py checks that it still does.
 * @type {{cases: {name: string, hex: string, references: Expected}[],
 *   changed: {name: string, bytes: [place: number, byte: number, references: Expected][]}}}
 */
const vectors = JSON.parse(readFileSync(new URL("vectors/graphs.json", import.meta.url), "utf8"));
const BUILTIN = new URL("../../edgebert/builtin/", import.meta.url);

/** @param {Uint8Array} graph @returns {Expected} */
function found(graph) {
  try {
    return references(graph, "a graph").map(({ file, start, size }) => [file, start, size]);
  } catch (error) {
    assert.ok(error instanceof BundleError, String(error));
    assert.match(error.message, /^a graph: expected an ONNX graph as edgebert writes it, found .*; do not use/);
    return null;
  }
}

/** @param {string} hex */
function bytesOf(hex) {
  return Uint8Array.from(hex.match(/../g) ?? [], (digits) => parseInt(digits, 16));
}

for (const { name, hex, references: expected } of vectors.cases) {
  test(`a graph with ${name} is ${expected ? "read" : "refused"} as Python does`, () => {
    assert.deepEqual(found(bytesOf(hex)), expected);
  });
}

test("a graph in which a byte was changed is read or refused as Python does", () => {
  const { name, bytes } = vectors.changed;
  const whole = vectors.cases.find((one) => one.name === name);
  assert.ok(whole && bytes.length > 500);
  for (const [place, byte, expected] of bytes) {
    const graph = bytesOf(whole.hex);
    graph[place] = byte;
    assert.deepEqual(found(graph), expected, `${byte} at ${place}`);
  }
});

test("a real graph refers to its weight file alone, and a smaller network to fewer bytes", () => {
  const sizes = readdirSync(BUILTIN).filter((name) => name.endsWith(".fused.onnx")).map((name) => {
    const used = references(readFileSync(new URL(name, BUILTIN)), name);
    assert.deepEqual(new Set(used.map((one) => one.file)), new Set(["weights-int8.bin"]));
    return [name, used.reduce((sum, one) => sum + one.size, 0)];
  });
  const sizeOf = Object.fromEntries(sizes);
  const [narrow, wide] = ["w0.25-d0.50", "w1.00-d1.00"].map((id) => sizeOf[`${id}-int8-static.fused.onnx`]);
  assert.ok(narrow < wide && sizes.every(([, size]) => Number(size) >= narrow && Number(size) <= wide));
});

test("what is no graph is refused without reading it all", () => {
  assert.equal(found(new Uint8Array(2_000_000).fill(255)), null);
  assert.equal(found(new Uint8Array(5_000_000)), null);
});
