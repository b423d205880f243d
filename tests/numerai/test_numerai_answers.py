"""What an answer of Numerai means, in every form that it comes in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mcp_types import CallToolResult, TextContent

from server.errors import CredentialsMissing, NumeraiRefused
from server.numerai.graphql import field_of, retry_after
from server.numerai.mcp_transport import value_of
from server.numerai.operations import operation
from server.numerai.pace import PassingFault
from server.numerai.refusals import refusal

PICKLES: list[dict[str, Any]] = [{"id": "p"}]
LIST = operation("computePickles")
REGISTER = operation("createComputePickleUpload")


def text(body: Any, *, error: bool = False) -> CallToolResult:
    content = body if isinstance(body, str) else json.dumps(body)
    return CallToolResult(content=[TextContent(type="text", text=content)], is_error=error)


def structured(body: dict[str, Any]) -> CallToolResult:
    return CallToolResult(content=[], structured_content=body)


@pytest.mark.parametrize(
    "result",
    [
        structured({"computePickles": PICKLES}),
        structured({"data": {"computePickles": PICKLES}}),
        structured({"result": PICKLES}),
        structured({"result": json.dumps(PICKLES)}),
        text({"computePickles": PICKLES}),
        text({"data": {"computePickles": PICKLES}}),
        text(PICKLES),
    ],
)
def test_a_tools_answer_is_keyed_or_bare_structured_or_text(result: CallToolResult):
    assert value_of(result, LIST) == PICKLES


def test_a_bare_object_and_a_bare_word_are_the_value():
    assert value_of(text({"id": "p"}), REGISTER) == {"id": "p"}
    assert value_of(text("ok"), operation("assignPickleToModel")) == "ok"
    assert value_of(structured({"computePickles": None}), LIST) is None


def test_a_tools_error_is_a_refusal_unless_it_says_nothing_about_the_request():
    with pytest.raises(NumeraiRefused, match="name has already been taken"):
        value_of(text("name has already been taken", error=True), operation("addModel"))
    with pytest.raises(PassingFault) as caught:
        value_of(text("Internal server error", error=True), REGISTER)
    assert caught.value.maybe_done


def test_errors_inside_a_tools_answer_count():
    with pytest.raises(NumeraiRefused, match="pickle not found"):
        value_of(structured({"errors": [{"message": "pickle not found"}], "data": None}), LIST)


def test_data_beside_errors_is_not_taken_for_the_whole():
    with pytest.raises(PassingFault) as caught:
        field_of({"data": {"computePickles": []}, "errors": [{"message": "a resolver timed out"}]}, LIST)
    assert caught.value.maybe_done


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {}}, {"data": []}])
def test_an_answer_without_the_field_is_none(body: dict[str, Any]):
    with pytest.raises(PassingFault, match="without data"):
        field_of(body, LIST)


@pytest.mark.parametrize(
    ("message", "expected", "told"),
    [
        ("Your session is invalid or has expired.", CredentialsMissing, "numer.ai/account"),
        ("not_authenticated", CredentialsMissing, "numer.ai/account"),
        ("Your API token lacks the required scope: upload_submission", CredentialsMissing, "upload_submission"),
        ("submission webhook must be disabled before uploading a pickle", NumeraiRefused, "clear_submission_webhook"),
        ("model not found", NumeraiRefused, "model not found"),
    ],
)
def test_numerais_words_become_errors_that_say_what_to_do(message: str, expected: type[Exception], told: str):
    error = refusal(message, "the upload")
    assert type(error) is expected
    assert told in str(error)


def test_retry_after_counts_from_numerais_own_clock():
    assert retry_after({"retry-after": "17"}) == 17
    dates = {"retry-after": "Mon, 01 Jan 2001 00:00:30 GMT", "date": "Mon, 01 Jan 2001 00:00:10 GMT"}
    assert retry_after(dates) == 20
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None
