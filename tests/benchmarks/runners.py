"""What the runners cost: a new venv against venv and pip, and a run in the container against a bare `docker run`.

Run: python tests/benchmarks/runners.py [ROUNDS]. Everything is measured in one run with warm caches: the first round
of each side is thrown away.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anyio

from server.runners.container import run_in_container
from server.runners.pins import RUNTIMES, read_pins
from server.runners.pythons import find_python
from server.runners.types import DockerImage, RunRequest
from server.runners.venv import BASE, make_venv

IMAGE = DockerImage(None, "Python 3.12", "numerai_predict_py_3_12", "a78dedd")
MODEL = """
import sys
import cloudpickle, numpy as np, pandas as pd
ids = pd.Index([f"n{row}" for row in range(6500)], name="id")
live = pd.DataFrame({"feature": np.arange(6500) % 5, "era": "X"}, index=ids)
def predict(live_features):
    return live_features[["feature"]].rank(pct=True)
live.to_parquet(sys.argv[1] + "/live.parquet")
open(sys.argv[1] + "/model.pkl", "wb").write(cloudpickle.dumps(predict))
"""


def median_seconds(action: Callable[[Path], object], rounds: int) -> float:
    """Median over `rounds` of calling `action` with a new empty folder, one call before them not counted."""
    seconds: list[float] = []
    for _ in range(rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            action(Path(folder))
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def venvs(rounds: int) -> None:
    python = anyio.run(find_python, "3.12").path
    pins = read_pins((RUNTIMES / "py3.12.txt").read_text())
    wanted = [f"{name}=={pins[name]}" for name in BASE]

    def ours(folder: Path) -> None:
        anyio.run(lambda: make_venv(folder / "venv", IMAGE, cache_dir=folder))

    def pip(folder: Path) -> None:
        subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
        subprocess.run([folder / "venv/bin/python", "-m", "pip", "install", "-q", *wanted], check=True)

    def reuse(folder: Path) -> None:
        anyio.run(lambda: make_venv(kept / "venv", IMAGE, cache_dir=folder))

    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder)
        ours(kept)
        reused = median_seconds(reuse, rounds)
    new, reference = median_seconds(ours, rounds), median_seconds(pip, rounds)
    print(f"make_venv, new:     {new:6.2f} s   venv and pip: {reference:6.2f} s   ratio {new / reference:.3f}")
    print(f"make_venv, reused:  {reused:6.2f} s")


def containers(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        anyio.run(lambda: make_venv(folder / "venv", IMAGE, cache_dir=folder))
        subprocess.run([folder / "venv/bin/python", "-c", MODEL, folder], check=True)

        def ours(output: Path) -> None:
            request = RunRequest(folder / "model.pkl", folder / "live.parquet", folder / "live.parquet", output)
            anyio.run(run_in_container, request, IMAGE)

        def bare(output: Path) -> None:
            mount = ["-v", f"{folder}:{folder}:ro", "-v", f"{output}:/output", "--network=none"]
            data = ["--dataset", folder / "live.parquet", "--benchmarks", folder / "live.parquet"]
            options = ["--debug", "--model", folder / "model.pkl", *data, "--output_dir=/output"]
            subprocess.run(
                ["docker", "run", "--rm", *mount, IMAGE.reference, *options], check=True, capture_output=True
            )

        run, reference = median_seconds(ours, rounds), median_seconds(bare, rounds)
    print(f"run_in_container:   {run:6.2f} s   docker run:   {reference:6.2f} s   overhead {run - reference:+.2f} s")


if __name__ == "__main__":
    how_many = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    venvs(how_many)
    containers(how_many)
