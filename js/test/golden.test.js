/** How far outputs are off the golden ones: the test vectors that the Python side passes too. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { BundleError } from "../src/errors.js";
import { goldenOf, missed } from "../src/measuring/numerics.js";
import { taskMaker } from "../src/tasks/tasks.js";
import { assertClose, read } from "./vectors.js";

for (const [name, { task, mask, cases }] of read("golden/")) {
  for (const { name: words, right, found, expected } of cases) {
    test(`${name}: ${words}`, async () => {
      /** @type {[string, any][]} */
      const outputs = Object.entries(found);
      const read = outputs.map(([one, { shape, values }]) => {
        return [one, { data: Float32Array.from(values, Number), dims: shape }];
      });
      const numerics = missed(Object.fromEntries(read), right, (await taskMaker(task.task))(task, task), mask);
      assertClose(numerics.drift, expected.drift);
      assert.deepEqual({ ...numerics, drift: 0 }, { ...expected, drift: 0 });
    });
  }
}

test("a sub-network without golden outputs is one of a bundle that was not exported to the end", () => {
  const golden = /** @type {any} */ ({ outputs: [{ id: "a", values: [] }] });
  for (const id of ["a", "b"]) {
    const message = `bundle "x" has no golden output for "${id}"; export it again`;
    assert.throws(() => goldenOf(golden, id, "x"), new BundleError(message));
  }
});
