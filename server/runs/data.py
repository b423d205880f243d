"""The rows that a pickle is run on: a file, Numerai's live data, or synthetic rows."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from bundle_core.reports import RowsReport, RowsRequest
from server.datasets import live_files
from server.errors import NumeraiFailure
from server.numerai.account import choose_data_version
from server.numerai.client import open_numerai
from server.runners.interpreter import call
from server.runners.types import Progress
from server.runs.proofs import Data
from server.settings import Settings
from server.workspace import existing_file

ROWS_SECONDS = 120.0


@dataclass(frozen=True)
class RunData:
    """Two parquet files and what a run on them proves."""

    dataset: Path
    benchmarks: Path
    kind: Data
    words: str
    warnings: tuple[str, ...] = ()


async def choose_data(
    settings: Settings,
    pickle: Path,
    dataset: str,
    benchmarks: str | None,
    data_version: str | None,
    folder: Path,
    progress: Progress,
) -> RunData:
    """The files for a run; synthetic ones are written to `folder`.

    Raises:
        InputError: a given file is missing.
        NumeraiFailure: `dataset` is "live" and live data can't be had.
    """
    given = existing_file(settings, benchmarks) if benchmarks else None
    if dataset not in ("auto", "live", "synthetic"):
        path = existing_file(settings, dataset)
        return RunData(path, given or await _benchmarks_for(pickle, path, folder), "file", f"the rows of {path.name}")
    if dataset != "synthetic":
        try:
            return await _live(settings, data_version, given, progress)
        except NumeraiFailure as failure:
            if dataset == "live":
                raise
            why = f"Live data could not be had ({failure.cause}); synthetic rows were used."
            return await _synthetic(pickle, given, folder, (why,))
    return await _synthetic(pickle, given, folder, ())


async def _live(settings: Settings, wanted: str | None, given: Path | None, progress: Progress) -> RunData:
    async with open_numerai(settings) as numerai:
        version = choose_data_version(await numerai.data_versions(deprecated=wanted is not None), wanted)
        files = await live_files(settings.cache_dir, numerai, version, progress)
    return RunData(files.dataset, given or files.benchmarks, "live", f"this round's live rows of {version.name}")


async def _synthetic(pickle: Path, given: Path | None, folder: Path, warnings: tuple[str, ...]) -> RunData:
    dataset, benchmarks = folder / "synthetic.parquet", folder / "synthetic_benchmarks.parquet"
    written = await _write_rows(
        RowsRequest(str(pickle), str(benchmarks), dataset_output=str(dataset), bundle_path=_bundle_of(pickle))
    )
    words = f"{written.rows:,} synthetic rows with the {written.features:,} features that the pickle names"
    return RunData(dataset, given or benchmarks, "synthetic", words, warnings)


async def _benchmarks_for(pickle: Path, dataset: Path, folder: Path) -> Path:
    benchmarks = folder / "synthetic_benchmarks.parquet"
    await _write_rows(RowsRequest(str(pickle), str(benchmarks), dataset=str(dataset), bundle_path=_bundle_of(pickle)))
    return benchmarks


async def _write_rows(request: RowsRequest) -> RowsReport:
    return await call(Path(sys.executable), "rows", request, report_type=RowsReport, timeout_seconds=ROWS_SECONDS)


def _bundle_of(pickle: Path) -> str | None:
    """The bundle that build_pickle wrote beside the pickle; never one that is newer, which may be of another build."""
    bundle = pickle.with_suffix(".npz")
    same_build = bundle.is_file() and abs(bundle.stat().st_mtime - pickle.stat().st_mtime) < ROWS_SECONDS
    return str(bundle) if same_build else None
