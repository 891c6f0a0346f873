"""A server of the page in a process of its own, asked as a browser would, or otherwise; and what a page posts."""

import http.client
import json
import re
import signal
import subprocess
from dataclasses import dataclass, field
from typing import Any

import msgspec
from fake_trials import READING, RIGHT

from edgebert.browser.posted import PageMeasurement, PageTrial, Posted
from edgebert.inputs.bundle import Bundle
from edgebert.machine.javascript_device import JavaScriptDevice
from edgebert.subnet import Way
from profiles import BEST, PHONE, in_a_browser, profile_of_costs

WASM = Way(engine="wasm", device="CPU", flavor="fused", threads=1, options=())
PAGE = "0" * 32


def trial(this_round: int = 1, subnet_id: str = BEST) -> PageTrial:
    """Return what a page could have measured."""
    memory = {"peak_memory_mb": 60.0, "steady_memory_mb": 60.0, "private_memory_mb": 60.0}
    costs = {"load_ms": 100.0, "first_ms": 10.0, "new_shape_ms": 0.0}
    samples = {"runs_per_sample": (1, 1), "samples_ms": ((1.0,) * 20, (2.0,) * 20)}
    result = PageMeasurement(**costs, **memory, **samples, numerics=RIGHT)
    return PageTrial(round=this_round, subnet=subnet_id, way=WASM, reading=READING, result=result)


def as_json(record: Any) -> Any:
    """Return what a record is in JSON."""
    return json.loads(msgspec.json.encode(record))


def posted(this_round: int = 1, *, device: JavaScriptDevice = PHONE) -> Any:
    """Return what a page posts of a trial, as plain JSON that a test may spoil."""
    return as_json(Posted(device=device, done=this_round, total=9, trial=trial(this_round)))


def profile_of(bundle: Bundle, device: JavaScriptDevice = PHONE) -> Any:
    """Return the profile that a page posts, as plain JSON."""
    found = msgspec.structs.replace(in_a_browser(profile_of_costs(bundle, {BEST: 40.0})), device=device)
    return as_json(found)


def who(device: JavaScriptDevice = PHONE, page: str = PAGE) -> str:
    """Return the query that says whose a request is."""
    return f"device={device.fingerprint}&page={page}"


@dataclass(frozen=True)
class Reply:
    """What the server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """What the body holds as JSON."""
        return json.loads(self.body)


@dataclass
class Served:
    """A running `edgebert profile --browser` without encryption."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    port: int = 0
    token: str = ""

    def read_address(self) -> None:
        """Read what it prints until the address is there."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            found = re.fullmatch(r"\s*http://127\.0\.0\.1:(\d+)/([\w-]{22})/\n", line)
            if found:
                self.port, self.token = int(found[1]), found[2]
                return
        raise AssertionError("".join(self.said))

    def wait_for(self, line: str) -> None:
        """Read what it prints until a line is there."""
        assert self.process.stderr is not None
        for found in self.process.stderr:
            self.said.append(found)
            if found == line:
                return
        raise AssertionError("".join(self.said))

    def ask(
        self,
        name: str,
        *,
        method: str = "GET",
        content: Any = None,
        path: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Ask for what is behind the token, or for any path; a header of "" is left out."""
        host = f"127.0.0.1:{self.port}"
        usual = {"Host": host}
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        if method == "POST":
            usual |= {"Origin": f"http://{host}", "Content-Type": "application/json", "Content-Length": str(len(body))}
        sent = {name: value for name, value in (usual | (headers or {})).items() if value}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path or f"/{self.token}/{name}", skip_host=True, skip_accept_encoding=True)
            for header, value in sent.items():
                connection.putheader(header, value)
            connection.endheaders(body if method == "POST" else None)
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def post(self, name: str, content: Any, **options: Any) -> Reply:
        """Post JSON, or bytes as they are."""
        return self.ask(name, method="POST", content=content, **options)

    def begin(self, device: JavaScriptDevice = PHONE, page: str = PAGE) -> Any:
        """Begin as a page does, and return what was done before."""
        return self.ask(f"records?{who(device, page)}").json

    def ends(self) -> tuple[int, str, str]:
        """Return its status, its output and what it said, when it has ended."""
        out, said = self.process.communicate(timeout=300)
        return self.process.returncode, out, "".join(self.said) + said

    def interrupt(self) -> tuple[int, str, str]:
        """End it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        return self.ends()
