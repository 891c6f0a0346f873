/** A network in a Worker of its own, which gives all memory back when it ends. */

import { BundleError } from "../errors.js";
import { compiledAt } from "./compiled.js";
import { refusal } from "./engine.js";

/** @typedef {import("./session-network.js").Network} Network */
/** @typedef {import("./session-network.js").Inputs} Inputs */
/** @typedef {import("./web-runtime.js").Opening} Opening */

const WORKER = new URL("./worker.js", import.meta.url);

/** @implements {Network} */
export class WorkerNetwork {
  #worker;
  /** @type {Map<number, {resolve: (result: any) => void, reject: (problem: Error) => void}>} */
  #waiting = new Map();
  #calls = 0;
  /** @type {Error | undefined} */
  #end;

  constructor() {
    this.#worker = startWorker();
    /** @type {readonly string[]} */
    this.inputNames = [];
    this.#worker.addEventListener("message", ({ data: { id, result, problem } }) => {
      const call = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (problem === undefined) call?.resolve(result);
      else call?.reject(new BundleError(problem));
    });
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.endWith(refusal(event.message || "its Worker could not be started"));
    });
  }

  get isEnded() {
    return this.#end !== undefined;
  }

  /** Loads a network by onnxruntime-web at an address. @param {string} address @param {Opening} opening */
  async open(address, opening) {
    // Given away, not copied: nobody else needs them.
    const buffers = [opening.graph.buffer, ...opening.externalData.map(({ data }) => data.buffer)];
    this.inputNames = await this.#call("open", [address, opening, await compiledAt(address)], buffers);
  }

  /** @param {Inputs} inputs */
  run(inputs) {
    return this.#call("run", [inputs]);
  }

  /** @type {Network["time"]} */
  time(requests, timing) {
    return this.#call("time", [requests, timing]);
  }

  memoryMb() {
    return this.#call("memoryMb", []);
  }

  async dispose() {
    this.endWith(new BundleError("this network was let go of; load another"));
  }

  /** @param {string} call @param {unknown[]} args @param {Transferable[]} given */
  #call(call, args, given = []) {
    return new Promise((resolve, reject) => {
      if (this.#end) return reject(this.#end);
      const id = this.#calls++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, call, args }, given);
    });
  }

  /** Ends the Worker, and what waits for it with a reason. @param {Error} reason */
  endWith(reason) {
    this.#end ??= reason;
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(this.#end);
    this.#waiting.clear();
  }
}

function startWorker() {
  // The first form is the one that tools which build pages know.
  if (WORKER.origin === globalThis.location?.origin) {
    return new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "edgebert" });
  }
  // A script of another origin may not be a Worker, but be imported by one.
  const address = URL.createObjectURL(new Blob([`import ${JSON.stringify(WORKER.href)};`], { type: "text/javascript" }));
  try {
    return new Worker(address, { type: "module", name: "edgebert" });
  } finally {
    // The browser has not read it yet.
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }
}
