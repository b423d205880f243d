"""Requests and reports of `python -m bundle_core`: stdlib dataclasses, so that a caller needs nothing else.

Every field is JSON: paths are strings, durations seconds, memory MiB (2**20 bytes). `typed_json.from_json` reads
either kind back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

EXPECTED_FAILURE = 3
"""The exit code of `python -m bundle_core` with a cause, evidence and next step on stdout."""
PROGRESS = "progress: "
"""Lines on its stderr that begin with this say what is being done."""
LIVE_ROWS = 6500
"""About as many rows as one live era has; time and memory are measured at this size."""


@dataclass(frozen=True)
class Finding:
    """Something that will or may go wrong with the predictions or the pickle."""

    id: str
    severity: Literal["refused", "warning"]
    refused_by: Literal["predict.py", "submission", "container", "nobody"]
    """Who refuses it: the image's script, the submission after it, the container's limits, or nobody."""
    cause: str
    evidence: str
    next_step: str
    source: str
    """Where the rule comes from."""


@dataclass(frozen=True)
class SourceDescription:
    """One model of a bundle."""

    name: str
    kind: str
    """What it became: "tree_ensemble" or "network"."""
    library: str
    """What it was: "lightgbm", "xgboost", ..., or "unknown"."""
    weight: float
    features: int
    size: str
    """In a word: "2000 trees, 62000 leaves", "3 layers, 45312 weights"."""


@dataclass(frozen=True)
class Description:
    """What a bundle holds."""

    sources: list[SourceDescription]
    features: int
    """Distinct feature columns that predict reads."""
    benchmarks: list[str]
    """Benchmark columns that predict reads."""
    needs_era: bool
    steps: list[str]
    """The steps after the raw scores in their order, in words."""
    lines: list[str]
    """A few sentences that an agent can repeat."""
    most_used: dict[str, int] = field(default_factory=dict[str, int])
    """The 20 columns that the trees split on most often, and how often; empty without trees."""


@dataclass(frozen=True)
class Parity:
    """The bundle's raw scores, before any step, beside the source's own."""

    status: Literal["identical", "different", "not_run"]
    reason: str
    """What was compared on which rows, or why nothing was."""
    rows: int = 0
    data: Literal["sample", "synthetic", "none"] = "none"
    max_abs_diff: float | None = None
    rank_correlation: float | None = None
    """Spearman's; null where a side is constant."""
    points: list[list[float]] = field(default_factory=list[list[float]])
    """Up to 200 pairs [source, bundle] for a picture."""


@dataclass(frozen=True)
class ProbeRequest:
    """Ask an interpreter what it is."""

    packages: list[str] = field(default_factory=list[str])
    """Distribution names whose versions are wanted."""


@dataclass(frozen=True)
class ProbeReport:
    """What an interpreter is."""

    executable: str
    python_version: str
    """The minor: "3.12"."""
    python_full_version: str
    implementation: str
    platform: str
    packages: dict[str, str | None]


@dataclass(frozen=True)
class ConvertRequest:
    """Models to one bundle file. Exactly one of `model_path`, `bundle_path`, `pipeline["models"]` names the sources."""

    output: str
    """The `.npz` to write."""
    base_dir: str
    """Relative paths, also those inside the pipeline, start here."""
    model_path: str | None = None
    bundle_path: str | None = None
    features: list[str] | str | None = None
    """Names in training order, or `features.json#set`, or a JSON file with a list."""
    pipeline: dict[str, Any] | None = None
    sample: str | None = None
    """Live-shaped rows (parquet or CSV with column `id` or an index of that name), of which the first 20,000 are used;
    synthetic rows where null."""
    benchmarks: str | None = None
    reference: str | None = None
    """The source's own raw scores by id (parquet or CSV)."""


@dataclass(frozen=True)
class ConvertReport:
    """What `convert` wrote."""

    bundle_path: str
    sha256: str
    size_bytes: int
    description: Description
    parity: Parity
    rank_added: bool
    """`rank="all"` was added because the scores leave [0, 1] and no step after the models was given."""
    warnings: list[str]


@dataclass(frozen=True)
class PackRequest:
    """A bundle file to a pickle, written by this interpreter."""

    bundle_path: str
    output: str


@dataclass(frozen=True)
class PackReport:
    """What `pack` or `script` wrote."""

    pickle_path: str
    sha256: str
    size_bytes: int
    python_version: str
    protocol: int
    versions: dict[str, str | None]
    """Of the packages that the pickle was made with."""
    imports: list[str]
    """Top-level modules that the pickle imports, at load or inside its functions."""
    description: Description | None
    """Null for a script."""


@dataclass(frozen=True)
class ScriptRequest:
    """A user's own `file.py:function` to a pickle. The caller sets the time limit for the import."""

    script: str
    output: str
    base_dir: str
    """The user's repository: modules found under it are packed by value."""
    image_packages: list[str] | None = None
    """Distributions that the image has; null where unknown."""


@dataclass(frozen=True)
class ScriptReport:
    """What `script` wrote and what may go wrong with it."""

    pack: PackReport
    parameters: list[str]
    modules_by_value: list[str]
    findings: list[Finding]


@dataclass(frozen=True)
class CheckRequest:
    """Load the pickle in this interpreter as the image would, and run it."""

    pickle_path: str
    sample: str | None = None
    benchmarks: str | None = None
    bundle_path: str | None = None
    """Names the columns of synthetic rows where no sample is given."""
    features: list[str] | None = None
    benchmark_columns: list[str] | None = None
    rows: int = LIVE_ROWS
    output: str | None = None
    """Where the predictions go (CSV); not kept where null."""


@dataclass(frozen=True)
class CheckReport:
    """One run of a pickle."""

    data: Literal["sample", "synthetic"]
    rows: int
    """Rows of the data that the contract was checked on."""
    failure: str | None
    """The exception's last line where load or predict failed; the figures below are then null."""
    traceback: str | None
    contract: list[Finding]
    timed_rows: int
    load_seconds: float | None
    predict_seconds: float | None
    peak_memory_mb: float | None
    minimum: float | None
    maximum: float | None
    histogram: list[int]
    """Predictions in 20 equal bins over [0, 1]."""
    predictions_path: str | None


@dataclass(frozen=True)
class ParityRequest:
    """A bundle's raw scores on the sample against a reference file."""

    bundle_path: str
    sample: str
    reference: str
    benchmarks: str | None = None


@dataclass(frozen=True)
class RowsRequest:
    """Write the rows that a pickle is to be run on, where the caller has no files of them."""

    pickle_path: str
    """Names the columns by its fingerprint where there is no bundle."""
    benchmarks_output: str
    dataset_output: str | None = None
    """Where synthetic live rows go; null: `dataset` is there and only benchmarks are wanted."""
    dataset: str | None = None
    bundle_path: str | None = None
    rows: int = LIVE_ROWS


@dataclass(frozen=True)
class RowsReport:
    """What was written."""

    rows: int
    features: int
    benchmarks: list[str]


@dataclass(frozen=True)
class VerdictRequest:
    """Hold the CSV that a run wrote against the live rows that it was given."""

    predictions_csv: str
    dataset: str


@dataclass(frozen=True)
class VerdictReport:
    """What a submission of the CSV would meet, and what it holds."""

    rows: int
    contract: list[Finding]
    minimum: float | None
    maximum: float | None
    mean: float | None
    std: float | None
    histogram: list[int]
    """Predictions in 20 equal bins over [0, 1]."""


@dataclass(frozen=True)
class FingerprintRequest:
    """Read a pickle's opcodes. The report is `bundle_core.fingerprint`'s own dataclass."""

    pickle_path: str
