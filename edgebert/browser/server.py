"""Serves the page over HTTP to who knows its address, on this machine alone or, encrypted, in its network.

The path begins with a token that nobody can guess. Whoever lacks it, or comes from another page, is told nothing.
"""

import contextlib
import hmac
import http.server
import io
import ipaddress
import logging
import os
import secrets
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from edgebert.browser.site import MOST_BYTES, Answer, Site
from edgebert.errors import BundleError, EdgeBertError, cause_of

logger = logging.getLogger(__name__)

# Of a connection: to send a request, or to take a part of an answer.
_PATIENCE_S = 60.0
_MOST_CONNECTIONS = 64
_LAST_ANSWER_S = 5.0
_TOKEN_BYTES = 16

# The page may load its own modules, compile WebAssembly and start workers of its own, and nothing else.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self'",
        "connect-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    # With these two a page is isolated: it may have threads, and precise clocks.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Place:
    """Where a server listens: a name or an address, and a port, of which 0 is any that is free."""

    host: str
    port: int = 0

    @property
    def shown_host(self) -> str:
        """The name or address that others know it by: where all are listened on, the one that is known."""
        return own_address(self.host) if self.host in ("0.0.0.0", "::") else self.host

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class PageServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A server of one page; `url` is its address, with the token."""

    allow_reuse_address = os.name == "posix"  # elsewhere two could then listen on one port
    request_queue_size = _MOST_CONNECTIONS
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, site: Site, place: Place, *, tls: ssl.SSLContext | None, on_damage: Callable[[BundleError], object]
    ):
        """Listen at a place, with encryption if there is a context for it; `on_damage` hears of a damaged bundle.

        Raises:
            EdgeBertError: it is not possible to listen there.
        """
        self.site, self._tls, self.on_damage = site, tls, on_damage
        self.token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._answered, self._answering = threading.Condition(), 0
        try:
            family, _, _, _, address = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)[0]
            self.address_family = family
            super().__init__((str(address[0]), int(address[1])), PageHandler)
        except OSError as problem:
            raise EdgeBertError(f"cannot listen on {place}: {cause_of(problem)}; give another --listen") from None
        self.port = int(self.server_address[1])
        self.host = place.shown_host
        self.scheme = "http" if tls is None else "https"
        self.url = f"{self.scheme}://{Place(self.host, self.port)}/{self.token}/"

    def hosts(self, connection: socket.socket) -> set[str]:
        """Return what a request over a connection may name as its host: no name that others let lead here."""
        names = {self.host, str(connection.getsockname()[0]).partition("%")[0]}
        if any(is_loopback(name) for name in names):
            names |= {"localhost", "127.0.0.1"}
        found = {str(Place(name, self.port)).lower() for name in names}
        # Of a scheme's own port a browser says nothing.
        usual = {"http": ":80", "https": ":443"}[self.scheme]
        return found | {name.removesuffix(usual) for name in found}

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Give a context for an answer that `end` waits for."""
        with self._answered:
            self._answering += 1
        try:
            yield
        finally:
            with self._answered:
                self._answering -= 1
                self._answered.notify_all()

    def end(self) -> None:
        """Listen no longer, once what is being answered is answered."""
        self.shutdown()
        self.server_close()
        with self._answered:
            self._answered.wait_for(lambda: not self._answering, timeout=_LAST_ANSWER_S)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, of which there are not too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer all requests of a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer all requests of a connection, encrypted where that is asked for."""
        request.settimeout(_PATIENCE_S)
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        # Here and not where connections are accepted, so that nobody has to wait for a slow one.
        with self._tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of what browsers do: they break off what they no longer need, and refuse certificates."""
        problem = sys.exception()
        if not isinstance(problem, OSError):  # ssl's are OSErrors too
            logger.warning("a request failed: %s: %s", type(problem).__name__, problem)


class PageHandler(http.server.BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server: PageServer

    def setup(self) -> None:
        """Read with patience, but not for ever, whatever comes and however slowly."""
        super().setup()
        self._reader = _Deadline(self.connection)
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        """Answer one request, which has to come in time."""
        self._reader.restart()
        super().handle_one_request()

    def do_GET(self) -> None:
        """Send what is asked for."""
        with self.server.answering():
            place = self._place()
            if place is not None:
                self._send(self._found(*place))

    def _found(self, name: str, query: str) -> Answer:
        try:
            return self.server.site.get(name, query, self.headers.get("Range"))
        except BundleError as problem:
            self.server.on_damage(problem)
            return Answer.line(str(problem), 500)
        except EdgeBertError as problem:
            return Answer.line(str(problem), 400)

    def do_POST(self) -> None:
        """Take what a page tells."""
        with self.server.answering():
            place = self._place()
            if place is None:
                return
            name, query = place
            most_bytes = MOST_BYTES.get(name)
            if most_bytes is None:
                self._refuse(404, "there is no such thing here")
            # A browser names the page's origin in every POST.
            elif "Origin" not in self.headers:
                self._refuse(403, "expected a request of the page")
            else:
                content = self._body(most_bytes)
                if content is not None:
                    self._send(self.server.site.post(name, query, content))

    def _place(self) -> tuple[str, str] | None:
        """Return the name and the query behind the token, None if the request was refused."""
        path, _, query = self.path.partition("?")
        token, slash, name = path.removeprefix("/").partition("/")
        # In constant time: how long the answer takes tells nothing of the token.
        is_known = hmac.compare_digest(token.encode(), self.server.token.encode())
        host = self.headers.get("Host", "").lower()
        origin = self.headers.get("Origin")
        is_ours = origin is None or origin.lower() == f"{self.server.scheme}://{host}"
        if host not in self.server.hosts(self.connection) or not is_ours:
            self._refuse(403, "expected the address that edgebert printed")
        elif not (is_known and slash and path.startswith("/")):
            self._refuse(404, "there is no such thing here")
        else:
            return name, query
        return None

    def _body(self, most_bytes: int) -> bytes | None:
        """Return what is posted, None if it was refused."""
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit() and len(length) < 12):
            self._refuse(411, "expected the length of what is posted")
        elif int(length) > most_bytes:
            self._refuse(413, f"expected at most {most_bytes} bytes, found {length}")
        elif self.headers.get_content_type() != "application/json":
            self._refuse(415, "expected JSON")
        else:
            content = self.rfile.read(int(length))
            if len(content) == int(length):
                return content
            self.close_connection = True
        return None

    def _refuse(self, status: int, reason: str) -> None:
        # What else comes over this connection is not looked at, such as the body of what was refused.
        self.close_connection = True
        self._send(Answer.line(reason, status))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send a line where http.server would send a page; it calls this for what is no HTTP, and unknown methods."""
        self._refuse(code, message or "expected a request of HTTP")

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in (_HEADERS | dict(answer.headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(answer.size_bytes))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        try:
            for part in answer.parts:
                self.wfile.write(part)
        except BundleError as problem:
            # Too late for another answer: the browser sees one that was broken off.
            self.close_connection = True
            self.server.on_damage(problem)

    def version_string(self) -> str:
        """Return what the server calls itself: not which version of what it is."""
        return "edgebert"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: addresses hold the token."""


class _Deadline(io.RawIOBase):
    """What a connection sends, until a deadline."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self.restart()

    def restart(self) -> None:
        self._end_s = time.monotonic() + _PATIENCE_S

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._connection.settimeout(left_s)
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(_PATIENCE_S)


def is_loopback(host: str) -> bool:
    """Return whether a name or an address is this machine's own, which others cannot reach."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def own_address(everywhere: str) -> str:
    """Return the address that others in the network reach this machine under, as far as it is known."""
    is_new = ":" in everywhere
    # Nothing is sent: the system only says from where it would be. Both are of the ranges for documentation.
    family, other = (socket.AF_INET6, "2001:db8::1") if is_new else (socket.AF_INET, "192.0.2.1")
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((other, 9))
        return str(probe.getsockname()[0])
    return "::1" if is_new else "127.0.0.1"
