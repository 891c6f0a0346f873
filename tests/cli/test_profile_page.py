import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebert.browser.onnxruntime_web import HASHES

Edgebert = Callable[..., Any]


@pytest.fixture
def ort_web(tmp_path: Path) -> str:
    """A folder that looks like onnxruntime-web's."""
    for name in HASHES:
        (tmp_path / name).touch()
    return str(tmp_path)


@pytest.mark.parametrize(
    "option",
    [
        ("--host", "user@device"),
        ("--engines", "cpu"),
        ("--provider", "cpu"),
        ("--requests-per-s", "5"),
        ("--emulate", "cpus=1"),
    ],
)
def test_what_is_of_no_page_is_refused_with_it(edgebert: Edgebert, option: tuple[str, str]) -> None:
    message = edgebert("profile", "--browser", *option).usage_error("profile")
    assert f"expected {option[0]} only without --browser" in message


@pytest.mark.parametrize(
    "option", [("--listen", "0.0.0.0"), ("--certificate", "c"), ("--key", "k"), ("--ort-web", "f")]
)
def test_what_is_of_a_page_alone_is_refused_without_it(edgebert: Edgebert, option: tuple[str, str]) -> None:
    message = edgebert("profile", *option).usage_error("profile")
    assert f"expected {option[0]} only with --browser" in message


def test_a_key_goes_with_a_certificate(edgebert: Edgebert) -> None:
    message = edgebert("profile", "--browser", "--key", "k").usage_error("profile")
    assert "expected --key with --certificate" in message


@pytest.mark.parametrize(
    "place", ["", ":8000", "a b", "host:", "host:port", "host:65536", "::1", "[::1", "http://host", "-x/"]
)
def test_where_to_listen_is_a_host_and_a_port(edgebert: Edgebert, place: str) -> None:
    message = edgebert("profile", "--browser", f"--listen={place}").usage_error("profile")
    assert f"expected HOST or HOST:PORT, found {place}".strip() in message


def test_a_place_that_is_taken_is_told_in_a_line(edgebert: Edgebert, ort_web: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        done = edgebert("profile", "--browser", "--listen", place, "--ort-web", ort_web)
    assert f"cannot listen on {place}: " in done.error(1)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--lengths", "100000"), "expected a length of 2 to"),
        (("--batch-sizes", "5000"), "expected a batch size of 1 to 1024"),
        (("--subnets", "w9"), "no sub-network 'w9'"),
        (("--out", "/none/out.json"), "cannot write /none/out.json"),
        (("--certificate", "/none.pem"), "cannot use /none.pem"),
    ],
)
def test_what_cannot_be_done_is_told_before_anybody_opens_the_page(
    edgebert: Edgebert, ort_web: str, options: tuple[str, str], reason: str
) -> None:
    assert reason in edgebert("profile", "--browser", "--ort-web", ort_web, *options).error(1)


def test_without_what_makes_certificates_a_line_says_how_to_get_it(
    edgebert: Edgebert, ort_web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    error = edgebert("profile", "--browser", "--listen", "0.0.0.0", "--ort-web", ort_web).error(1)
    assert "a certificate for the page needs cryptography; pip install 'edgebert[web]'" in error
