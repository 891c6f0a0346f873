/** Tests that Node runs too, in browsers: the laws, tasks, tokens, and what files are refused. */

import assert from "node:assert/strict";

import { startSite } from "../site.js";

const SUITES = ["laws", "cost-model", "governor", "tasks", "records", "profile", "graph-file"];
const OF_TOKENS = ["word-piece", "unicode"];

/** @type {import("./check.js").Check} */
export async function suites(t, browser, say) {
  for (const name of SUITES) await t.test(`${name}.test.js`, (own) => passes(own, browser, say, name));
}

/** 400 texts, and every character, as Python reads them. @type {import("./check.js").Check} */
export async function tokens(t, browser, say) {
  for (const name of OF_TOKENS) await t.test(`${name}.test.js`, (own) => passes(own, browser, say, name));
}

/** @type {(...parts: [...Parameters<import("./check.js").Check>, string]) => Promise<void>} */
async function passes(t, browser, say, name) {
  const { url } = await startSite(t);
  const tab = await browser.newTab();
  await tab.go(url);
  const told = await tab.call("/js/test/browsers/in-page/suite.js", "suite", `/js/test/${name}.test.js`);
  await tab.close();
  for (const one of told) if (one.skipped) say.notChecked(`${one.name}: ${one.skipped}`);
  const wrong = told.filter((/** @type {any} */ one) => one.problem);
  const list = wrong.slice(0, 5).map((/** @type {any} */ one) => `${one.name}: ${one.problem}`).join("\n");
  assert.ok(told.length > 0 && wrong.length === 0, `${wrong.length} of ${told.length}:\n${list}`);
}
