/** Runs Python, with which the JavaScript side is compared: in the test environment, or as PYTHON says. */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const PLACES = [process.env.PYTHON, `${ROOT}.venv/bin/python`, "python3"];

/** @param {string | undefined} python @param {string[]} parts */
function run(python, parts) {
  const env = { ...process.env, PYTHONPATH: ROOT };
  return spawnSync(String(python), parts, { cwd: ROOT, env, encoding: "utf8", maxBuffer: 2 ** 28 });
}

const python = PLACES.find((place) => place && run(place, ["-c", "import edgebert, tokenizers"]).status === 0);

/** Why tests that need Python are left out; false where it is there, with what edgebert needs. */
export const NO_PYTHON = python ? false : "there is no Python here that has edgebert's dependencies";

/**
 * Returns the JSON that a script of tests/ prints.
 *
 * @param {string} script
 * @param {...string} parts
 * @returns {any}
 */
export function printed(script, ...parts) {
  const { status, stdout, stderr } = run(python, [`tests/${script}`, ...parts]);
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}
