/** Runs Python, with which the JavaScript side is compared: in the test environment, or as PYTHON says. */

import { execFile, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const SETTINGS = { cwd: ROOT, env: { ...process.env, PYTHONPATH: ROOT }, maxBuffer: 2 ** 28 };
const PLACES = [process.env.PYTHON, `${ROOT}.venv/bin/python`, "python3"];

/** @param {string | undefined} python @param {string[]} parts */
function run(python, parts) {
  return spawnSync(String(python), parts, { ...SETTINGS, encoding: "utf8" });
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

/**
 * Returns the text that a script of tests/ prints, which runs while other things are done.
 *
 * @param {string} script
 * @param {...string} parts
 * @returns {Promise<string>}
 */
export function printedLater(script, ...parts) {
  return new Promise((done, fail) => {
    execFile(String(python), [`tests/${script}`, ...parts], SETTINGS, (problem, text) => {
      if (problem) fail(problem);
      else done(text);
    });
  });
}
