"""GraphQL as it comes: a document is checked against the schema, and what it asks for is taken out of it before anything
is done; what it wants to be told is written at the end, from what was done.
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
from gateways.simulator.psp import Answer, Refusal

_TOKENS_MAX: Final = 2000


@dataclass(frozen=True, slots=True)
class Asked:
    """One field of Query or Mutation, with its arguments. `mutates`: it changes something."""

    document: DocumentNode
    variables: Mapping[str, Any]
    operation_name: str | None
    mutates: bool
    field: str
    input: Mapping[str, Any]

    def told(self, value: Any) -> bytes:
        """`value`: of the field, as far as anybody may select it."""
        result = execute_sync(
            SCHEMA,
            self.document,
            root_value={self.field: value},
            variable_values=dict(self.variables),
            operation_name=self.operation_name,
        )
        assert not result.errors, result.errors
        return orjson.dumps({"data": result.data, "extensions": {"requestId": "simulator"}})


def error(error_class: str, message: str, **extensions: Any) -> dict[str, Any]:
    return {"message": message, "extensions": {"errorClass": error_class, **extensions}}


def failed(*errors: dict[str, Any], status: int = 200, data: Any = None) -> Answer:
    """Errors come with status 200."""
    return Answer.json(status, {"errors": errors, "data": data, "extensions": {"requestId": "simulator"}})


def invalid(message: str, legacy_code: str | None = None, path: tuple[str, ...] = ("input",)) -> Refusal:
    more: dict[str, Any] = {"inputPath": path, "errorType": "user_error"}
    return Refusal(
        failed(error("VALIDATION", message, **more, **({"legacyCode": legacy_code} if legacy_code else {})))
    )


def read(raw: bytes, *, takes_keys: bool) -> Asked:
    """Raises `Refusal`. `takes_keys`: the account has `apiRequestKey`."""
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
        raise invalid("Which operation is meant is not said.")
    asked = _asked(checked, operation, variables, name)
    if not takes_keys and "apiRequestKey" in asked.input:
        raise invalid("Field 'apiRequestKey' is not defined by the type of the input.")
    return asked


@lru_cache(maxsize=256)
def _checked(query: str) -> DocumentNode | str:
    """What is wrong with it in words."""
    try:
        document = parse(query, max_tokens=_TOKENS_MAX)
    except GraphQLError as wrong:
        return wrong.message
    errors = validate(SCHEMA, document)
    return errors[0].message if errors else document


def _asked(
    document: DocumentNode, operation: OperationDefinitionNode, variables: dict[str, Any], name: str | None
) -> Asked:
    values = get_variable_values(SCHEMA, operation.variable_definitions or (), variables)
    if isinstance(values, list):
        raise invalid(values[0].message)
    field = operation.selection_set.selections[0]
    if len(operation.selection_set.selections) != 1 or not isinstance(field, FieldNode):
        raise invalid("The simulator does one thing at a time.")
    root = SCHEMA.get_root_type(operation.operation)
    assert isinstance(root, GraphQLObjectType)
    definition = root.fields.get(field.name.value)
    if definition is None:
        raise invalid("The simulator plays the gateway, not its schema.")
    given = get_argument_values(definition, field, values)
    return Asked(
        document,
        variables,
        name,
        operation.operation.value == "mutation",
        field.name.value,
        given.get("input", given),
    )
