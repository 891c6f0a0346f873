"""A sub-network of a bundle, run by edgebert's own session."""

import msgspec

from edgebert.engines.session import default_way, open_session
from edgebert.inputs.bundle import Bundle


def load(folder, threads, subnet, flavor="fused", provider="cpu"):
    """Return what turns graph inputs, each (batch, length) int64, into logits, and the precision that it runs in."""
    bundle = Bundle.load(folder)
    way = msgspec.structs.replace(default_way(provider, threads), flavor=flavor)
    session = open_session(bundle, bundle.subnet(subnet), way)
    names = session.input_names
    return lambda inputs: session.run({name: inputs[name] for name in names})["logits"], bundle.subnet(subnet).precision
