"""Every failure of the table really happens, and gets its diagnosis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.diagnosis.table import CASES, Case, found_by, is_expected


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.requires(*case.requirements), id=case.name) for case in CASES]
)
def test_a_failure_gets_its_diagnosis(case: Case, image_python: Callable[..., Path], tmp_path: Path) -> None:
    found = found_by(case, image_python, tmp_path)
    assert is_expected(case, found), found
