"""The words that end a wait, and those that do not."""

from __future__ import annotations

import pytest

from server.errors import NumeraiRefused
from server.local_numerai.app import LocalNumerai
from server.numerai.types import Pickle, Trigger, TriggerStatus
from server.numerai.watch import explain, outcome, trigger_outcome, watch_pickle
from tests.numerai.serving import Connect, registered


def pickle(validation: str | None, trigger: str | None = None, description: str | None = None) -> Pickle:
    step = TriggerStatus(status=trigger, description=description)
    triggers = (Trigger(id="t", status=trigger, statuses=(step,)),) if trigger else ()
    return Pickle(id="p", validation_status=validation, trigger_status=trigger, triggers=triggers)


@pytest.mark.parametrize("word", ["invalid", "failed", "error", "validation_failed"])
def test_a_word_of_failure_is_the_end(word: str):
    assert outcome(pickle(word)) == "invalid"


@pytest.mark.parametrize("word", [None, "pending", "queued", "a word of tomorrow"])
def test_an_unknown_word_is_not_the_end(word: str | None):
    assert outcome(pickle(word)) == "pending"
    assert trigger_outcome(Trigger(id="t", status=word)) == "pending"


def test_a_failed_model_is_the_end_even_while_the_validation_is_pending():
    assert outcome(pickle("pending", "model_failed")) == "invalid"


def test_validated_is_the_end_whatever_the_submission_says():
    assert outcome(pickle("validated", "submission_failed")) == "validated"


def test_no_open_round_is_a_success_and_is_explained():
    worked = pickle("validated", "submission_failed", "No currently open rounds!")
    assert outcome(worked) == "validated"
    assert trigger_outcome(worked.triggers[0]) == "succeeded"
    assert "no failure" in (explain(worked) or "")
    assert explain(pickle("validated", "submission_succeeded")) is None


async def test_changes_are_told_once_each_and_the_end_is_returned(local: LocalNumerai, connect: Connect):
    pickle_id = registered(local)
    local.store.pickles[pickle_id]["validationStatus"] = "brewing"
    told: list[str] = []

    async def progress(line: str) -> None:
        told.append(line)
        local.store.pickles[pickle_id]["validationStatus"] = "validated"

    async with connect() as numerai:
        assert (await watch_pickle(numerai, pickle_id, progress)).validation_status == "validated"
    assert [line.partition(",")[0] for line in told] == ["validation: brewing", "validation: validated"]


async def test_an_unknown_pickle_is_refused(connect: Connect):
    async with connect() as numerai:
        with pytest.raises(NumeraiRefused, match="has no pickle"):
            await watch_pickle(numerai, "nope")


def test_a_validation_costs_numerai_a_few_requests_a_minute():
    from itertools import accumulate, takewhile

    from server.numerai.pace import Pace

    first_minute = list(takewhile(lambda moment: moment < 60, accumulate(Pace().poll)))
    assert len(first_minute) <= 7
