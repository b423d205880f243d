"""What the runners take and give."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Progress = Callable[[str], Awaitable[None]]
"""Called with one short line about what is being done now."""


async def silent(_: str) -> None:
    """A Progress that says nothing."""


@dataclass(frozen=True)
class DockerImage:
    """One of Numerai's docker images, as `computePickleDockerImages` lists it."""

    id: str | None
    name: str
    image: str
    tag: str
    default: bool = False
    deprecated: bool = False
    experimental: bool = False

    @property
    def reference(self) -> str:
        """What docker pulls: `ghcr.io/numerai/IMAGE:TAG`."""
        return f"ghcr.io/numerai/{self.image}:{self.tag}"

    @property
    def python_version(self) -> str | None:
        """The image's Python minor, "3.12" for `numerai_predict_py_3_12`; None where the name has none."""
        found = re.search(r"py_(\d+)_(\d+)$", self.image)
        return f"{found[1]}.{found[2]}" if found else None


@dataclass(frozen=True)
class Limits:
    """Numerai's production limits unless told otherwise."""

    timeout_seconds: float = 600.0
    memory_mb: int = 4096
    cpus: float = 1.0


@dataclass(frozen=True)
class RunRequest:
    """One run of a pickle by Numerai's `predict.py` contract on the given parquet files."""

    pickle_path: Path
    dataset: Path
    benchmarks: Path
    output_dir: Path
    """An existing, private, empty folder: receives `live_predictions-<hex>.csv` and `run.log`."""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class RunReport:
    """What happened. It states facts; what they mean is the diagnosis's business."""

    runner: Literal["docker", "venv"]
    environment: str
    """The image's reference, or the venv's interpreter."""
    python_version: str | None
    image_digest: str | None
    stand_in: bool
    """The image is a stand-in of Numerai's (it carries the stand-in label)."""
    emulated: bool
    """The image's platform is not the host's: times prove nothing."""
    exit_code: int | None
    """None when the run was ended for time."""
    timed_out: bool
    oom_killed: bool
    """The engine's (or the kernel's) word, not a guess."""
    seconds: float
    """Wall time of the run in the container or child, start-up of Python included."""
    peak_memory_mb: float | None
    log: str
    """The last 64 KiB of stdout and stderr together, as the run wrote them."""
    log_path: Path
    predictions_csv: Path | None
