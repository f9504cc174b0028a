"""The requests, held against the official GraphQL schema."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from graphql import GraphQLSchema, OperationDefinitionNode, parse, validate
from graphql.execution.values import get_variable_values

from gateways.braintree import codes
from gateways.braintree.adapter import Braintree
from gateways.contract import Call, HttpRequest, StoredCredential
from tests.gateways.braintree.official_schema import DOCUMENTS, official_schema
from tests.gateways.braintree.payloads import (
    AUTHORIZE,
    CALL,
    CAPTURE,
    CREDENTIALS,
    REFUND_ALL,
    REFUND_PART,
    TRANSACTION_ID,
    VOID,
    WITH_KEY,
)

STORED = StoredCredential("store", "customer", "cus-1")
CALLS = [
    CALL,
    AUTHORIZE,
    replace(CALL, statement_text="ABC*order 7", stored_credential=STORED),
    replace(CALL, stored_credential=StoredCredential("reuse", "merchant", None)),
    CAPTURE,
    VOID,
    REFUND_ALL,
    REFUND_PART,
]


@pytest.fixture
def schema() -> GraphQLSchema:
    return official_schema()


def fits(schema: GraphQLSchema, request: Any) -> list[str]:
    """What is wrong with the document and its variables."""
    assert isinstance(request, HttpRequest)
    assert request.body is not None
    body = orjson.loads(request.body)
    document = parse(body["query"])
    wrong = [error.message for error in validate(schema, document)]
    operation = next(one for one in document.definitions if isinstance(one, OperationDefinitionNode))
    coerced = get_variable_values(schema, operation.variable_definitions, body["variables"])
    return wrong + [error.message for error in coerced] if isinstance(coerced, list) else wrong


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_document_is_valid(schema: GraphQLSchema, document: str):
    assert validate(schema, parse(document)) == []


@pytest.mark.parametrize("call", CALLS)
def test_every_call_and_its_look_up_fit_with_their_variables(schema: GraphQLSchema, call: Call):
    adapter = Braintree()

    assert fits(schema, adapter.request(call, CREDENTIALS)) == []
    assert fits(schema, adapter.lookup(call, CREDENTIALS)) == []
    assert fits(schema, adapter.lookup(replace(call, psp_id=TRANSACTION_ID), CREDENTIALS)) == []


@pytest.mark.parametrize("call", [CALL, AUTHORIZE, CAPTURE, REFUND_PART])
def test_the_key_is_all_that_the_public_schema_does_not_show(schema: GraphQLSchema, call: Call):
    wrong = fits(schema, Braintree().request(call, WITH_KEY))

    assert len(wrong) == 1
    assert "unknown field 'apiRequestKey'" in wrong[0]


def test_every_reason_of_the_schema_has_a_row(schema: GraphQLSchema):
    reasons: Any = schema.type_map["GatewayRejectionReason"]

    assert [reason for reason in reasons.values if not codes.of_rejection(reason).listed] == []


@pytest.mark.parametrize("word", ["errorClass", "declineType"])
def test_a_wrong_document_would_be_noticed(schema: GraphQLSchema, word: str):
    document = f'query {{ node(id: "1") {{ ... on Transaction {{ {word} }} }} }}'

    assert validate(schema, parse(document)) != []
