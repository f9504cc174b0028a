"""The case books, one line for each PSP, and what of them the tests are run over."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, Final

import pytest

from tests.gateways.conformance.book import CaseBook
from tests.gateways.conformance.cases import OPERATIONS, Operation, Without

NAMES: Final = (
    "stripe",
    "adyen",
    "braintree",
    "paypal",
    "razorpay",
)
CASEBOOKS: Final[Mapping[str, CaseBook]] = {
    name: import_module(f"tests.gateways.conformance.{name}").BOOK for name in NAMES
}

each_book: Final = pytest.mark.parametrize("book", CASEBOOKS.values(), ids=CASEBOOKS)

each_judged: Final = pytest.mark.parametrize(
    ("book", "oracle"),
    [
        pytest.param(book, book.oracle, id=name)
        for name, book in CASEBOOKS.items()
        if not isinstance(book.oracle, Without)
    ],
)
"""For each PSP whose responses an oracle judges."""

each_with_webhooks: Final = pytest.mark.parametrize(
    ("book", "webhooks"),
    [
        pytest.param(book, book.webhooks, id=name)
        for name, book in CASEBOOKS.items()
        if not isinstance(book.webhooks, Without)
    ],
)
"""For each PSP that has webhooks."""


def operations(book: CaseBook) -> list[Operation]:
    """Those that the PSP has."""
    return [operation for operation in OPERATIONS if not isinstance(book.calls[operation], Without)]


Has = Callable[[CaseBook, Operation, Any], object]
"""What a book has for it: a `Without`, or anything else."""


def each_operation(
    more: Iterable[Any] = (), has: Has = lambda book, operation, how: None
) -> pytest.MarkDecorator:
    """For each PSP, each of its operations; `more`: for each of them each of these that it has, as the
    argument `how`."""
    names = ("book", "operation", "how") if (hows := list(more)) else ("book", "operation")
    return pytest.mark.parametrize(names, list(_rows(hows, has)))


def _rows(hows: list[Any], has: Has) -> Iterator[Any]:
    for name, book in CASEBOOKS.items():
        for operation in operations(book):
            for how in hows:
                if not isinstance(has(book, operation, how), Without):
                    yield pytest.param(book, operation, how, id=f"{name}-{operation}-{_label(how)}")
            if not hows:
                yield pytest.param(book, operation, id=f"{name}-{operation}")


def _label(how: Any) -> str:
    return how.__name__.strip("_") if callable(how) else str(how)
