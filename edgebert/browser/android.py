"""Android's debug bridge: through its cable a phone reaches a port of this machine as if it were its own."""

import shutil
import subprocess

_MAY_TAKE_S = 10


class Cable:
    """Phones that a port was passed on to, by adb."""

    def __init__(self, port: int):
        """Pass a port on to each phone that is connected; `phones` are their serial numbers, none without adb."""
        self._adb = shutil.which("adb")
        self._port = f"tcp:{port}"
        self.phones = [serial for serial in self._connected() if self._reverse(serial, self._port, self._port)]

    def end(self) -> None:
        """Take the port back."""
        for serial in self.phones:
            self._reverse(serial, "--remove", self._port)

    def _connected(self) -> list[str]:
        # "SERIAL\tdevice" for each; other words are for phones that have not agreed yet, or are off.
        rows = (line.split("\t") for line in (self._output(["devices"]) or "").splitlines())
        return [row[0] for row in rows if len(row) == 2 and row[1].strip() == "device" and row[0]]

    def _reverse(self, serial: str, *words: str) -> bool:
        return self._output(["-s", serial, "reverse", *words]) is not None

    def _output(self, words: list[str]) -> str | None:
        """Return what adb prints, None where it is not there or fails."""
        if self._adb is None:
            return None
        try:
            done = subprocess.run(
                [self._adb, *words], capture_output=True, text=True, errors="replace", timeout=_MAY_TAKE_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None
