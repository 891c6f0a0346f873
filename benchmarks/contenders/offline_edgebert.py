"""A sub-network of a bundle, by `edgebert.serving.bulk.predict_all`; its time holds the loading of the network."""

from edgebert.choosing.selection import Budget, named
from edgebert.inputs.bundle import Bundle
from edgebert.serving.bulk import predict_all


def load(folder, threads, subnet, batch_tokens):
    """Return what turns a list of texts into a list of label numbers."""
    bundle = Bundle.load(folder)
    numbers = {label: number for number, label in enumerate(bundle.manifest.labels)}
    budget = Budget().of(bundle)
    selection = named(bundle.subnet(subnet), budget, provider="CPUExecutionProvider", threads=threads)

    def answer(texts):
        answers = predict_all(bundle, selection, texts, batch_tokens=batch_tokens)
        return [numbers[prediction["label"]] for _, prediction in answers]

    return answer
