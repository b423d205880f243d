"""Forty of the seeded fault schedules; `fault_schedules.py` runs as many as wanted."""

from __future__ import annotations

from tests.numerai.fault_schedules import run_all, summary


def test_whatever_fails_a_file_is_registered_exactly_once_or_clearly_refused():
    reports = run_all(range(40))
    print(summary(reports))
    assert [(report.schedule.seed, report.problem) for report in reports if report.problem] == []
    assert {report.ended for report in reports} == {"registered", "refused"}
    assert sum(report.killed for report in reports) > 0
