/** Times and ways in words. */

/** @typedef {import("../way.js").Way} Way */

/** Returns how long something takes still, roughly: nobody knows it better. @param {number} seconds */
export function timeLeft(seconds) {
  if (seconds < 10) return "a few seconds left";
  if (seconds < 55) return `about ${Math.ceil(seconds / 10) * 10} s left`;
  const minutes = Math.max(1, Math.round(seconds / 60));
  return `about ${minutes} min left`;
}

/** Returns milliseconds with three digits at most. @param {number} ms */
export function milliseconds(ms) {
  const digits = ms < 10 ? 2 : ms < 100 ? 1 : 0;
  return `${ms.toFixed(digits)} ms`;
}

/** @param {Way} way */
export function wayInWords({ threads, flavor, device }) {
  const on = device === "GPU" ? "on the graphics card" : `on ${threads} ${threads === 1 ? "thread" : "threads"}`;
  return `${on}, ${flavor} graph`;
}
