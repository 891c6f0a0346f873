/** All tasks there are, by name. To add one, write its file and put it into this list. */

import { BundleError } from "../errors.js";

/** @typedef {import("./sentence-embedding.js").EmbeddingSettings} EmbeddingSettings */
/** @typedef {import("./task.js").Task} Task */

/**
 * What a bundle.json says of its task, and of it for one sub-network.
 *
 * @typedef {{task: string, labels: readonly string[], embedding: EmbeddingSettings | null}} TaskFacts
 * @typedef {{no_answer_threshold: number | null}} SubnetFacts
 */

/**
 * Makes the task of a bundle as it is for one sub-network; throws a BundleError where the bundle lacks what it needs.
 *
 * @typedef {(manifest: TaskFacts, subnet: SubnetFacts) => Task} TaskMaker
 */

// Each is loaded only where a bundle has it.
/** @type {Record<string, () => Promise<TaskMaker>>} */
const MAKERS = {
  "text-classification": async () => {
    const { textClassification } = await import("./text-classification.js");
    return (manifest) => textClassification(labelsOf(manifest));
  },
  "multi-label-text-classification": async () => {
    const { multiLabelTextClassification } = await import("./multi-label.js");
    return (manifest) => multiLabelTextClassification(labelsOf(manifest));
  },
  "text-regression": async () => {
    const { textRegression } = await import("./text-regression.js");
    return (manifest) => textRegression(labelsOf(manifest));
  },
  "question-answering": async () => {
    const { QuestionAnswering } = await import("./question-answering.js");
    return (_, subnet) => new QuestionAnswering(subnet.no_answer_threshold);
  },
  "sentence-embedding": async () => {
    const { SentenceEmbedding } = await import("./sentence-embedding.js");
    return (manifest) => new SentenceEmbedding(settingsOf(manifest));
  },
  "token-classification": async () => {
    const { TokenClassification } = await import("./token-classification.js");
    return (manifest) => new TokenClassification(labelsOf(manifest));
  },
};

/**
 * Returns what makes the task of that name.
 *
 * @param {string} name
 * @returns {Promise<TaskMaker>}
 * @throws {BundleError} this version does not know it
 */
export async function taskMaker(name) {
  if (Object.hasOwn(MAKERS, name)) return MAKERS[/** @type {keyof typeof MAKERS} */ (name)]();
  const expected = `expected a task of ${Object.keys(MAKERS).join(", ")}`;
  throw new BundleError(`${expected}, found '${name}'; use a newer edgebert, or another bundle`);
}

/** @param {TaskFacts} manifest */
function labelsOf({ task, labels }) {
  if (labels.length) return labels;
  throw new BundleError(`expected labels for ${task}, found none at $.labels; export the bundle again`);
}

/** @param {TaskFacts} manifest */
function settingsOf({ task, embedding }) {
  if (embedding) return embedding;
  throw new BundleError(`expected what embeddings are like at $.embedding for ${task}; export it again`);
}
