"""OpenVINO's own runtime on its CPU device, with the settings that it recommends for latency.

A model of free shape pays for each shape that it meets for the first time; `static` compiles one model for each shape
instead, which is faster from then on. `cache` keeps compiled models on disk, which makes the next start faster.
"""

import openvino


def load(folder, threads, precision=None, static=False, cache=False):
    """Return what turns graph inputs, each (batch, length) int64, into logits, and the precision that it runs in.

    `precision` is asked for where the CPU has it; without one the model is quantised and OpenVINO chooses for the rest.
    """
    core, requests = openvino.Core(), {}
    core.set_property("CPU", settings(core, threads, precision))
    if cache:
        core.set_property({"CACHE_DIR": f"{folder}/cache"})

    def request(shape):
        if shape not in requests:
            model = core.read_model(f"{folder}/model.xml")
            if shape is not None:
                model.reshape({value.any_name: list(shape) for value in model.inputs})
            requests[shape] = core.compile_model(model, "CPU").create_infer_request()
        return requests[shape]

    def answer(inputs):
        shape = inputs["input_ids"].shape if static else None
        return request(shape).infer(inputs, share_inputs=True)["logits"]

    if not static:
        request(None)
    floats = core.get_property("CPU", "INFERENCE_PRECISION_HINT").to_string()
    return answer, f"int8, {floats}" if precision is None else floats


def settings(core, threads, precision):
    """Return the CPU device's settings; a precision that the CPU lacks becomes f32."""
    chosen = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    if precision is not None:
        has_it = precision.upper() in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        chosen["INFERENCE_PRECISION_HINT"] = precision if has_it else "f32"
    return chosen
