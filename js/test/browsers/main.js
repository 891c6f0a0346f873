/**
 * Tests in the browsers of this machine, without windows: `node test/browsers/main.js [NAME ...]`.
 *
 * A browser that is not here, and what cannot be checked, is said at the end; a browser that is here must pass.
 */

import { test } from "node:test";

import { KINDS, programsOf } from "./browsers.js";
import { bundles } from "./checks/bundles.js";
import { hashes } from "./checks/hashes.js";
import { suites, tokens } from "./checks/suites.js";
import { startScripts } from "./site.js";

/** @typedef {import("./browsers.js").Browser} Browser */

// What waits for Python is the last.
const CHECKS = { suites, hashes, bundles, tokens };
// Of everything; a browser that hangs shall not keep a build for an hour.
const LIMIT_MINUTES = 15;

/** @type {string[]} */
const notChecked = [];
/** @type {Set<Browser>} */
const open = new Set();

setTimeout(async () => {
  console.error(`the browsers did not end within ${LIMIT_MINUTES} minutes`);
  await Promise.race([closeAll(), new Promise((done) => setTimeout(done, 10_000))]);
  process.exit(1);
}, LIMIT_MINUTES * 60_000).unref();

startScripts();
for (const kind of KINDS.filter(({ name }) => process.argv.length < 3 || process.argv.includes(name))) {
  const programs = programsOf(kind);
  if (!programs) {
    const why = `${kind.name}, which is not here: install ${kind.packages}`;
    notChecked.push(why);
    test(kind.name, { skip: why }, () => {});
    continue;
  }
  test(kind.name, async (t) => {
    const browser = { ...(await kind.open(...programs)), kind };
    open.add(browser);
    try {
      t.diagnostic(browser.version);
      const say = {
        fact: (/** @type {string} */ text) => t.diagnostic(`${kind.name}: ${text}`),
        notChecked: (/** @type {string} */ text) => void notChecked.push(`${kind.name}: ${text}`),
      };
      for (const [name, check] of Object.entries(CHECKS)) await t.test(name, (own) => check(own, browser, say));
    } finally {
      open.delete(browser);
      await browser.close();
    }
  });
}

async function closeAll() {
  await Promise.allSettled([...open].map((browser) => browser.close()));
}

process.on("exit", () => notChecked.forEach((what) => console.log(`NOT CHECKED: ${what}`)));
