/** multi-label-text-classification: any number of labels for each text or pair, each with a score of its own. */

import { LabelTask, sigmoid } from "./label-task.js";

/**
 * Returns the task whose scores are the sigmoid of each label's logit.
 *
 * @param {readonly string[]} labels
 */
export function multiLabelTextClassification(labels) {
  return new LabelTask("multi-label-text-classification", labels, sigmoid, isWrong);
}

/** @type {import("./label-task.js").IsWrong} */
function isWrong(found, right, tolerance) {
  const least = Math.fround(2 * tolerance);
  return right.some((logit, label) => Math.abs(logit) > least && found[label] >= 0 !== logit >= 0);
}
