/** Runs a file of tests that Node runs too, in this page. */

import { run } from "./node/test.js";

/** @param {string} address */
export async function suite(address) {
  await import(address);
  return run();
}
