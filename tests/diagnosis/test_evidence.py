"""Every failure of the table really happens, and gets its diagnosis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.diagnosis.table import CASES, SEEN_BEFORE, Case, is_expected, run_case


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.requires(*case.requirements), id=case.name) for case in CASES]
)
def test_a_failure_gets_its_diagnosis(case: Case, image_python: Callable[..., Path], tmp_path: Path) -> None:
    outcome = run_case(case, image_python, tmp_path)
    assert is_expected(case, outcome), outcome
    if outcome.diagnosis is None:
        assert not outcome.must_fail, outcome.warned
    elif case.expected in SEEN_BEFORE:
        assert case.expected in {finding.id for finding in outcome.warned if finding.verdict != "note"}
