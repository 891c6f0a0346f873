/** The test vectors in tests/laws, which the Python side passes too. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";

/** @typedef {any} Json */

const FOLDER = new URL("../../tests/laws/", import.meta.url);

/**
 * Returns what the files of a folder hold, by their names.
 *
 * @returns {[string, Json][]}
 */
export function read(folder = "") {
  const files = readdirSync(new URL(folder, FOLDER)).filter((name) => name.endsWith(".json"));
  assert.ok(files.length > 0);
  return files.map((name) => {
    const law = JSON.parse(readFileSync(new URL(`${folder}${name}`, FOLDER), "utf8"));
    return [name.replace(".json", ""), law];
  });
}

/**
 * Checks that two numbers differ by less than a billionth of themselves, or that both are null.
 *
 * @param {number | null} found @param {number | null} expected @param {string} [message]
 */
export function assertClose(found, expected, message = "") {
  const isClose = found === expected || Math.abs(Number(found) - Number(expected)) <= 1e-9 * Math.abs(Number(expected));
  assert.ok(isClose && (found === null) === (expected === null), `${found} is not ${expected} ${message}`);
}
