/** SHA-256 in pages that are secure, by the browser, and in those that are not, in plain JavaScript. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";

import { insecureHost, startSite } from "../site.js";

const MODULE = "/js/test/browsers/in-page/hashes.js";
const LENGTHS = [...Array(130).keys(), 2 ** 18 - 1, 2 ** 18];

const expected = LENGTHS.map((length) => {
  const bytes = Uint8Array.from({ length }, (_, place) => (place * 31 + length) % 256);
  return createHash("sha256").update(bytes).digest("hex");
});

/** @type {import("./check.js").Check} */
export async function hashes(t, browser, say) {
  const insecure = insecureHost();
  if (!insecure) say.notChecked("pages that are not secure: this machine has no address beside those of its own");
  for (const host of ["127.0.0.1", ...(insecure ? [insecure] : [])]) {
    const isSecure = host === "127.0.0.1";
    await t.test(isSecure ? "in a secure page" : "in a page that is not secure", async (own) => {
      const { url } = await startSite(own, { host });
      const tab = await browser.newTab();
      await tab.go(url);
      const found = await tab.call(MODULE, "hashes", LENGTHS);
      await tab.close();
      assert.deepEqual(found, { isSecure, hasSubtle: isSecure, own: expected, plain: expected });
    });
  }
}
