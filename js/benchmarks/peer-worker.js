/** A Worker that loads transformers.js when it is told a number of threads, and then answers texts. */

import { loadPeer } from "./peer.js";

/** @type {(text: string) => Promise<unknown>} */
let classify;

addEventListener("message", async ({ data }) => {
  if (typeof data === "number") classify = await loadPeer(data);
  postMessage(typeof data === "number" ? null : await classify(data));
});
