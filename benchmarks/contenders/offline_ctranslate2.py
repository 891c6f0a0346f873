"""CTranslate2's encoder in int8 over batches of sorted texts, on so many of its own workers."""

import ctranslate2
import numpy as np
from offline_batches import answerer, padded


def load(folder, threads, batch_size, workers):
    """Return what turns a list of texts into a list of label numbers."""
    encoder = ctranslate2.Encoder(
        f"{folder}/ctranslate2", compute_type="int8", inter_threads=workers, intra_threads=threads // workers
    )
    classifier = np.load(f"{folder}/ctranslate2/classifier.npz")
    weight, bias = classifier["weight"], classifier["bias"]

    def logits_of(batch):
        ids, mask = padded(batch)
        view = ctranslate2.StorageView.from_array(ids.astype(np.int32))
        lengths = ctranslate2.StorageView.from_array(mask.sum(axis=1, dtype=np.int32))
        pooled = encoder.forward_batch(view, lengths, np.zeros_like(ids).tolist()).pooler_output
        return np.array(pooled) @ weight.T + bias

    return answerer(f"{folder}/checkpoint/tokenizer.json", logits_of, batch_size, workers)
