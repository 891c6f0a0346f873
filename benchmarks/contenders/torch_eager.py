"""transformers' own model in torch, not compiled, in one of three precisions."""

import torch
from transformers import AutoModelForSequenceClassification
from transformers.utils import logging


def load(folder, threads, precision="fp32"):
    """Return what turns graph inputs, each (batch, length) int64, into logits, and the precision that it runs in."""
    logging.disable_progress_bar()
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    if precision == "bf16":
        model = model.to(torch.bfloat16)
    elif precision == "int8":
        model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)

    @torch.inference_mode()
    def answer(inputs):
        return model(**{name: torch.from_numpy(array) for name, array in inputs.items()}).logits.float().numpy()

    return answer, precision
