/** Whether the page is seen: one that is hidden is slowed down or put to sleep, so nothing can be measured in it. */

/**
 * What a profiling asks before each trial and after it.
 *
 * @typedef {object} Attention
 * @property {() => Promise<void>} wait returns when the page is seen
 * @property {() => boolean} isLost whether it was hidden since that was last waited for
 */

/**
 * Returns what watches a page until `signal` ends it; where there is no page, such as in Node, it is always seen.
 *
 * @param {AbortSignal} signal
 * @param {Pick<Document, "hidden" | "addEventListener"> | undefined} page
 * @returns {Attention}
 */
export function attentionOf(signal, page = globalThis.document) {
  if (!page) return { wait: async () => {}, isLost: () => false };
  let isLost = page.hidden;
  page.addEventListener("visibilitychange", () => (isLost ||= page.hidden), { signal });
  return {
    async wait() {
      while (page.hidden) {
        await new Promise((resolve) => page.addEventListener("visibilitychange", resolve, { once: true, signal }));
      }
      isLost = false;
    },
    isLost: () => isLost,
  };
}

/**
 * Returns what a promise gives; if `signal` ends the waiting, throws its reason at once.
 *
 * @template T
 * @param {Promise<T>} promise @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
export async function untilAborted(promise, signal) {
  if (!signal) return promise;
  signal.throwIfAborted();
  /** @type {() => void} */
  let end = () => {};
  const aborted = new Promise((_, reject) => {
    end = () => reject(signal.reason);
    signal.addEventListener("abort", end);
  });
  try {
    return await /** @type {Promise<T>} */ (Promise.race([promise, aborted]));
  } finally {
    signal.removeEventListener("abort", end);
  }
}
