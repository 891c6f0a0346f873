/** text-classification: one of several labels for each text or pair, or how much it has of a label that is alone. */

import { LabelTask, sigmoid } from "./label-task.js";
import { isOther, softmax } from "./task.js";

/**
 * Returns the task whose scores are the softmax over the labels, or the sigmoid of a label that stands alone.
 *
 * @param {readonly string[]} labels
 */
export function textClassification(labels) {
  return new LabelTask("text-classification", labels, labels.length === 1 ? sigmoid : softmax, isOther);
}
