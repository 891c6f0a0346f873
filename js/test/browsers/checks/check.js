/** What the checks of a browser are given; each file beside this one has one or several. */

/**
 * `fact` prints a measured number, `notChecked` what could not be checked here, and why.
 *
 * @typedef {{fact: (text: string) => void, notChecked: (text: string) => void}} Say
 */

/** @typedef {import("node:test").TestContext} Context */

/**
 * @callback Check
 * @param {Context} t
 * @param {import("../browsers.js").Browser & {kind: import("../browsers.js").Kind}} browser
 * @param {Say} say
 * @returns {Promise<void>}
 */

export {};
