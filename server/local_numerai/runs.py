"""How the embedded Numerai runs a pickle: in the image where the engine has it, else in a matching venv."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

from server.errors import EngineFailure
from server.local_numerai.storage import FIXED_FILES
from server.runners.types import DockerImage, RunReport, RunRequest

Run = Callable[[Path, DockerImage, Path], Awaitable[RunReport]]
"""Runs a pickle in an image on the live data, its output into an existing empty folder."""


def runner(cache_dir: Path) -> Run:
    """A Run that makes its venvs in `cache_dir`; no image is ever pulled."""

    async def run(pickle_path: Path, image: DockerImage, output_dir: Path) -> RunReport:
        from server.runners.container import run_in_container
        from server.runners.venv import make_venv
        from server.runners.venv_run import run_in_venv

        request = RunRequest(
            pickle_path=pickle_path,
            dataset=FIXED_FILES / "live.parquet",
            benchmarks=FIXED_FILES / "live_benchmark_models.parquet",
            output_dir=output_dir,
        )
        try:
            return await run_in_container(request, image)
        except EngineFailure:
            venv = await make_venv(cache_dir / "venvs" / f"{image.image}-{image.tag}", image, cache_dir=cache_dir)
            return await run_in_venv(request, venv.interpreter)

    return run


@cache
def live_ids() -> frozenset[str]:
    """The ids of the live rows."""
    # Imported late: pyarrow takes a good part of the time to start.
    from pyarrow import parquet

    return frozenset(parquet.read_table(FIXED_FILES / "live.parquet", columns=["id"])["id"].to_pylist())
