/** Models from end to end in browsers: right answers, in pages that are isolated or not, and clear refusals. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import { insecureHost, startSite } from "../site.js";

/** @typedef {import("./check.js").Context} Context */
/** @typedef {Parameters<import("./check.js").Check>[1]} Browser */

const MODULE = "/js/test/browsers/in-page/models.js";
const { texts, networks } = JSON.parse(readFileSync(new URL("../../vectors/answers.json", import.meta.url), "utf8"));
const [TEXT] = texts;
// For the second and third time.
const FEW = texts.slice(0, 4);
const SMALLEST = "w0.25-d0.50-int8-static";
const LARGEST = "w1.00-d1.00-int8-static";
const MOST_OFF = 0.005;
const MOST_LEFT_MB = 5;

/** @param {Context} t @param {Browser} browser @param {import("../site.js").Manners} [manners] */
async function opened(t, browser, manners) {
  const site = await startSite(t, manners);
  const tab = await browser.newTab();
  t.after(() => tab.close());
  await tab.go(site.url);
  const call = (/** @type {string} */ name, /** @type {any[]} */ ...parts) => tab.call(MODULE, name, ...parts);
  return { site, tab, call };
}

/**
 * Checks that answers are those that Python gives.
 *
 * @param {any} found @param {string[]} asked @param {number} threads
 */
function assertAnswers(found, asked, threads) {
  assert.deepEqual(Object.keys(found), Object.keys(networks));
  for (const [name, { answers, threads: used }] of Object.entries(found)) {
    assert.deepEqual([used, answers.length], [threads, asked.length], name);
    for (const [at, expected] of networks[name].slice(0, asked.length).entries()) {
      const what = `${name}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(answers[at])}, ${texts[at]}`;
      assert.equal(answers[at].label, expected.label, what);
      assert.ok(Math.abs(answers[at].score - expected.score) <= MOST_OFF, what);
    }
  }
}

/** @type {import("./check.js").Check} */
export async function models(t, browser, say) {
  const { whyOneThread } = browser.kind;
  await t.test("all sub-networks answer as in Python, on 1 thread of an isolated page", async (own) => {
    const { call } = await opened(own, browser);
    const { networks: found, isIsolated } = await call("answersOfAll", texts, 1);
    assert.ok(isIsolated);
    assertAnswers(found, texts, 1);
  });
  await t.test("all sub-networks answer as in Python, on 2 threads of an isolated page", async (own) => {
    if (whyOneThread) return say.notChecked(`2 threads, ${whyOneThread}`);
    const { call } = await opened(own, browser);
    const { networks: found, cores } = await call("answersOfAll", FEW, 2);
    if (cores < 2) say.notChecked("2 threads at once: this machine has one core");
    return assertAnswers(found, FEW, 2);
  });
  await t.test("all sub-networks answer as in Python in a page that is not isolated, on its 1 thread", async (own) => {
    const { call } = await opened(own, browser, { isolated: false });
    const { networks: found, isIsolated } = await call("answersOfAll", FEW);
    assert.ok(!isIsolated);
    assertAnswers(found, FEW, 1);
    const refusal = await call("refusal", { subnet: SMALLEST, threads: 2 });
    assert.match(refusal, /^EdgeBertError: expected 1 thread in a page that is not isolated, found 2; serve the page w/);
  });
  await t.test("a network answers in a page that is not secure", async (own) => {
    const host = insecureHost();
    if (!host) return say.notChecked("a page that is not secure: this machine has no address beside those of its own");
    const { call } = await opened(own, browser, { host });
    const [answer] = await call("keep", SMALLEST, TEXT);
    return assert.equal(answer.label, networks[SMALLEST][0].label);
  });
  await t.test("the first answer comes from what is kept", (own) => firstAnswer(own, browser, say));
  await t.test("disposing gives memory back", async (own) => {
    const { call } = await opened(own, browser);
    memory(say, await call("memory", LARGEST, TEXT));
  });
  await t.test("what was loaded answers offline, and what was not says why", (own) => offline(own, browser));
  await t.test("what cannot be run is refused in one line", (own) => refused(own, browser));
}

/** @type {import("./check.js").Check} */
async function firstAnswer(t, browser, say) {
  const { site, tab, call } = await opened(t, browser);
  await call("keep", LARGEST, TEXT);
  if (browser.kind.keepsThings) await tab.go(site.url);
  site.given.length = 0;
  const { ms, label } = await call("firstAnswer", LARGEST, TEXT);
  assert.equal(label, networks[LARGEST][0].label);
  assert.deepEqual(site.given.map(({ name }) => name), ["bundle.json"]);
  say.fact(`first answer of ${LARGEST} from a bundle that is kept: ${Math.round(ms)} ms`);
}

/** @param {import("./check.js").Say} say @param {{beforeMb: number, withMb: number, afterMb: number} | null} found */
function memory(say, found) {
  if (!found) return void say.notChecked("memory after dispose(): the browser does not say what a page takes");
  const [before, loaded, after] = [found.beforeMb, found.withMb, found.afterMb].map((mb) => mb.toFixed(1));
  say.fact(`${before} MB before, ${loaded} MB with ${LARGEST}, ${after} MB after dispose()`);
  assert.ok(found.withMb > found.beforeMb + MOST_LEFT_MB);
  assert.ok(found.afterMb <= found.beforeMb + MOST_LEFT_MB, `${after} MB`);
}

/** @param {Context} t @param {Browser} browser */
async function offline(t, browser) {
  const { site, call } = await opened(t, browser);
  const expected = await call("keep", SMALLEST, TEXT);
  site.stop();
  assert.deepEqual(await call("ask", TEXT), expected);
  assert.match(await call("refusal", { subnet: SMALLEST }), /^BundleError: cannot read .*bundle\.json: .*; check the add/);
  assert.deepEqual(await call("ask", TEXT), expected);
}

/** @param {Context} t @param {Browser} browser */
async function refused(t, browser) {
  const { site, call, tab } = await opened(t, browser);
  assert.match(await call("refusal", { subnet: "w9" }), /^BundleError: no sub-network "w9" in bundle .*; choose one of/);
  const missing = await call("refusal", { subnet: SMALLEST, ort: `${site.url}nothing.mjs` });
  assert.match(missing, /^EdgeBertError: cannot load onnxruntime-web from .*nothing\.mjs: .*; check the address$/);
  assert.equal(await call("aborted", SMALLEST), "AbortError");
  assert.match(await call("refusalWithoutSimd", { subnet: SMALLEST }), /^EdgeBertError: .*WebAssembly SIMD.*newer browser$/);
  await tab.go(site.url);
  assert.equal((await call("keep", SMALLEST, TEXT))[0].label, networks[SMALLEST][0].label);

  const other = await opened(t, browser, { change: (content, name) => (name === "bundle.json" ? retold(content) : content) });
  assert.match(await other.call("refusal", {}), /^BundleError: .*bundle\.json: expected .*text-classification.*translation/);
}

/** Returns a manifest of another task, with its right hash. @param {Buffer} content */
function retold(content) {
  const other = content.toString().replace('"task": "text-classification"', '"task": "translation"');
  assert.notEqual(other, content.toString());
  const blank = other.replace(/"sha256": "[0-9a-f]{64}"/, '"sha256": ""');
  const sha256 = createHash("sha256").update(blank).digest("hex");
  return Buffer.from(blank.replace('"sha256": ""', `"sha256": "${sha256}"`));
}
