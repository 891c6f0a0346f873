"""A sub-network of a bundle, by `edgebert.serving.bulk.answer_texts`; its time holds the loading of the network."""

from edgebert.choosing.selection import Budget, named
from edgebert.engines.session import default_way
from edgebert.inputs.bundle import Bundle
from edgebert.serving.bulk import answer_texts
from edgebert.tasks.label_task import LabelOptions


def load(folder, threads, subnet, batch_tokens):
    """Return what turns a list of texts into a list of label numbers."""
    bundle = Bundle.load(folder)
    numbers = {label: number for number, label in enumerate(bundle.manifest.labels)}
    budget = Budget().of(bundle)
    selection = named(bundle.subnet(subnet), budget, default_way("cpu", threads))

    def answer(texts):
        answers = answer_texts(bundle, selection, texts, LabelOptions(), batch_tokens=batch_tokens)
        return [numbers[prediction["label"]] for _, prediction in answers]

    return answer
