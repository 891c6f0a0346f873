"""What there is to ask of the page's server, each under its name: knows neither sockets nor who may ask."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from edgebert import records
from edgebert.browser.devices import Devices, OtherPageError
from edgebert.browser.page_files import kind_of
from edgebert.browser.posted import Posted, PostedProblem
from edgebert.errors import EdgeBertError, ProfileError
from edgebert.inputs.bundle import Bundle
from edgebert.inputs.bundle_file import MANIFEST, read_whole
from edgebert.inputs.manifest import FileRef, WeightFile
from edgebert.measuring.device_profile import DeviceProfile

_JSON = "application/json"
# Of what is posted under each name.
MOST_BYTES = {"records": 1 << 20, "profile": records.MAX_JSON_BYTES, "problems": 1 << 12}

# What is the same as long as the token is: each network's worker loads all of onnxruntime-web.
_LASTING = {"Cache-Control": "private, max-age=86400, immutable"}

_WHO = re.compile(r"device=([0-9a-f]{64})&page=([0-9a-f]{32})")
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")


@dataclass(frozen=True)
class Answer:
    """What is sent back: `parts` together have `size_bytes`."""

    parts: Iterable[bytes]
    size_bytes: int
    kind: str
    status: int = 200
    headers: Mapping[str, str] | None = None

    @classmethod
    def of(cls, content: bytes, kind: str, status: int = 200, headers: Mapping[str, str] | None = None) -> "Answer":
        """Return an answer of bytes that are at hand."""
        return cls([content], len(content), kind, status, headers)

    @classmethod
    def line(cls, text: str, status: int) -> "Answer":
        """Return an answer in words."""
        return cls.of(f"{text}\n".encode(), "text/plain; charset=utf-8", status)


class Site:
    """The page, the modules it is made of, the bundle, and what devices have done."""

    def __init__(self, bundle: Bundle, files: Mapping[str, bytes], ort: Mapping[str, bytes], devices: Devices):
        """Take the files of the page and of onnxruntime-web, by their names, and who keeps what devices post.

        Raises:
            BundleError: the bundle was replaced since it was loaded.
        """
        self._bundle, self._devices = bundle, devices
        manifest = read_whole(bundle.path / MANIFEST)
        bundle.manifest.check_content(manifest, bundle.path / MANIFEST)
        self._content = {
            "": files["page/index.html"],
            "settings": msgspec.json.encode(devices.asked),
            f"bundle/{MANIFEST}": manifest,
            **{f"js/{name}": content for name, content in files.items()},
            **{f"ort/{name}": content for name, content in ort.items()},
        }
        self._kinds = {"": "text/html; charset=utf-8", "settings": _JSON}
        # Only what the manifest names: a folder may hold more.
        self._files = {f"bundle/{file.file}": file for file in bundle.files()}

    def get(self, name: str, query: str, wanted_range: str | None) -> Answer:
        """Return what is asked for.

        Raises:
            BundleError: a file of the bundle is not what was exported.
        """
        if name in self._content and not query:
            kind = self._kinds.get(name) or kind_of(name)
            return Answer.of(self._content[name], kind, headers=_LASTING if name.startswith(("js/", "ort/")) else None)
        if name in self._files and not query:
            return self._of_bundle(self._files[name], wanted_range)
        who = _WHO.fullmatch(query)
        if name == "records" and who:
            return Answer.of(msgspec.json.encode(self._devices.begin(who[1], who[2])), _JSON)
        return Answer.line("there is no such thing here", 404)

    def post(self, name: str, query: str, content: bytes) -> Answer:
        """Take what a page posts; what is wrong with it is said in a line."""
        who = _WHO.fullmatch(query)
        if who is None:
            return Answer.line("there is no such thing here", 404)
        try:
            if name == "records":
                posted = records.decode(content, Posted, "the posted trial", ProfileError)
                self._devices.add(who[1], who[2], posted)
            elif name == "problems":
                problem = records.decode(content, PostedProblem, "the posted problem", ProfileError)
                self._devices.stop(problem.reason)
            else:
                profile = records.decode(content, DeviceProfile, "the posted profile", ProfileError)
                self._devices.finish(who[1], who[2], profile)
            return Answer.of(b"{}", _JSON)
        except OtherPageError as problem:
            return Answer.line(str(problem), 409)
        except EdgeBertError as problem:
            return Answer.line(str(problem), 400)

    def _of_bundle(self, file: FileRef | WeightFile, wanted_range: str | None) -> Answer:
        kind = "application/octet-stream"
        if isinstance(file, FileRef):
            return Answer.of(self._bundle.verified(file), kind)
        size_bytes = file.size_bytes
        found = _RANGE.fullmatch(wanted_range or "")
        start, stop = 0, size_bytes
        if found:
            start = int(found[1])
            stop = min(size_bytes, int(found[2]) + 1) if found[2] else size_bytes
        headers = {"Accept-Ranges": "bytes"}
        if not start < stop:
            return Answer([], 0, kind, 416, headers | {"Content-Range": f"bytes */{size_bytes}"})
        if found:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size_bytes}"
        parts = self._bundle.open_weights(file).read(start, stop)
        # The first part at once: what was altered there can still be said.
        first = next(parts)
        return Answer(_chained(first, parts), stop - start, kind, 206 if found else 200, headers)


def _chained(first: bytes, others: Iterable[bytes]) -> Iterable[bytes]:
    yield first
    yield from others
