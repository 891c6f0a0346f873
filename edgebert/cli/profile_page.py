"""`edgebert profile --browser`: serves the page, tells how to open it, and prints what devices measured."""

import argparse
import contextlib
import queue
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebert.cli import arguments
from edgebert.cli.arguments import add
from edgebert.cli.output import print_json, print_text
from edgebert.errors import printable, shortened

if TYPE_CHECKING:
    import ssl

    from edgebert.browser.devices import Event, Finished, Measured
    from edgebert.browser.server import PageServer
    from edgebert.inputs.bundle import Bundle

# What measures this machine, or one that ssh reaches, alone.
_NOT_OF_A_PAGE = ("provider", "engines", "requests_per_s", "emulate", "host")
_OF_A_PAGE = ("listen", "certificate", "key", "ort_web")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a page needs."""
    group = parser.add_argument_group("phones and browsers")
    group.add_argument("--browser", action="store_true", help="serve a page in which other devices measure themselves")
    add(group, "--listen", arguments.place, "HOST[:PORT]", "serve it there, encrypted (default: on this machine alone)")
    add(group, "--certificate", str, "FILE", "encrypt with this, in PEM (default: one that browsers warn of)")
    add(group, "--key", str, "FILE", "the key of the certificate (default: in the same file)")
    add(group, "--ort-web", str, "FOLDER", "onnxruntime-web's files (default: npm downloads them once)")


def check(options: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    for name in _NOT_OF_A_PAGE if options.browser else _OF_A_PAGE:
        if getattr(options, name) is not None:
            option = f"--{name.replace('_', '-')}"
            what = "without --browser" if options.browser else "with --browser"
            options.usage_error(f"expected {option} only {what}")
    if options.key and not options.certificate:
        options.usage_error("expected --key with --certificate, found no --certificate")


def run(options: argparse.Namespace, bundle: "Bundle") -> None:
    """Serve the page until all devices that began have measured themselves, and print what they found."""
    events: queue.Queue[Event] = queue.Queue()
    server, certificate_sha256 = _server(options, bundle, events)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with _passed_on(server) as phones:
            _tell_how_to_open(server, phones, certificate_sha256, bundle)
            _print_events(events, bundle, as_json=options.json)
    except KeyboardInterrupt:
        print_text("what was measured is kept for an hour: run the same command again to go on", file=sys.stderr)
        raise
    finally:
        server.end()


def _server(
    options: argparse.Namespace, bundle: "Bundle", events: "queue.Queue[Event]"
) -> "tuple[PageServer, str | None]":
    """Return the server, which listens already, and the hash of the certificate that was made for it, if one was."""
    import hashlib

    from edgebert.browser.devices import Devices
    from edgebert.browser.onnxruntime_web import onnxruntime_web
    from edgebert.browser.page_files import page_files
    from edgebert.browser.server import PageServer, Place
    from edgebert.browser.site import Site

    place = options.listen or Place("127.0.0.1")
    tls, certificate_sha256 = _encryption(options, place)
    ort = onnxruntime_web(Path(options.ort_web) if options.ort_web else None)
    engine = hashlib.sha256(b"".join(ort.values())).hexdigest()
    out = Path(options.out) if options.out else None
    devices = Devices(bundle, _asked(options, bundle), engine=engine, out=out, tell=events.put)
    site = Site(bundle, page_files(), ort, devices)
    return PageServer(site, place, tls=tls, on_damage=events.put), certificate_sha256


def _asked(options: argparse.Namespace, bundle: "Bundle") -> Any:
    """Return what a page is asked for, checked as far as that can be known here."""
    from edgebert.browser.posted import Asked
    from edgebert.measuring.profile_settings import settings_for

    # Both raise an error for what the bundle has not: here, and not on the phone.
    settings_for(bundle, lengths=options.lengths, batch_sizes=options.batch_sizes or (1,))
    for name in options.subnets or ():
        bundle.subnet(name)
    names = ("quick", "lengths", "batch_sizes", "threads", "subnets")
    given = {name: getattr(options, name) for name in names}
    return Asked(bundle=bundle.manifest.name, bundle_sha256=bundle.sha256, **given)


def _encryption(options: argparse.Namespace, place: Any) -> "tuple[ssl.SSLContext | None, str | None]":
    """Return what encrypts, None where nobody could listen, and the hash of a certificate that was made for it."""
    from edgebert.browser import certificate
    from edgebert.browser.server import is_loopback

    if options.certificate:
        key = Path(options.key) if options.key else None
        return certificate.context_of(Path(options.certificate), key), None
    if is_loopback(place.host):
        return None, None
    return certificate.self_signed([place.shown_host])


@contextlib.contextmanager
def _passed_on(server: "PageServer") -> Iterator[list[str]]:
    """Give the phones on a cable that the page was passed on to, and end that."""
    from edgebert.browser.android import Cable
    from edgebert.browser.server import is_loopback

    if not is_loopback(server.host):
        yield []
        return
    cable = Cable(server.port)
    try:
        yield cable.phones
    finally:
        cable.end()


def _tell_how_to_open(
    server: "PageServer", phones: list[str], certificate_sha256: str | None, bundle: "Bundle"
) -> None:
    """Say where the page is and how a phone gets there; on standard error, for the profile goes to standard output."""
    from edgebert.browser.server import is_loopback

    name = bundle.manifest.name
    lines = [f"Open this page on the device that is to be measured with bundle '{name}':", "", f"  {server.url}", ""]
    if is_loopback(server.host):
        by_hand = f"adb reverse tcp:{server.port} tcp:{server.port}"
        if phones:
            lines.append(f"Android: the cable passes it on ({by_hand} was run for {', '.join(phones)}).")
        else:
            lines.append(f"Android: connect it by USB, run `{by_hand}`, and open the address there.")
            lines.append("Any phone in your network: run this again with --listen 0.0.0.0.")
    if certificate_sha256 is not None:
        lines.append(
            "The browser warns of the certificate, since nobody vouches for it: it was made for this run alone."
        )
        lines.append(f"Go on if its SHA-256 is {certificate_sha256[:23]}:..., which the warning's details show.")
    lines.append("Keep it plugged in, cool, and the page in front. Ctrl-C ends this; what is measured is kept.")
    if sys.stderr.isatty():
        _print_qr(server.url)
    for line in lines:
        print_text(line, file=sys.stderr)


def _print_qr(url: str) -> None:
    """Print the address as a QR code, where the library is there."""
    try:
        import segno
    except ImportError:
        print_text("(pip install 'edgebert[web]' shows the address as a QR code too)", file=sys.stderr)
        return
    segno.make(url, micro=False).terminal(out=sys.stderr, border=2, compact=True)


def _print_events(events: "queue.Queue[Event]", bundle: "Bundle", *, as_json: bool) -> None:
    """Show what devices do until all that began are finished."""
    from edgebert.browser.devices import Finished, Measured, Stopped

    shown = _Shown()
    try:
        while True:
            event = _next(events)
            if isinstance(event, Measured):
                shown.measured(event)
            elif isinstance(event, Finished):
                shown.finished(event, bundle, as_json=as_json)
                if event.is_last:
                    return
            elif isinstance(event, Stopped):
                shown.line(f"a device has stopped: {event.reason}")
            else:
                raise event
    finally:
        shown.end()


def _next(events: "queue.Queue[Event]") -> "Event":
    """Return the next event. In turns, since Windows hears of Ctrl-C between two of them alone."""
    while True:
        with contextlib.suppress(queue.Empty):
            return events.get(timeout=0.5)


@dataclass
class _Shown:
    """How far each device is: a bar each on a terminal, else a line when it begins."""

    bars: dict[str, Any] = field(default_factory=dict)

    def measured(self, event: "Measured") -> None:
        from tqdm import tqdm

        fingerprint = event.device.fingerprint
        name = shortened(event.device.name)
        if fingerprint not in self.bars:
            self.line(f"{name} is measuring")
            # `disable=None` is tqdm's way to say: where standard error is no terminal.
            self.bars[fingerprint] = tqdm(file=sys.stderr, disable=None, leave=False)
        bar = self.bars[fingerprint]
        bar.total = event.total
        bar.set_description(printable(f"{name}: {event.subnet_id}"), refresh=False)
        bar.update(event.done - bar.n)

    def finished(self, event: "Finished", bundle: "Bundle", *, as_json: bool) -> None:
        from edgebert.cli.tables import print_profile
        from edgebert.reporting.profile_report import profile_report

        bar = self.bars.pop(event.device.fingerprint, None)
        if bar is not None:
            bar.close()
        self.line(f"the profile of {shortened(event.device.name)} was saved as {event.path}")
        print_json(event.profile) if as_json else print_profile(profile_report(event.profile, bundle))

    def line(self, text: str) -> None:
        from tqdm import tqdm

        # Above the bars, which are drawn again.
        tqdm.write(printable(text), file=sys.stderr)

    def end(self) -> None:
        for bar in self.bars.values():
            bar.close()
