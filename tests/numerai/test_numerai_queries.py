"""The documents of the client against the schema of the real API."""

from __future__ import annotations

import re
from pathlib import Path

import graphql
import pytest

import server.numerai
from server.local_numerai.graphql_endpoint import load_schema
from server.numerai.mcp_transport import TOOLS
from server.numerai.operations import PUBLIC, operation

QUERIES = Path(server.numerai.__file__).parent / "queries"
FIELDS = sorted(path.stem for path in QUERIES.glob("*.graphql"))
FORBIDDEN = re.compile(r"stake|password|secret|publicId|email|downloadAuth", re.I)


@pytest.mark.parametrize("field", FIELDS)
def test_a_document_is_valid_and_asks_for_its_one_root_field(field: str):
    document = graphql.parse(operation(field).document)
    assert graphql.validate(load_schema(), document) == []
    (definition,) = document.definitions
    assert isinstance(definition, graphql.OperationDefinitionNode)
    (root,) = definition.selection_set.selections
    assert isinstance(root, graphql.FieldNode) and root.name.value == field
    assert operation(field).changes == (definition.operation is graphql.OperationType.MUTATION)


def test_no_document_asks_for_secrets_or_moves_stakes():
    allowed = ("closeStakingTime",)
    for field in FIELDS:
        text = operation(field).document
        for word in allowed:
            text = text.replace(word, "")
        assert not FORBIDDEN.search(text), field


def test_every_public_field_and_every_tool_of_mcp_has_its_document():
    assert set(FIELDS) >= PUBLIC
    assert set(FIELDS) >= TOOLS.keys()
