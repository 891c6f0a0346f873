"""Embeds texts with one library, in a process of its own: prints a line when the first text has a vector, and the rest.

It reads a task as JSON from standard input: {"library", "folder", "threads", "texts", "one_by_one", "batch_size",
"options"}. The first line says nothing but that there is a vector; the second has milliseconds a text, one by one and
in batches, and the vectors.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

Embed = Callable[[Sequence[str], int], np.ndarray]


def of_edgebert(folder: str, threads: int, options: dict) -> Embed:
    import edgebert

    model = edgebert.load(folder, subnet=options["subnet"], threads=threads)

    def embed(texts: Sequence[str], batch_size: int) -> np.ndarray:
        if batch_size == 1:
            return model(texts[0])[None]
        return np.stack(list(edgebert.predict_all(texts, folder, subnet=options["subnet"], threads=threads)))

    return embed


def of_sentence_transformers(folder: str, threads: int, options: dict) -> Embed:
    if "file" in options:
        import onnxruntime
        from sentence_transformers import SentenceTransformer

        session = onnxruntime.SessionOptions()
        session.intra_op_num_threads = threads
        more = {"provider": "CPUExecutionProvider", "file_name": options["file"], "session_options": session}
        model = SentenceTransformer(folder, backend="onnx", model_kwargs=more, local_files_only=True)
    else:
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)
        model = SentenceTransformer(folder, device="cpu", local_files_only=True)
    return lambda texts, batch_size: model.encode(texts, batch_size=batch_size, show_progress_bar=False)


def of_fastembed(folder: str, threads: int, options: dict) -> Embed:
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    source = ModelSource(hf="local/model")
    how = {"pooling": PoolingType.MEAN, "normalization": True, "dim": options["dims"]}
    TextEmbedding.add_custom_model("local/model", sources=source, model_file=options["file"], **how)
    model = TextEmbedding("local/model", specific_model_path=folder, threads=threads)
    return lambda texts, batch_size: np.stack(list(model.embed(texts, batch_size=batch_size)))


def of_onnx_runtime(folder: str, threads: int, options: dict) -> Embed:
    import onnxruntime
    import tokenizers

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(options["file"], settings, providers=["CPUExecutionProvider"])
    tokenizer = tokenizers.Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]"))
    tokenizer.enable_truncation(128)

    def embed(texts: Sequence[str], batch_size: int) -> np.ndarray:
        found = []
        for start in range(0, len(texts), batch_size):
            rows = tokenizer.encode_batch(list(texts[start : start + batch_size]))
            inputs = {"input_ids": [row.ids for row in rows], "attention_mask": [row.attention_mask for row in rows]}
            found.append(session.run([options["output"]], {name: np.array(rows) for name, rows in inputs.items()})[0])
        vectors = np.concatenate(found)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return embed


LIBRARIES = {
    "onnxruntime": of_onnx_runtime,
    "edgebert": of_edgebert,
    "sentence-transformers": of_sentence_transformers,
    "fastembed": of_fastembed,
}


def main() -> None:
    task = json.load(sys.stdin)
    texts, few = task["texts"], task["one_by_one"]
    embed = LIBRARIES[task["library"]](task["folder"], task["threads"], task["options"])
    embed(texts[:1], 1)
    print("first", flush=True)

    vectors = embed(texts, task["batch_size"])  # warm, also for memory that grows with the largest batch
    start = time.perf_counter()
    embed(texts, task["batch_size"])
    batches = time.perf_counter() - start

    start = time.perf_counter()
    for text in texts[:few]:
        embed([text], 1)
    single = time.perf_counter() - start
    found = {"batches_ms": 1000 * batches / len(texts), "single_ms": 1000 * single / few}
    print(json.dumps({**found, "vectors": vectors.astype(float).round(6).tolist()}), flush=True)


if __name__ == "__main__":
    main()
