/** transformers.js on a checkpoint, in a page or in a Worker, as its documents advise. */

/** Returns its pipeline. @param {number} threads */
export async function loadPeer(threads) {
  const address = "/transformers/transformers.min.js"; // not for the type checker
  const { pipeline, env } = await import(address);
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = "/models/";
  env.backends.onnx.wasm.wasmPaths = "/transformers/";
  env.backends.onnx.wasm.numThreads = threads;
  return pipeline("text-classification", "model", { device: "wasm", dtype: "q8" });
}

/** Returns that of a Worker. @param {number} threads */
export function loadPeerInWorker(threads) {
  const worker = new Worker(new URL("./peer-worker.js", import.meta.url), { type: "module" });
  const call = (/** @type {string | number} */ asked) =>
    new Promise((done, failed) => {
      worker.onmessage = ({ data }) => done(data);
      worker.onerror = (event) => failed(new Error(event.message));
      worker.postMessage(asked);
    });
  return call(threads).then(() => call);
}
