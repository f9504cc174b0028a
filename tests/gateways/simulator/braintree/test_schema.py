"""The simulator's schema is a part of the official one; so its responses have the official types."""

from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    is_introspection_type,
    is_specified_scalar_type,
    parse,
    validate,
)

from gateways.simulator.braintree.schema import SCHEMA
from tests.gateways.braintree.official_schema import DOCUMENTS, official_schema

TYPES = [
    one
    for one in SCHEMA.type_map.values()
    if not (is_introspection_type(one) or is_specified_scalar_type(one))
]


@pytest.fixture
def schema() -> GraphQLSchema:
    return official_schema()


@pytest.mark.parametrize("ours", TYPES, ids=lambda one: one.name)
def test_each_type_is_a_part_of_the_official_one(schema: GraphQLSchema, ours: Any):
    theirs: Any = schema.type_map[ours.name]

    assert type(theirs) is type(ours)
    if isinstance(ours, GraphQLEnumType):
        assert set(ours.values) <= set(theirs.values)
    if isinstance(ours, GraphQLUnionType):
        assert {one.name for one in ours.types} == {one.name for one in theirs.types}
    if not isinstance(ours, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
        return
    for name, field in ours.fields.items():
        if name == "apiRequestKey":
            assert name not in theirs.fields
            continue
        assert str(theirs.fields[name].type) == str(field.type)
        for argument, its in getattr(field, "args", {}).items():
            assert str(theirs.fields[name].args[argument].type) == str(its.type)
    if isinstance(ours, GraphQLObjectType):
        assert {one.name for one in ours.interfaces} == {one.name for one in theirs.interfaces}


@pytest.mark.parametrize("ours", TYPES, ids=lambda one: one.name)
def test_nothing_that_the_official_schema_requires_is_missing(schema: GraphQLSchema, ours: Any):
    if isinstance(ours, GraphQLInputObjectType):
        theirs: Any = schema.type_map[ours.name]
        required = {name for name, field in theirs.fields.items() if str(field.type).endswith("!")}
        assert required <= set(ours.fields)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_our_adapter_asks_the_simulator_understands(document: str):
    assert validate(SCHEMA, parse(document)) == []
