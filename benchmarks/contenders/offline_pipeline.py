"""Transformers' text-classification pipeline whose model runs a `quantize_dynamic` export with ONNX Runtime.

This is what optimum's ORTModelForSequenceClassification does, in fewer lines: optimum is not there for this
transformers. The pipeline takes texts as they come and pads each batch to its longest text.
"""

import onnxruntime
import torch
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, pipeline
from transformers.modeling_outputs import SequenceClassifierOutput


class Classifier(PreTrainedModel):
    def __init__(self, config, session):
        super().__init__(config)
        self.session = session
        self.place = torch.nn.Parameter(torch.zeros(1))  # the pipeline asks a parameter where the model is

    def forward(self, input_ids, attention_mask, token_type_ids):
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        logits = self.session.run(None, {name: value.numpy() for name, value in inputs.items()})[0]
        return SequenceClassifierOutput(logits=torch.from_numpy(logits))


def load(folder, threads, batch_size):
    """Return what turns a list of texts into a list of label numbers."""
    torch.set_num_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(f"{folder}/dynamic/model.onnx", options, providers=["CPUExecutionProvider"])
    config = AutoConfig.from_pretrained(f"{folder}/checkpoint")
    tokenizer = AutoTokenizer.from_pretrained(f"{folder}/checkpoint")
    classify = pipeline("text-classification", model=Classifier(config, session).eval(), tokenizer=tokenizer)

    def answer(texts):
        found = classify(texts, batch_size=batch_size, truncation=True, max_length=128)
        return [config.label2id[one["label"]] for one in found]

    return answer
