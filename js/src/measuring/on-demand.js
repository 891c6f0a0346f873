/** What measures a bundle, loaded when it is asked for: an app that brings a profile does without. */

/** @type {typeof import("./profiler.js").profile} */
export async function profile(place, options) {
  return (await import("./profiler.js")).profile(place, options);
}

/** @type {typeof import("./profiler.js").profileOf} */
export async function profileOf(bundle, options) {
  return (await import("./profiler.js")).profileOf(bundle, options);
}
