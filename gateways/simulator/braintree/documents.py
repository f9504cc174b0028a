"""Reads GraphQL: checks the document against the schema, and takes its one field and arguments out of it
before anything is done. The fields that the client selects are written at the end, from what was done.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLObjectType,
    OperationDefinitionNode,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
)
from graphql.execution.values import get_argument_values, get_variable_values

from gateways.simulator.braintree.schema import SCHEMA
from gateways.simulator.core.psp import Refusal, Response

_TOKENS_MAX: Final = 2000


@dataclass(frozen=True, slots=True)
class GraphqlRequest:
    """One field of Mutation, or the first of Query, with its arguments. `mutates`: it changes something."""

    document: DocumentNode
    variables: Mapping[str, Any]
    operation_name: str | None
    mutates: bool
    field: str
    input: Mapping[str, Any]

    def response_body(self, value: Any) -> bytes:
        """The response with the selected parts of `value`, the whole value of the field."""
        return self.response_body_of({self.field: value})

    def response_body_of(self, values: Mapping[str, Any]) -> bytes:
        """The response with the selected parts of `values`, by field."""
        result = execute_sync(
            SCHEMA,
            self.document,
            root_value=dict(values),
            variable_values=dict(self.variables),
            operation_name=self.operation_name,
        )
        assert not result.errors, result.errors
        return orjson.dumps({"data": result.data, "extensions": {"requestId": "simulator"}})


def error(error_class: str, message: str, **extensions: Any) -> dict[str, Any]:
    """One GraphQL error. `error_class`: Braintree's, as in `extensions.errorClass`."""
    return {"message": message, "extensions": {"errorClass": error_class, **extensions}}


def failed(*errors: dict[str, Any], status: int = 200, data: Any = None) -> Response:
    """A response that has errors. Braintree sends them with status 200."""
    return Response.json(status, {"errors": errors, "data": data, "extensions": {"requestId": "simulator"}})


def invalid(message: str, legacy_code: str | None = None, path: tuple[str, ...] = ("input",)) -> Refusal:
    """A validation error as a `Refusal`. `legacy_code`: of Braintree's list; `path`: of the input that is
    wrong."""
    more: dict[str, Any] = {"inputPath": path, "errorType": "user_error"}
    return Refusal(
        failed(error("VALIDATION", message, **more, **({"legacyCode": legacy_code} if legacy_code else {})))
    )


def read(raw: bytes, *, takes_keys: bool) -> GraphqlRequest:
    """Reads a call. Raises `Refusal` for a document that the schema does not allow. `takes_keys`: the account
    has `apiRequestKey`."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise invalid("The body is no JSON.") from None
    query = body.get("query") if isinstance(body, dict) else None
    if not isinstance(query, str):
        raise invalid("The body has no query.")
    variables, name = body.get("variables") or {}, body.get("operationName")
    if not isinstance(variables, dict) or not isinstance(name, str | None):
        raise invalid("Variables are an object, the operation's name is a string.")
    checked = _checked(query)
    if not isinstance(checked, DocumentNode):
        raise invalid(checked)
    operation = get_operation_ast(checked, name)
    if operation is None:
        raise invalid("The operation to execute is not named.")
    params = _read_request(checked, operation, variables, name)
    if not takes_keys and "apiRequestKey" in params.input:
        raise invalid("Field 'apiRequestKey' is not defined by the type of the input.")
    return params


@lru_cache(maxsize=256)
def _checked(query: str) -> DocumentNode | str:
    """The parsed document, or the first error in it, in words."""
    try:
        document = parse(query, max_tokens=_TOKENS_MAX)
    except GraphQLError as wrong:
        return wrong.message
    errors = validate(SCHEMA, document)
    return errors[0].message if errors else document


def _read_request(
    document: DocumentNode, operation: OperationDefinitionNode, variables: dict[str, Any], name: str | None
) -> GraphqlRequest:
    values = get_variable_values(SCHEMA, operation.variable_definitions or (), variables)
    if isinstance(values, list):
        raise invalid(values[0].message)
    field, *others = operation.selection_set.selections
    mutates = operation.operation.value == "mutation"
    beside = [one.name.value if isinstance(one, FieldNode) else None for one in others]
    if not isinstance(field, FieldNode) or beside != (["search"] if beside and not mutates else []):
        raise invalid("The simulator does one thing at a time, but for a search beside what is read.")
    root = SCHEMA.get_root_type(operation.operation)
    assert isinstance(root, GraphQLObjectType)
    definition = root.fields.get(field.name.value)
    if definition is None:
        raise invalid("The simulator plays the gateway, not its schema.")
    given = get_argument_values(definition, field, values)
    return GraphqlRequest(
        document,
        variables,
        name,
        mutates,
        field.name.value,
        given.get("input", given),
    )
