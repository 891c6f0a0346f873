/** `../../../support/python.js` for pages: the server runs Python. */

import { readFileSync } from "./fs.js";

/** @type {string | false} */
export const NO_PYTHON = JSON.parse(String(readFileSync("/printed/", "utf8")));

/** @param {string} script @param {string} part */
export function printed(script, part) {
  return JSON.parse(String(readFileSync(`/printed/${script}/${part}`, "utf8")));
}
