"""The harness, here in a venv, keeps Numerai's contract: its log lines, checks and exit codes, gaps included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from server.errors import EnvironmentFailure
from server.runners.types import RunRequest
from server.runners.venv_run import run_in_venv

pytestmark = pytest.mark.requires("python:3.12")
Requests = Callable[..., RunRequest]


@pytest.fixture
def python(image_python: Callable[..., Path]) -> Path:
    return image_python("3.12")


async def test_a_good_model_logs_what_numerais_script_logs(
    request_for: Requests, python: Path, temporary: Path
) -> None:
    report = await run_in_venv(request_for("good"), python)
    lines = (
        "Loading model ",
        "Predicting on 200 rows of live features",
        "Generated 200 predictions",
        "Saving predictions",
    )
    found = [report.log.index(line) for line in lines]
    assert found == sorted(found)
    assert (report.exit_code, report.timed_out, report.runner, report.python_version) == (0, False, "venv", "3.12")
    assert report.predictions_csv
    assert report.predictions_csv.name.startswith("live_predictions-")
    assert report.predictions_csv.read_text().startswith("id,prediction\n")
    assert report.peak_memory_mb
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("nothing", "Pickle function is invalid - returned None"),
        ("series", "Pickle function is invalid - returned <class 'pandas.core.series.Series'> instead of pd.DataFrame"),
        ("no_rows", "returned 0 predictions"),
        ("nan", "returned at least 1 NaN prediction"),
        ("raw_scores", "Ensure values are between 0 and 1"),
        ("text_column", "Pickle function is invalid - '>=' not supported between instances of 'str' and 'int'"),
        ("three_parameters", "Invalid pickle function - "),
        ("a_list", "is not a callable object"),
        ("no_pickle", "Invalid pickle - invalid load key, '<'."),
        ("raises", "KeyError"),
    ],
)
async def test_what_numerais_script_refuses_exits_with_1_and_says_why(
    model: str, line: str, request_for: Requests, python: Path
) -> None:
    report = await run_in_venv(request_for(model), python)
    assert line in report.log
    assert (report.exit_code, report.predictions_csv) == (1, None)
    assert "Generated" not in report.log


@pytest.mark.requires("python:3.10")
async def test_a_pickle_across_the_change_of_code_objects_is_incompatible(request_for: Requests, python: Path) -> None:
    report = await run_in_venv(request_for("good", built_with="3.10"), python)
    assert "Pickle incompatible with 3.12" in report.log
    assert "issubclass() arg 1 must be a class" in report.log


async def test_a_model_over_the_memory_limit_gets_a_memory_error(request_for: Requests, python: Path) -> None:
    report = await run_in_venv(request_for("memory", memory_mb=400), python)
    assert "MemoryError" in report.log
    assert (report.exit_code, report.oom_killed) == (1, False)


async def test_a_model_that_takes_too_long_is_ended(request_for: Requests, python: Path) -> None:
    report = await run_in_venv(request_for("forever", timeout=3), python)
    assert (report.timed_out, report.exit_code, report.predictions_csv) == (True, None, None)


async def test_a_segmentation_fault_does_not_reach_the_server(request_for: Requests, python: Path) -> None:
    assert (await run_in_venv(request_for("segfault"), python)).exit_code == 139


async def test_keys_are_not_in_the_environment_of_a_model(
    request_for: Requests, python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMERAI_MCP_AUTH", "PUBLIC$SECRET")
    report = await run_in_venv(request_for("shows_environment"), python)
    assert "'PATH'" in report.log
    assert "NUMERAI_MCP_AUTH" not in report.log
    assert str(Path.home()) not in report.log.partition("'HOME'")[2].partition(",")[0]


async def test_an_interpreter_that_does_not_run_is_named(request_for: Requests) -> None:
    with pytest.raises(EnvironmentFailure, match="/no/python does not run"):
        await run_in_venv(request_for("good"), Path("/no/python"))
