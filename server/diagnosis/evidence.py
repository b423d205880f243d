"""What is known of a failure, as facts that the catalogue's conditions name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

from bundle_core.fingerprint import Fingerprint
from server.diagnosis.packages import provides

TEXT_LIMIT, LINE_LIMIT = 100_000, 1_000

Stage = Literal["run", "numerai", "upload"]


class ContractFinding(Protocol):
    """A finding about predictions, as `bundle_core.reports.Finding`."""

    @property
    def id(self) -> str: ...
    @property
    def cause(self) -> str: ...
    @property
    def evidence(self) -> str: ...


@dataclass(frozen=True)
class Evidence:
    """All that is known of one failure; None and empty mean unknown."""

    log: str = ""
    statuses: Sequence[tuple[str, str]] = ()
    """(status, description), oldest first."""
    api_error: str = ""
    """What Numerai or its storage answered to a refused call."""
    exit_code: int | None = None
    oom_killed: bool | None = None
    timed_out: bool | None = None
    stage: Stage | None = None
    fingerprint: Fingerprint | None = None
    image_python: str | None = None
    pins: Mapping[str, str] | None = None
    """The image's packages, normalised name -> version."""
    contract: Sequence[ContractFinding] = ()
    csv_written: bool | None = None
    missing_benchmarks: Sequence[str] = ()
    """Benchmark columns that the pickle names and the data version lacks."""
    data_version_is_current: bool | None = None

    runner: Literal["docker", "venv"] | None = None

    @cached_property
    def text(self) -> str:
        """All words: the log, the API's answer, the statuses' descriptions; the last TEXT_LIMIT characters of each.

        Long lines are cut, so that no pattern can be made to search for long.
        """
        parts = (self.log, self.api_error, *(description for _, description in self.statuses))
        lines = (line[:LINE_LIMIT] for part in parts for line in part[-TEXT_LIMIT:].splitlines())
        return "\n".join(lines)


@dataclass(frozen=True)
class Facts:
    """Facts as `family:value` words; a family without a word is unknown."""

    words: frozenset[str]
    sentences: Mapping[str, str] = field(default_factory=dict[str, str])
    """What to show as evidence for a word."""

    @property
    def families(self) -> frozenset[str]:
        return frozenset(word.partition(":")[0] for word in self.words)


def facts_of(evidence: Evidence) -> Facts:
    """The facts in the evidence other than the log's own words."""
    sentences: dict[str, str] = {}
    for word, sentence in _all_facts(evidence):
        sentences.setdefault(word, sentence)
    return Facts(frozenset(sentences), sentences)


def _all_facts(evidence: Evidence) -> Iterator[tuple[str, str]]:
    yield from _run_facts(evidence)
    if evidence.image_python:
        yield f"image:{evidence.image_python}", f"The image runs Python {evidence.image_python}."
    for status, _ in evidence.statuses:
        yield f"status:{status}", f"Numerai's status: {status}."
    for finding in evidence.contract:
        yield f"contract:{finding.id}", f"{finding.cause} {finding.evidence}".strip()
    lacking = re.search(r"No module named '(\w+)", evidence.text)
    if lacking and evidence.runner == "venv" and evidence.pins and provides(evidence.pins, lacking[1]):
        yield "lacking:venv", f"The image has {lacking[1]}; the venv does not."
    if evidence.missing_benchmarks:
        yield "benchmarks:missing", f"Not in the data version: {', '.join(evidence.missing_benchmarks[:5])}."
    if evidence.data_version_is_current is not None:
        yield (
            f"dataversion:{'current' if evidence.data_version_is_current else 'old'}",
            "A newer data version is current.",
        )
    if evidence.fingerprint is not None:
        yield from _pickle_facts(evidence.fingerprint, evidence.image_python)


def _run_facts(evidence: Evidence) -> Iterator[tuple[str, str]]:
    if evidence.stage:
        yield f"stage:{evidence.stage}", ""
    if evidence.exit_code is not None:
        # A child that a signal ended has a negative code here, and 128 + signal in a container.
        code = evidence.exit_code if evidence.exit_code >= 0 else 128 - evidence.exit_code
        yield f"exit:{code}", f"The run ended with exit code {code}."
    if evidence.oom_killed is not None:
        yield f"memory:{'killed' if evidence.oom_killed else 'enough'}", "The engine reports that memory ran out."
    if evidence.timed_out is not None:
        yield f"time:{'out' if evidence.timed_out else 'enough'}", "The run was ended at its time limit."
    if evidence.csv_written is not None:
        yield f"csv:{'written' if evidence.csv_written else 'missing'}", "No predictions CSV was written."
    if evidence.runner:
        yield f"runner:{evidence.runner}", f"It ran in the {evidence.runner} runner."
    if evidence.text:
        generated = re.search(r"^.*Generated \d+ predictions", evidence.text, re.M)
        yield f"generated:{'yes' if generated else 'no'}", "The log has no line 'Generated N predictions'."
        reached = "predict" if re.search(r"Predicting on \d+ rows", evidence.text) else "load"
        yield (
            f"reached:{reached}",
            "The run got as far as predict." if reached == "predict" else "The run ended at load.",
        )


def _pickle_facts(pickle: Fingerprint, image_python: str | None) -> Iterator[tuple[str, str]]:
    if pickle.code_objects and image_python:
        made_by = " or ".join(pickle.python_candidates) or "an unknown version"
        relation = "executable" if image_python in pickle.runnable_on else "differs"
        if image_python in pickle.python_candidates:
            relation = "same"
        if pickle.python_candidates:
            sentence = f"The pickle's bytecode is of Python {made_by}; the image runs {image_python}."
            yield f"python:{relation}", sentence
    yield f"file:{pickle.file_kind}", pickle.problem or f"The file is a {pickle.file_kind}."
    if not pickle.complete and pickle.file_kind == "pickle" and "truncated" in pickle.problem:
        yield "file:truncated", pickle.problem
    yield f"top:{pickle.top_kind}", f"The pickle's top object is a {pickle.top_kind} ({pickle.top_name})."
    if pickle.parameters is not None:
        fits = len(pickle.parameters) in (1, 2)
        yield f"arity:{'fits' if fits else 'wrong'}", f"predict takes ({', '.join(pickle.parameters)})."
    for family, value in (
        ("cloudpickle", pickle.cloudpickle_generation),
        ("numpy", pickle.numpy_generation),
        ("pandas", pickle.pandas_generation),
    ):
        if value:
            yield f"{family}:{value}", f"The pickle was written with {family} {value}.x."
    if pickle.protocol is not None and pickle.protocol <= 3:
        yield "protocol:old", f"The pickle was written with protocol {pickle.protocol}."
    yield f"gpu:{'yes' if pickle.gpu_objects else 'no'}", f"On a GPU: {', '.join(pickle.gpu_objects)}."
    yield f"hides:{'yes' if pickle.hides_failures else 'no'}", "A function catches everything and draws random numbers."
    for item in pickle.imports:
        yield f"library:{item.package}", f"The pickle uses {item.package}."
