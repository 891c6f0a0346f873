/** text-regression: a number for each text or pair, such as how similar the two of a pair are. */

import { LabelTask } from "./label-task.js";

/**
 * Returns the task whose scores are the logits as they are.
 *
 * @param {readonly string[]} labels
 */
export function textRegression(labels) {
  // A number is never another answer, only farther off.
  return new LabelTask("text-regression", labels, (logits) => logits.slice(), () => false);
}
