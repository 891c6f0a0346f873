"""A `quantize_dynamic` export run by ONNX Runtime over batches of sorted texts: the pipeline without its overhead."""

import numpy as np
import onnxruntime
from offline_batches import answerer, padded


def load(folder, threads, batch_size, workers):
    """Return what turns a list of texts into a list of label numbers."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads // workers
    session = onnxruntime.InferenceSession(f"{folder}/dynamic/model.onnx", options, providers=["CPUExecutionProvider"])

    def logits_of(batch):
        ids, mask = padded(batch)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return session.run(None, inputs)[0]

    return answerer(f"{folder}/checkpoint/tokenizer.json", logits_of, batch_size, workers)
