"""A sub-network of a bundle, run by edgebert's own session."""

import msgspec

from edgebert.engines.fixed_shapes import FixedShapes
from edgebert.engines.session import default_way, open_session
from edgebert.inputs.bundle import Bundle


def load(folder, threads, subnet, flavor="fused", provider="cpu", lengths=(), batch_sizes=()):
    """Return what turns graph inputs, each (batch, length) int64, into logits, and the precision that it runs in.

    With `lengths` and `batch_sizes` there is a network for each of these shapes.
    """
    bundle = Bundle.load(folder)
    options = FixedShapes(tuple(lengths), tuple(batch_sizes)).options if lengths else ()
    way = msgspec.structs.replace(default_way(provider, threads), flavor=flavor, options=options)
    session = open_session(bundle, bundle.subnet(subnet), way)
    names = session.input_names
    return lambda inputs: session.run({name: inputs[name] for name in names})["logits"], bundle.subnet(subnet).precision
