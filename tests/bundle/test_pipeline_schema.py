"""The JSON schema that ships beside the pipeline says what the pipeline's dataclasses say."""

from __future__ import annotations

import dataclasses
import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from pydantic import ConfigDict, TypeAdapter

from bundle_core import pipeline
from tests.bundle.test_pipeline import EVERYTHING

SCHEMA = json.loads(files("bundle_core").joinpath("pipeline.schema.json").read_text(encoding="utf-8"))


def generated(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    for item in vars(pipeline).values():
        if dataclasses.is_dataclass(item):
            config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
            monkeypatch.setattr(item, "__pydantic_config__", config, raising=False)
    return without_titles(TypeAdapter(pipeline.Pipeline).json_schema())


def without_titles(schema: Any) -> Any:
    if isinstance(schema, list):
        return [without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: without_titles(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}
    if isinstance(kept.get("description"), str):
        kept["description"] = " ".join(kept["description"].split())
    return kept


def test_the_shipped_schema_is_that_of_the_dataclasses(monkeypatch: pytest.MonkeyPatch) -> None:
    """To write it anew: `json.dumps(generated(...), indent=1)` and a newline."""
    assert generated(monkeypatch) == SCHEMA


def test_the_schema_accepts_every_step_and_refuses_an_unknown_one() -> None:
    jsonschema.validate(EVERYTHING, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"ranks": "era"}, SCHEMA)
