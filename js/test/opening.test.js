/** A Worker that does not answer, as browsers have been reported to have them. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { openNetwork } from "../src/engines/engines.js";
import { loadBundle } from "../src/inputs/bundle.js";
import { BUILTIN } from "./support/server.js";
import { wayOf } from "./support/trials.js";

test("a signal ends a Worker that hangs while it loads a network", async (t) => {
  const ends = /** @type {string[]} */ ([]);
  const silent = class extends EventTarget {
    postMessage() {
      setTimeout(() => ending.abort(new Error("enough")), 1);
    }

    terminate() {
      ends.push("ended");
    }
  };
  const ending = new AbortController();
  const { Worker: before } = globalThis;
  t.after(() => Object.assign(globalThis, { Worker: before }));
  Object.assign(globalThis, { Worker: silent });

  const bundle = await loadBundle(BUILTIN);
  const [subnet] = bundle.manifest.subnetworks;
  const options = { ort: "http://127.0.0.1/ort.mjs", signal: ending.signal };
  await assert.rejects(openNetwork(bundle, subnet, wayOf({ engine: "wasm" }), options), /enough/);
  assert.ok(ends.length > 0);
  // And none is started for one that has ended.
  ends.length = 0;
  await assert.rejects(openNetwork(bundle, subnet, wayOf({ engine: "wasm" }), options), /enough/);
  assert.deepEqual(ends, []);
});
