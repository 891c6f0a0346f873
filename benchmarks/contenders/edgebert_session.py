"""A sub-network of a bundle, run by edgebert's own session."""

from edgebert.engines.session import open_session
from edgebert.inputs.bundle import Bundle


def load(folder, threads, subnet, flavor="fused", provider="CPUExecutionProvider"):
    """Return what turns graph inputs, each (batch, length) int64, into logits, and the precision that it runs in."""
    bundle = Bundle.load(folder)
    session = open_session(bundle, bundle.subnet(subnet), flavor=flavor, provider=provider, threads=threads)
    names = session.input_names
    return lambda inputs: session.run({name: inputs[name] for name in names})["logits"], bundle.subnet(subnet).precision
