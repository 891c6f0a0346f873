"""A torch export quantised by `onnxruntime.quantization.quantize_dynamic`, run by ONNX Runtime's CPU provider."""

import onnxruntime


def load(folder, threads):
    """Return what turns graph inputs, each (batch, length) int64, into logits, and the precision that it runs in."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda inputs: session.run(None, {name: inputs[name] for name in names})[0], "int8"
