import contextlib
import http.client
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from page_client import Served, posted, who

Serve = Callable[..., Served]


def test_the_page_is_there_with_headers_that_isolate_it_and_let_it_reach_nobody_else(served: Served) -> None:
    page = served.ask("")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = page.headers["Content-Security-Policy"].split("; ")
    assert policy[0] == "default-src 'none'"
    assert {"script-src 'self' 'wasm-unsafe-eval'", "worker-src 'self'", "connect-src 'self'"} < set(policy)
    assert "unsafe-inline" not in page.headers["Content-Security-Policy"]
    assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert page.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    # The policy would forbid them, so that the page would not work.
    assert not re.search(r"<style|style=|\son\w+=|<script>", page.text)


def test_every_answer_has_these_headers(served: Served) -> None:
    names = ("Content-Security-Policy", "Cross-Origin-Embedder-Policy", "Cross-Origin-Resource-Policy")
    for answer in (
        served.ask("js/engines/worker.js"),
        served.ask("ort/ort.wasm.min.mjs"),
        served.ask("nothing"),
        served.ask("", method="PUT"),
        served.ask("", headers={"Host": "elsewhere"}),
    ):
        assert set(names) <= set(answer.headers)


def test_all_that_the_page_names_is_served(served: Served) -> None:
    found = re.findall(r'(?:src|href)="([^"]+)"', served.ask("").text)
    assert "js/page/main.js" in found
    todo, seen = set(found), set()
    while todo:
        name = todo.pop()
        seen.add(name)
        answer = served.ask(name)
        assert answer.status == 200, name
        if name.endswith(".js"):
            assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
            folder = Path(name).parent
            for other in re.findall(r'^(?:import|export) .*?from "(\.[^"]+)"', answer.text, re.M):
                path = (Path("/") / folder / other).resolve()
                todo |= {str(path.relative_to("/"))} - seen
    assert "js/measuring/profiler.js" in seen


@pytest.mark.parametrize("path", ["/", "/favicon.ico", "/x/", "/../", "//", "/{token}", "/{wrong}/", "{token}/", "*"])
def test_who_lacks_the_token_is_told_nothing(served: Served, path: str) -> None:
    wrong = served.token[:-1] + ("A" if served.token[-1] != "A" else "B")
    answer = served.ask("", path=path.format(token=served.token, wrong=wrong))
    assert (answer.status, answer.text) == (404, "there is no such thing here\n")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil:{port}", "", "[::1]:{port}"]
)
def test_another_host_is_refused_as_a_name_that_was_bent_here_would_be(served: Served, host: str) -> None:
    assert served.ask("", headers={"Host": host.format(port=served.port)}).status == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://localhost:{port}"]
)
def test_another_origin_is_refused(served: Served, origin: str) -> None:
    headers = {"Origin": origin.format(port=served.port)}
    assert served.ask("", headers=headers).status == 403
    assert served.post(f"records?{who()}", posted(), headers=headers).status == 403


def test_a_post_that_no_browser_made_is_refused(served: Served) -> None:
    assert served.post(f"records?{who()}", posted(), headers={"Origin": ""}).status == 403


def test_localhost_is_this_machine_too(served: Served) -> None:
    assert served.ask("", headers={"Host": f"localhost:{served.port}"}).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Length": str(1 << 30)}, 413),
        ({"Content-Length": "-1"}, 411),
        ({"Content-Length": "1e3"}, 411),
        ({"Content-Length": "", "Transfer-Encoding": "chunked"}, 411),
        ({"Transfer-Encoding": "chunked"}, 411),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
def test_what_is_too_large_or_no_json_is_not_read(served: Served, headers: dict[str, str], status: int) -> None:
    answer = served.post(f"records?{who()}", b"{}", headers=headers)
    assert (answer.status, answer.headers["Connection"]) == (status, "close")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "GET\tx"])
def test_other_methods_are_refused(served: Served, method: str) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        connection.sendall(f"{method} /{served.token}/ HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode())
        assert re.match(rb"HTTP/1.1 (400|501) ", connection.recv(1000))


def test_what_breaks_off_or_is_no_http_disturbs_nobody(served: Served) -> None:
    for sent in (b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\nHost: x", b"GET " + b"a" * 70_000 + b"\r\n"):
        with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
            connection.sendall(sent)
            # A reset, as browsers send it.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        line = f"GET /{served.token}/bundle/weights-int8.bin HTTP/1.1"
        connection.sendall(f"{line}\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    assert served.ask("").status == 200
    status, out, said = served.interrupt()
    assert (status, out) == (130, "")
    assert "Traceback" not in said
    assert "failed" not in said


def test_one_connection_serves_many_requests(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    with contextlib.closing(connection):
        connection.connect()
        # With this it would connect anew instead of failing.
        connection.auto_open = 0
        for _ in range(3):
            connection.request("GET", f"/{served.token}/settings")
            assert len(connection.getresponse().read()) > 100


def test_the_token_is_another_one_each_time(serve: Serve) -> None:
    assert serve().token != serve().token
