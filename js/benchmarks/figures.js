/**
 * What the package costs in Chromium, with the built-in bundle: `node js/benchmarks/figures.js`.
 *
 * Prints what an answer takes beside a bare `session.run` in a Worker, the first answer from a bundle that is kept, how
 * long profiles take, and how far two quick and two full ones are apart. Each figure is of a browser of its own.
 */

import { median } from "../src/measuring/statistics.js";
import { startSite } from "../test/browsers/site.js";
import { openChromium } from "./chromium.js";

const IN_PAGE = "/js/benchmarks/figures-in-page.js";

/**
 * Calls a function of figures-in-page.js, several times one after the other in fresh tabs of one browser.
 *
 * @param {number} times @param {string} name @param {unknown[]} args
 */
async function inTabs(times, name, ...args) {
  const ends = /** @type {(() => void)[]} */ ([]);
  const site = await startSite({ after: (/** @type {() => void} */ end) => void ends.push(end) });
  const browser = await openChromium();
  try {
    const found = [];
    for (let time = 0; time < times; time++) {
      const tab = await browser.newTab();
      await tab.go(site.url);
      found.push(await tab.call(IN_PAGE, name, ...args));
      await tab.close();
    }
    return found;
  } finally {
    await browser.close();
    for (const end of ends) end();
  }
}

/** @param {number[]} values @param {number} digits */
function range(values, digits) {
  const [least, most] = [Math.min(...values), Math.max(...values)].map((one) => one.toFixed(digits));
  return `${median(values).toFixed(digits)} (${least} to ${most})`;
}

for (const [subnet, length] of [["w0.25-d0.50-int8-static", 16], ["w1.00-d1.00-int8-static", 128]]) {
  const [{ overheadMs, bareMs }] = await inTabs(1, "overhead", subnet, length);
  console.log(`an answer of ${subnet} to ${length} tokens beside session.run (${range(bareMs, 2)} ms):`);
  console.log(`  ${range(overheadMs, 2)} ms more, of ${overheadMs.length} rounds, each the difference of two medians`);
}

const [, ...answers] = await inTabs(6, "firstAnswer", "w1.00-d1.00-int8-static");
console.log(`first answer of the full network from a bundle that is kept: ${range(answers, 0)} ms in 5 tabs`);

for (const [name, quick] of /** @type {[string, boolean][]} */ ([["quick", true], ["full", false]])) {
  const profiles = [...(await inTabs(1, "profiled", quick)), ...(await inTabs(1, "profiled", quick))];
  const [one, other] = profiles.map(({ p50s }) => new Map(p50s));
  const ratios = [...one].filter(([cell]) => other.has(cell)).map(([cell, ms]) => Math.abs(other.get(cell) / ms - 1));
  const far = [50, 90].map((p) => (100 * (ratios.sort((a, b) => a - b)[Math.floor((ratios.length * p) / 100)] ?? NaN)).toFixed(1));
  console.log(`a ${name} profile: ${profiles.map(({ seconds }) => `${seconds.toFixed(1)} s`).join(" and ")}`);
  console.log(`  two differ by ${far[0]} % in the median, ${far[1]} % in 90 % of ${ratios.length} medians of both`);
}
