"""bundle_core answers in other interpreters, and nothing of the server's gets there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import anyio
import pytest

from bundle_core.reports import ConvertReport, ConvertRequest, ProbeReport, ProbeRequest
from server.errors import BundleFailure, ChildFailure, EnvironmentFailure
from server.runners.interpreter import call
from tests.conftest import base_python

DATA = Path(__file__).parents[1] / "data"


def imposter(folder: Path, script: str) -> Path:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


async def probe(python: Path, *, timeout_seconds: float = 30) -> ProbeReport:
    return await call(python, "probe", ProbeRequest(["pip"]), report_type=ProbeReport, timeout_seconds=timeout_seconds)


@pytest.mark.parametrize(
    "minor", [pytest.param(m, marks=pytest.mark.requires(f"python:{m}")) for m in ("3.10", "3.13")]
)
async def test_a_bare_interpreter_of_each_generation_answers(minor: str) -> None:
    python = base_python(minor)
    assert python
    report = await probe(python)
    assert report.python_version == minor


async def test_a_refusal_keeps_its_cause_evidence_and_next_step(tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_text("no model at all")
    request = ConvertRequest(output=str(tmp_path / "b.npz"), base_dir=str(tmp_path), model_path="model.txt")
    with pytest.raises(BundleFailure) as caught:
        await call(Path(sys.executable), "convert", request, report_type=ConvertReport, timeout_seconds=60)
    assert caught.value.cause
    assert caught.value.next_step


async def test_a_conversion_says_what_it_is_doing_and_a_failure_does_not_repeat_it(tmp_path: Path) -> None:
    heard: list[str] = []

    async def hear(line: str) -> None:
        heard.append(line)

    async def convert(model: str) -> ConvertReport:
        request = ConvertRequest(output=str(tmp_path / "b.npz"), base_dir=str(tmp_path), model_path=model)
        python = Path(sys.executable)
        return await call(python, "convert", request, report_type=ConvertReport, timeout_seconds=60, progress=hear)

    shutil.copy(DATA / "small_forest.txt", tmp_path)
    await convert("small_forest.txt")
    assert heard == ["reading what was trained", "comparing raw scores with the library", "writing the bundle"]
    (tmp_path / "damaged.txt").write_text("no model at all")
    with pytest.raises(BundleFailure) as caught:
        await convert("damaged.txt")
    assert "progress" not in caught.value.evidence


async def test_neither_the_workspace_nor_the_environment_is_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the workspace was imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("NUMERAI_MCP_AUTH", "PUBLIC$SECRET")
    assert (await probe(Path(sys.executable))).executable
    said = imposter(tmp_path, 'echo "$@" >&2; env | grep -E "^(PYTHON|NUMERAI)" >&2; ls >&2; exit 9')
    with pytest.raises(ChildFailure, match="exit code 9") as caught:
        await probe(said)
    assert caught.value.evidence == "-s -m bundle_core probe\nPYTHONHASHSEED=0\nbundle_core"


async def test_an_interpreter_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match=f"{tmp_path}/none cannot be started"):
        await probe(tmp_path / "none")


@pytest.mark.parametrize("answer", ["", "not json", "[1]", '{"ok": true}', '{"ok": true, "report": {"executable": 1}}'])
async def test_an_answer_that_is_no_report_is_a_failure(answer: str, tmp_path: Path) -> None:
    with pytest.raises(ChildFailure, match=r"no report|no ProbeReport"):
        await probe(imposter(tmp_path, f"echo '{answer}'"))


async def test_an_interpreter_that_does_not_answer_in_time_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ChildFailure, match=r"longer than 0\.5 s"):
        await probe(imposter(tmp_path, "exec sleep 600"), timeout_seconds=0.5)


async def test_the_staged_copy_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    await probe(Path(sys.executable))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await probe(Path(sys.executable))
    assert not list(tmp_path.iterdir())
