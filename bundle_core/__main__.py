"""`python -m bundle_core COMMAND`: a JSON request on stdin, a JSON report on stdout.

Exit code 0 with `{"ok": true, "report": ...}`; an expected failure is exit code 3 with
`{"ok": false, "error": {"kind", "cause", "evidence", "next_step"}}`. What libraries print goes to stderr.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bundle_core import reports
from bundle_core.errors import BundleError
from bundle_core.reports import EXPECTED_FAILURE, PROGRESS
from bundle_core.typed_json import Mismatch, from_json

WRONG_USE = 2


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        print(f"usage: python -m bundle_core {'|'.join(COMMANDS)} <request.json", file=sys.stderr)
        return WRONG_USE
    kind, command = COMMANDS[arguments[0]]
    # Libraries print to stdout, also from C: it is for the report alone.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        request = from_json(kind, json.load(sys.stdin))
    except (Mismatch, json.JSONDecodeError) as error:
        print(f"no {kind.__name__}: {error}", file=sys.stderr)
        return WRONG_USE
    try:
        content, code = {"ok": True, "report": asdict(command(request))}, 0
    except ImportError as error:
        content, code = {"ok": False, "error": _lacking(error)}, EXPECTED_FAILURE
    except OSError as error:
        content, code = {"ok": False, "error": _unusable(error)}, EXPECTED_FAILURE
    except BundleError as error:
        told = {name: getattr(error, name) for name in ("cause", "evidence", "next_step")}
        content, code = {"ok": False, "error": {"kind": type(error).__name__, **told}}, EXPECTED_FAILURE
    with answer:
        json.dump(content, answer, allow_nan=False)
    return code


def _lacking(error: ImportError) -> dict[str, str]:
    return {
        "kind": "BundleError",
        "cause": f"{sys.executable} lacks {error.name or 'a package'}.",
        "evidence": str(error),
        "next_step": "Install it there, or use another Python: make_venv makes one that matches the image.",
    }


def _unusable(error: OSError) -> dict[str, str]:
    return {
        "kind": "BundleError",
        "cause": f"{error.filename or 'A file'} cannot be used: {error.strerror or error}.",
        "evidence": str(error),
        "next_step": "Check the path, its permissions, and the space left on the disk.",
    }


def _probe(request: reports.ProbeRequest) -> reports.ProbeReport:
    from bundle_core.distributions import installed

    return reports.ProbeReport(
        executable=sys.executable,
        python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
        python_full_version=platform.python_version(),
        implementation=platform.python_implementation(),
        platform=platform.platform(),
        packages=installed(request.packages),
    )


def _convert(request: reports.ConvertRequest) -> reports.ConvertReport:
    from bundle_core.conversion import convert

    return convert(request, lambda line: print(f"{PROGRESS}{line}", file=sys.stderr, flush=True))


def _pack(request: reports.PackRequest) -> reports.PackReport:
    from bundle_core.bundle import load
    from bundle_core.packing import pack

    return pack(load(Path(request.bundle_path)), Path(request.output))


def _script(request: reports.ScriptRequest) -> reports.ScriptReport:
    from bundle_core.script import pack_script

    return pack_script(request)


def _check(request: reports.CheckRequest) -> reports.CheckReport:
    from bundle_core.check import check

    return check(request)


def _parity(request: reports.ParityRequest) -> reports.Parity:
    from bundle_core.conversion import prove

    return prove(request)


def _rows(request: reports.RowsRequest) -> reports.RowsReport:
    from bundle_core.run_rows import write_rows

    return write_rows(request)


def _verdict(request: reports.VerdictRequest) -> reports.VerdictReport:
    from bundle_core.run_rows import judge_csv

    return judge_csv(request)


def _fingerprint(request: reports.FingerprintRequest) -> Any:
    from bundle_core.fingerprint import read

    return read(Path(request.pickle_path))


COMMANDS: dict[str, tuple[type[Any], Callable[[Any], Any]]] = {
    "probe": (reports.ProbeRequest, _probe),
    "convert": (reports.ConvertRequest, _convert),
    "pack": (reports.PackRequest, _pack),
    "script": (reports.ScriptRequest, _script),
    "check": (reports.CheckRequest, _check),
    "parity": (reports.ParityRequest, _parity),
    "rows": (reports.RowsRequest, _rows),
    "verdict": (reports.VerdictRequest, _verdict),
    "fingerprint": (reports.FingerprintRequest, _fingerprint),
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
