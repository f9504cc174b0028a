"""Braintree's official GraphQL schema, in the folder named by AEGISPAY_SPECS, else beside the repository."""

import os
from functools import cache
from pathlib import Path

import pytest
from graphql import GraphQLSchema, build_schema

from gateways.braintree import documents

SPECS = Path(os.environ.get("AEGISPAY_SPECS") or Path(__file__).parents[4] / "shared/specs")
FILE = SPECS / "braintree-schema.graphql"
DOCUMENTS = [text for name, text in vars(documents).items() if name.isupper() and not name.startswith("_")]
"""Every document that the adapter sends."""


def official_schema() -> GraphQLSchema:
    if not FILE.exists():
        pytest.skip(f"the official schema is not there: {FILE}")
    return _built()


@cache
def _built() -> GraphQLSchema:
    # A deprecation in the official file breaks a rule that graphql-core has for schemas.
    return build_schema(FILE.read_text(), assume_valid=True)
