"""Certificates for the page's server: the user's own, or one made for a few days, which nobody vouches for."""

import datetime
import ipaddress
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgebert.errors import EdgeBertError, cause_of, needing

if TYPE_CHECKING:
    from cryptography.x509 import GeneralName

# Phones' clocks are wrong now and then.
_BEFORE, _LASTS = datetime.timedelta(days=1), datetime.timedelta(days=7)


def context_of(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """Return what encrypts with a certificate in PEM, whose key is in a file of its own or in the same.

    Raises:
        EdgeBertError: they cannot be read, or do not go together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # Without a password, for which a terminal would be asked.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as problem:
        which = f"{certificate}{f' and {key}' if key else ''}"
        advice = "give a certificate and its key, in PEM and without a password"
        raise EdgeBertError(f"cannot use {which}: {cause_of(problem)}; {advice}") from None
    return context


def self_signed(hosts: Sequence[str]) -> tuple[ssl.SSLContext, str]:
    """Return what encrypts with a new certificate for some names and addresses, and its SHA-256 as browsers show it.

    Raises:
        EdgeBertError: what makes certificates is not installed.
    """
    with needing("web", "a certificate for the page"):
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "edgebert profile --browser")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _LASTS)
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    # Python's ssl reads files alone. The folder is this user's only, and gone before anybody connects.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "both.pem"
        path.write_bytes(certificate.public_bytes(pem) + secret)
        context = context_of(path, None)
    return context, certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _general_name(host: str) -> "GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
