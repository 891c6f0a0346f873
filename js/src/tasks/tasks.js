/** All tasks there are, by name. To add one, write its file and put it into this list. */

import { BundleError } from "../errors.js";
import { multiLabelTextClassification } from "./multi-label.js";
import { QuestionAnswering } from "./question-answering.js";
import { SentenceEmbedding } from "./sentence-embedding.js";
import { textClassification } from "./text-classification.js";
import { textRegression } from "./text-regression.js";
import { TokenClassification } from "./token-classification.js";

/** @typedef {import("./sentence-embedding.js").EmbeddingSettings} EmbeddingSettings */
/** @typedef {import("./task.js").Task} Task */

/**
 * What a bundle.json says of its task, and of it for one sub-network.
 *
 * @typedef {{task: string, labels: readonly string[], embedding: EmbeddingSettings | null}} TaskFacts
 * @typedef {{no_answer_threshold: number | null}} SubnetFacts
 */

/** @type {Record<string, (manifest: TaskFacts, subnet: SubnetFacts) => Task>} */
const TASKS = {
  "text-classification": (manifest) => textClassification(labelsOf(manifest)),
  "multi-label-text-classification": (manifest) => multiLabelTextClassification(labelsOf(manifest)),
  "text-regression": (manifest) => textRegression(labelsOf(manifest)),
  "question-answering": (_, subnet) => new QuestionAnswering(subnet.no_answer_threshold),
  "sentence-embedding": (manifest) => new SentenceEmbedding(settingsOf(manifest)),
  "token-classification": (manifest) => new TokenClassification(labelsOf(manifest)),
};

/**
 * Returns the task of a bundle as it is for one sub-network.
 *
 * @param {TaskFacts} manifest
 * @param {SubnetFacts} subnet
 * @returns {Task}
 * @throws {BundleError} it is of a task that this version does not know, or does not say what the task needs
 */
export function taskOf(manifest, subnet) {
  if (Object.hasOwn(TASKS, manifest.task)) return TASKS[manifest.task](manifest, subnet);
  const expected = `expected a task of ${Object.keys(TASKS).join(", ")}`;
  throw new BundleError(`${expected}, found '${manifest.task}'; use a newer edgebert, or another bundle`);
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
