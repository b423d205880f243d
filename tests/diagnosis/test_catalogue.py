"""The catalogue covers the list of failures, keeps its schema, and each entry's own symptom leads to it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bundle_core.fingerprint import read
from server.diagnosis import Entry, Evidence, catalogue, catalogue_markdown, diagnose, explain_log
from server.diagnosis.catalogue import fill

PYTHON_3_14: dict[str, str] = json.loads(Path(__file__).with_name("python_3_14.json").read_text())

# What a person sees, in the words of logs, statuses and answers; the id that it must get.
SYMPTOMS = [
    ("Segmentation fault! Ensure python and library versions match our environment.", "wrong_python_segfault"),
    ("SystemError: file:-1: unknown opcode 135", "wrong_python_unknown_opcode"),
    ("TypeError: issubclass() arg 1 must be a class\nPickle incompatible with 3.12", "wrong_python_code_arguments"),
    ("Can't get attribute '_function_setstate' on <module 'cloudpickle.cloudpickle' from", "cloudpickle_too_new"),
    ("Import error reading pickle - No module named 'numpy._core.numeric'", "numpy_major"),
    ("Import error reading pickle - No module named 'numerai_stack'", "own_module_missing"),
    ("Predicting on 5 rows of live features\nModuleNotFoundError: No module named 'foo'", "package_missing_in_predict"),
    ("Invalid pickle - STACK_GLOBAL requires str", "not_a_pickle"),
    ("Invalid pickle - invalid load key, '<'.", "not_a_pickle"),
    ("NotImplementedError: (str, array(['a'], dtype=object))", "pandas_objects"),
    ("AttributeError: 'Booster' object has no attribute 'handle'", "lightgbm_major"),
    ("Can't get attribute '_PredictScorer' on <module 'sklearn.metrics._scorer'", "sklearn_drift"),
    (
        "RuntimeError: Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False.",
        "gpu_tensor",
    ),
    ("XGBoostError: Must have at least one device: gpu_hist", "xgboost_gpu_or_base_score"),
    ("ValueError: could not convert string to float: '[5E-1]'", "xgboost_gpu_or_base_score"),
    ("TypeError: {'a': 1} is not a callable object", "not_callable"),
    ("Invalid pickle function - <function p> must have 1 or 2 arguments", "wrong_arity"),
    ("LightGBMError: unordered_map::at", "lightgbm_newer_than_image"),
    ("KeyError: \"['feature_x'] not in index\"", "features_of_other_version"),
    ("KeyError: 'v53_lgbm_ender20'", "benchmark_column_renamed"),
    ("KeyError: 'era'", "era_missing"),
    ("Pickle function is invalid - returned at least 1 NaN prediction", "nan_predictions"),
    ("Pickle function is invalid - returned None", "returned_none"),
    ("returned <class 'pandas.core.series.Series'> instead of pd.DataFrame", "returned_wrong_type"),
    ("Pickle function is invalid - returned 0 predictions", "no_rows"),
    ("Pickle function returned invalid predictions. Ensure values are between 0 and 1.", "values_out_of_range"),
    ("'>=' not supported between instances of 'str' and 'int'", "first_column_is_text"),
    ("invalid_submission_headers: headers must be one of ['id']", "submission_headers"),
    ("invalid_submission_ids: Not enough stocks submitted. Are you using the latest live ids", "submission_ids"),
    ("invalid_submission_values: submission must have non-zero standard deviation", "submission_values"),
    ("OOMKilled", "out_of_memory"),
    ("NameResolutionError: Failed to resolve 'numer.ai'", "network_in_predict"),
    ("Could not complete function call after 10 retries", "numerai_side"),
    ("HTTP Error 403: AccessDenied", "model_link_expired"),
    ("submission webhook must be disabled before uploading a pickle", "webhook_set"),
    ("No currently open rounds!", "no_open_round"),
    ("SignatureDoesNotMatch", "signature_mismatch"),
    ("A header you provided implies functionality that is not implemented", "chunked_upload"),
    ("Request has expired", "upload_link_expired"),
    ("Timed out waiting for validation", "poller_hangs"),
    ("401 Unauthorized", "credentials_malformed"),
    ("Model name is already taken", "model_name_rejected"),
    ("Tournament 11 does not accept model uploads", "wrong_tournament"),
    ("docker run ghcr.io/numerai/numerai_predict_py_3_11:stable", "stable_tag"),
    ("Error writing predictions to CSV: disk full\nGenerated 10 predictions", "csv_not_written"),
    ("OSError: [Errno 30] Read-only file system: '/cache'", "read_only_files"),
]


@dataclass(frozen=True)
class Refused:
    """A finding about predictions."""

    id: str
    cause: str = "refused"
    evidence: str = ""


AT_3_12 = replace(
    read(Path(__file__).with_name("table.py")), file_kind="pickle", python_candidates=("3.12",), code_objects=1
)
OF_3_11 = replace(AT_3_12, python_candidates=("3.11",), runnable_on=("3.11",))
RAN = "Predicting on 5 rows of live features"
# What facts tell, with or without words; the id that it must get.
FACTS: list[tuple[Evidence, str]] = [
    (Evidence(exit_code=1, fingerprint=OF_3_11, image_python="3.12"), "wrong_python"),
    (
        Evidence(log="not enough values to unpack", fingerprint=OF_3_11, image_python="3.12"),
        "wrong_python_nonsense_error",
    ),
    (
        Evidence(fingerprint=replace(OF_3_11, runnable_on=("3.11", "3.12")), image_python="3.12"),
        "wrong_python_perhaps",
    ),
    (Evidence(exit_code=139, fingerprint=AT_3_12, image_python="3.12"), "segfault_in_library"),
    (Evidence(log="ValueError: MT19937 is not a known BitGenerator module."), "numpy_random_state"),
    (Evidence(log="AttributeError: Can't get attribute 'predict' on <module '__main__'"), "main_reference"),
    (Evidence(log="No module named 'lightgbm'", runner="venv", pins={"lightgbm": "4.5.0"}), "venv_lacks_package"),
    (Evidence(missing_benchmarks=["v52_lgbm_ender20"]), "benchmark_guard_swallowed"),
    (Evidence(contract=[Refused("row_order")]), "benchmarks_misaligned"),
    (Evidence(exit_code=137), "killed"),
    (Evidence(exit_code=-9), "killed"),
    (Evidence(exit_code=137, oom_killed=True), "out_of_memory"),
    (Evidence(timed_out=True), "out_of_time"),
    (Evidence(exit_code=0, log=RAN), "exited_itself"),
    (Evidence(exit_code=134, log=f"{RAN}\nterminate called without an active exception"), "exited_itself"),
    (Evidence(exit_code=1, log=f"{RAN}\nModel failed to generate a live output!"), "exception_in_predict"),
    (Evidence(log="manifest unknown"), "image_missing"),
    (Evidence(log="Cannot connect to the Docker daemon at unix:///var/run/docker.sock"), "engine_unavailable"),
    (Evidence(api_error="Temporary failure in name resolution", stage="upload"), "no_network_for_upload"),
    (Evidence(log="EOFError: Ran out of input", stage="numerai"), "broken_file_registered"),
    (Evidence(log="the pickle is not listed for this model"), "pickle_not_listed"),
    (Evidence(api_error="API submissions are disabled for this model", stage="upload"), "csv_disabled"),
    (Evidence(data_version_is_current=False), "trained_for_old_data"),
    (Evidence(fingerprint=replace(AT_3_12, hides_failures=True), image_python="3.12"), "fallback_hides_failure"),
]


@pytest.mark.parametrize(("evidence", "expected"), FACTS, ids=[expected for _, expected in FACTS])
def test_facts_get_their_diagnosis(evidence: Evidence, expected: str) -> None:
    assert diagnose(evidence)[0].id == expected


def test_an_old_protocol_is_said_to_be_no_remedy() -> None:
    evidence = Evidence(fingerprint=replace(OF_3_11, protocol=2), image_python="3.12", exit_code=1)
    assert "wrong_python_protocol_changed" in [found.id for found in diagnose(evidence)]


def test_every_entry_that_can_be_met_is_in_a_test() -> None:
    met = {expected for _, expected in (*SYMPTOMS, *FACTS)} | {"wrong_python_protocol_changed"}
    assert {entry.id for entry in catalogue() if entry.patterns or entry.symptoms} == met


def test_every_row_of_the_list_of_failures_has_its_entry() -> None:
    numbers = [entry.number for entry in catalogue() if entry.number is not None]
    assert sorted(numbers) == list(range(1, 56))
    ids = [entry.id for entry in catalogue()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("text", "expected"), SYMPTOMS, ids=[expected for _, expected in SYMPTOMS])
def test_a_symptom_gets_its_diagnosis(text: str, expected: str) -> None:
    found = diagnose(Evidence(log=text))[0]
    assert found.id == expected
    assert found.cause
    assert found.next_step
    # The same words in a status or in an answer of the API lead to the same place.
    assert diagnose(Evidence(statuses=[("model_failed", text)]))[0].id == expected


@pytest.mark.parametrize("entry", catalogue(), ids=lambda entry: entry.id)
def test_texts_are_whole_sentences_and_all_braces_are_filled(entry: Entry) -> None:
    for text in (entry.cause, entry.next_step):
        assert text.endswith((".", ")"))
        assert not re.search(r"\{\w+\}", fill(text, {}))


def test_the_upload_stage_tells_the_upload_s_network_from_the_model_s() -> None:
    text = "httpx.ConnectError: [Errno -3] Temporary failure in name resolution"
    assert diagnose(Evidence(api_error=text, stage="upload"))[0].id == "no_network_for_upload"
    assert diagnose(Evidence(log=text, stage="run"))[0].id == "network_in_predict"


@pytest.mark.parametrize(
    "evidence",
    [
        {"log": "Predicting on 5 rows of live features\nKeyError: 'era'"},
        {"log": "MemoryError"},
        {"log": "AttributeError: module 'numpy' has no attribute 'pandas'"},
        {"exit_code": -11},
        {"exit_code": 1},
        {"oom_killed": True, "exit_code": 137},
        {"timed_out": True},
        {"statuses": [("model_failed", "Model failed to generate a live output!")]},
    ],
)
def test_a_wrong_python_is_named_whatever_the_symptom(evidence: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(bytes.fromhex(PYTHON_3_14["plain"]))
    found = diagnose(Evidence(fingerprint=read(path), image_python="3.12", **evidence))[0]
    assert found.id.startswith("wrong_python")
    assert "3.14" in found.cause
    assert "3.12" in found.cause


def test_a_failure_that_only_shows_after_a_good_run_is_no_wrong_python(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(bytes.fromhex(PYTHON_3_14["plain"]))
    log = "Predicting on 5 rows of live features\nGenerated 5 predictions"
    statuses = [("failed", "invalid_submission_headers: headers must be one of ['id']")]
    found = diagnose(Evidence(log=log, statuses=statuses, fingerprint=read(path), image_python="3.12"))[0]
    assert found.id == "submission_headers"


def test_an_unknown_failure_says_so_with_the_lines_that_matter() -> None:
    found = diagnose(Evidence(log="Loading model\nzlib.error: Error -3 while decompressing\nbye"))
    assert [one.id for one in found] == ["unknown"]
    assert any("zlib.error" in line for line in found[0].evidence)


def test_a_log_made_to_be_searched_for_long_is_searched_briefly() -> None:
    words = [
        "xgboost device ",
        "KeyError: Index([",
        "waiting for failed ",
        "HTTP Error 403 ",
        "a" * 60,
        "exceeded timeout ",
    ]
    for word in words:
        assert diagnose(Evidence(log=word * (2_000_000 // len(word))))
        assert diagnose(Evidence(log=f"{word * 50}\n" * 3_000))


def test_no_evidence_at_all_is_unknown() -> None:
    assert [one.id for one in diagnose(Evidence())] == ["unknown"]


def test_the_page_shows_every_entry() -> None:
    page = catalogue_markdown()
    assert all(entry.id in page for entry in catalogue())


def test_a_log_is_explained_with_cause_evidence_and_next_step() -> None:
    text = explain_log("INFO Predicting on 10 rows of live features\nKeyError: 'v53_lgbm_ender20'\n")
    assert "benchmark_column_renamed" in text
    assert "v53_lgbm_ender20" in text
    assert "Next step:" in text
    assert "untrusted" in text
