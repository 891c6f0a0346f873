"""Kills `edgebert predict --out` at random moments, and has the same command go on.

After each kill the file holds whole answers and a torn last line at most; after the run that is let finish it is, byte
for byte, what an undisturbed run writes, and nothing else is left. `python tests/kills/predict.py [KILLS] [SEED]`
prints the figures and fails on the first difference; tests/cli/test_predict.py has one kill of its own.
"""

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

SUBNET = "w0.25-d0.50-int8"
FORMS = ("tsv", "csv", "jsonl")
TEXTS = 6000
WORDS = ("a", "great", "film", "dull", "it", "is", "long", "but", "every", "minute", "warm", '"bad"', "plot,", "so")


def command(folder: Path, out: Path) -> list[str]:
    """Return the command that writes the answers."""
    return [
        *(sys.executable, "-m", "edgebert", "predict", "--file", str(folder / "t.txt")),
        *("--subnet", SUBNET, "--out", str(out)),
    ]


def run(folder: Path, out: Path) -> float:
    """Let a command finish, and return the seconds that it took."""
    start = time.perf_counter()
    done = subprocess.run(command(folder, out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - start


def kill_after(folder: Path, out: Path, seconds: float) -> str:
    """Start a command and kill it after some seconds; return what the file was then."""
    process = subprocess.Popen(command(folder, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    process.kill()
    if process.wait() == 0:
        return "finished before"
    size = out.stat().st_size if out.exists() else 0
    return "killed with answers" if size else "killed before the first answer"


def check(kills: int, seed: int) -> Counter[str]:
    """Kill so many runs, up to three of a file before one is let finish, and return how often each came to what."""
    draw, seen = random.Random(seed), Counter[str]()
    with TemporaryDirectory() as name:
        folder = Path(name)
        texts = [" ".join(draw.choices(WORDS, k=draw.randint(1, 9))) for _ in range(TEXTS)]
        (folder / "t.txt").write_text("\n".join(texts) + "\n")
        whole, seconds = {}, 0.0
        for form in FORMS:
            out = folder / f"whole.{form}"
            seconds = max(seconds, run(folder, out))
            whole[form] = out.read_bytes()

        while seen.total() < kills:
            form = draw.choice(FORMS)
            out = folder / f"out.{form}"
            for _ in range(min(draw.randint(1, 3), kills - seen.total())):
                seen[kill_after(folder, out, draw.uniform(0, seconds))] += 1
                content = out.read_bytes() if out.exists() else b""
                assert whole[form].startswith(content), f"kill {seen.total()}: not what was to be written"
            run(folder, out)
            assert out.read_bytes() == whole[form], f"kill {seen.total()}: other answers than without a kill"
            record = folder / f".out.{form}.edgebert"
            record.unlink()
            out.unlink()
            left = {path.name for path in folder.iterdir() if "whole" not in path.name}
            assert left == {"t.txt"}, f"kill {seen.total()}: left behind {left}"
    return seen


if __name__ == "__main__":
    kill_count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    kill_seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    print(f"{kill_count} kills with seed {kill_seed}: {dict(check(kill_count, kill_seed))}, 0 wrong")  # noqa: T201
