import hashlib
import http.client
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from page_client import Served

pytest.importorskip("cryptography")

from edgebert.browser.certificate import context_of, self_signed
from edgebert.browser.devices import Devices
from edgebert.browser.page_files import page_files
from edgebert.browser.posted import Asked
from edgebert.browser.server import PageServer, Place
from edgebert.browser.site import Site
from edgebert.errors import EdgeBertError
from edgebert.inputs.bundle import Bundle


@pytest.fixture
def encrypted(builtin: Bundle) -> Iterator[tuple[PageServer, str]]:
    """A server with a certificate that was made for it, and the hash of that as it is printed."""
    nothing = {"lengths": None, "batch_sizes": None, "threads": None, "subnets": None}
    asked = Asked(bundle="b", bundle_sha256=builtin.sha256, quick=False, **nothing)
    devices = Devices(builtin, asked, engine="", out=None, tell=lambda event: None)
    context, sha256 = self_signed(["127.0.0.1", "phone.example"])
    site = Site(builtin, page_files(), {}, devices)
    server = PageServer(site, Place("127.0.0.1"), tls=context, on_damage=lambda problem: None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server, sha256
    server.end()


def trusting_nobody() -> ssl.SSLContext:
    """Return what connects to anybody, as who has clicked a warning away."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_the_page_comes_encrypted_with_the_certificate_whose_hash_is_printed(encrypted: tuple[PageServer, str]) -> None:
    server, sha256 = encrypted
    assert server.url == f"https://127.0.0.1:{server.port}/{server.token}/"
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=trusting_nobody(), timeout=60)
    connection.request("GET", f"/{server.token}/", headers={"Origin": f"https://127.0.0.1:{server.port}"})
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.read().startswith(b"<!doctype html>")
    certificate = connection.sock.getpeercert(binary_form=True)
    assert hashlib.sha256(certificate).hexdigest().upper() == sha256.replace(":", "")
    connection.close()


def test_who_trusts_nobody_and_who_does_not_encrypt_disturb_it_not(encrypted: tuple[PageServer, str]) -> None:
    server, _ = encrypted
    strict = http.client.HTTPSConnection("127.0.0.1", server.port, context=ssl.create_default_context(), timeout=60)
    with pytest.raises(ssl.SSLCertVerificationError):
        strict.request("GET", "/")
    plain = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    plain.request("GET", f"/{server.token}/")
    with pytest.raises((http.client.HTTPException, OSError)):
        plain.getresponse()
    plain.close()
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=trusting_nobody(), timeout=60)
    connection.request("GET", f"/{server.token}/settings")
    assert connection.getresponse().status == 200
    connection.close()


def test_what_is_no_certificate_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("none")
    for path in (tmp_path / "c.pem", tmp_path / "none.pem"):
        with pytest.raises(EdgeBertError, match="in PEM and without a password"):
            context_of(path, None)


def test_a_served_page_of_this_machine_needs_none(served: Served) -> None:
    assert served.ask("").status == 200
