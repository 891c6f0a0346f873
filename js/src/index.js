/** edgebert in JavaScript: loads the sub-network of an elastic BERT that a budget buys on this device, and answers. */

export { BudgetError, BundleError, EdgeBertError, ProfileError } from "./errors.js";
export { clearCache } from "./inputs/cache.js";
export { Bundle, loadBundle } from "./inputs/bundle.js";
export { profile, profileOf } from "./measuring/on-demand.js";
export { load } from "./serving/load.js";
export { Embeddings } from "./tasks/embeddings.js";
