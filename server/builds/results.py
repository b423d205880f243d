"""A build in the words and numbers that an agent needs."""

from __future__ import annotations

import dataclasses
from typing import Any

from bundle_core.reports import Parity
from server.builds.build import Built
from server.logs.results import finding_fields

NO_PARITY = Parity("not_run", "A script is the source itself: there is nothing to compare it with.")


def build_result(built: Built) -> dict[str, Any]:
    """The fields of build_pickle's result."""
    parity = built.convert.parity if built.convert else NO_PARITY
    findings = [*built.check.contract, *(built.script.findings if built.script else [])]
    refused = [finding for finding in findings if finding.severity == "refused"]
    told = {key: value for key, value in dataclasses.asdict(parity).items() if key != "points"}
    description = built.pack.description.lines if built.pack.description else [f"The script's own {_signature(built)}."]
    return {
        "summary": " ".join(
            [
                f"{built.pickle_path.name} ({built.pack.size_bytes:,} bytes) was made by Python "
                f"{built.pack.python_version} for {built.venv.image.reference} and ran on {built.check.rows:,} "
                f"{built.check.data} rows.",
                parity_words(parity),
                *(["rank=all was added, because the raw scores leave [0, 1]."] if _rank_added(built) else []),
                f"It breaks {len(refused)} rules of Numerai's: see contract."
                if refused
                else "It keeps Numerai's rules.",
                "Next: inspect_pickle, then run_container_debug." if not refused else "Mend that and build again.",
            ]
        ),
        "pickle_path": str(built.pickle_path),
        "sha256": built.pack.sha256,
        "size_bytes": built.pack.size_bytes,
        "python_version": built.pack.python_version,
        "image": built.venv.image.reference,
        "bundle_path": str(built.bundle_path) if built.bundle_path else None,
        "report_path": str(built.report_path),
        "parity": told,
        "contract": [finding_fields(finding) for finding in findings],
        "predict_seconds": built.check.predict_seconds,
        "load_seconds": built.check.load_seconds,
        "peak_memory_mb": built.check.peak_memory_mb,
        "imports": built.pack.imports,
        "description": description,
        "warnings": [*built.venv.warnings, *(built.convert.warnings if built.convert else [])],
    }


def parity_words(parity: Parity) -> str:
    """The parity in a sentence."""
    if parity.status == "identical":
        return f"Parity: identical on {parity.rows:,} rows ({parity.reason})."
    if parity.status == "different":
        return f"Parity: DIFFERENT, at most {parity.max_abs_diff:.3g} on {parity.rows:,} rows ({parity.reason})."
    return f"Parity: not run ({parity.reason})."


def _rank_added(built: Built) -> bool:
    return built.convert is not None and built.convert.rank_added


def _signature(built: Built) -> str:
    return f"predict({', '.join(built.script.parameters)})" if built.script else "predict"
