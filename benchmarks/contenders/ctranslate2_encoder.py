"""CTranslate2's encoder in int8. It ends with the pooler; the classifier, two rows of numbers, runs in numpy."""

import ctranslate2
import numpy as np


def load(folder, threads):
    """Return what turns graph inputs, each (batch, length) int64, into logits, and the precision that it runs in."""
    encoder = ctranslate2.Encoder(folder, compute_type="int8", inter_threads=1, intra_threads=threads)
    classifier = np.load(f"{folder}/classifier.npz")
    weight, bias = classifier["weight"], classifier["bias"]

    def answer(inputs):
        ids = ctranslate2.StorageView.from_array(inputs["input_ids"].astype(np.int32))
        lengths = ctranslate2.StorageView.from_array(inputs["attention_mask"].sum(axis=1, dtype=np.int32))
        pooled = encoder.forward_batch(ids, lengths, inputs["token_type_ids"].tolist()).pooler_output
        return np.array(pooled) @ weight.T + bias

    return answer, encoder.compute_type
