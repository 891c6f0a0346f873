/**
 * Tests in the browsers of this machine, without windows: `node test/browsers/main.js [NAME ...]`, all browsers
 * and all checks or those of these names.
 *
 * A browser that is not here, and what cannot be checked, is said at the end; a browser that is here must pass.
 */

import { test } from "node:test";

import { KINDS, programsOf } from "./browsers.js";
import { bundles } from "./checks/bundles.js";
import { hashes } from "./checks/hashes.js";
import { models } from "./checks/models.js";
import { suites, tokens } from "./checks/suites.js";
import { startScripts } from "./site.js";

/** @typedef {import("./browsers.js").Browser} Browser */

// What waits for Python is the last.
const CHECKS = { suites, hashes, bundles, models, tokens };
// Of everything; a browser that hangs shall not keep a build for an hour.
const LIMIT_MINUTES = 15;

/** @type {string[]} */
const notChecked = [];
/** @type {Set<Browser>} */
const open = new Set();

/** Ends the browsers, and this. @param {string} reason */
async function end(reason) {
  console.error(`the browsers are ended: ${reason}`);
  const closed = Promise.allSettled([...open].map((browser) => browser.close()));
  await Promise.race([closed, new Promise((done) => setTimeout(done, 10_000))]);
  process.exit(1);
}

setTimeout(() => end(`they took more than ${LIMIT_MINUTES} minutes`), LIMIT_MINUTES * 60_000).unref();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => end(signal));

if (isAsked("tokens", Object.keys(CHECKS))) startScripts();
for (const kind of KINDS.filter(({ name }) => isAsked(name, KINDS.map((one) => one.name)))) {
  const programs = programsOf(kind);
  if (!programs) {
    const why = `${kind.name}, which is not here: install ${kind.packages}`;
    notChecked.push(why);
    test(kind.name, { skip: why }, () => {});
    continue;
  }
  test(kind.name, async (t) => {
    const opened = await kind.open(...programs);
    /** @type {Promise<void> | undefined} */
    let closing;
    const browser = { ...opened, kind, close: () => (closing ??= opened.close()) };
    open.add(browser);
    try {
      t.diagnostic(browser.version);
      const say = {
        fact: (/** @type {string} */ text) => t.diagnostic(`${kind.name}: ${text}`),
        notChecked: (/** @type {string} */ text) => void notChecked.push(`${kind.name}: ${text}`),
      };
      for (const [name, check] of Object.entries(CHECKS)) {
        if (isAsked(name, Object.keys(CHECKS))) await t.test(name, (own) => check(own, browser, say));
      }
    } finally {
      open.delete(browser);
      await browser.close();
    }
  });
}

/** Returns whether a name was given, or none of its kind. @param {string} name @param {string[]} kind */
function isAsked(name, kind) {
  const given = process.argv.slice(2).filter((one) => kind.includes(one));
  return given.length === 0 || given.includes(name);
}

process.on("exit", () => new Set(notChecked).forEach((what) => console.log(`NOT CHECKED: ${what}`)));
