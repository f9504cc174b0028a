"""The message about a mistake: it names the field and what to write, and never in the words of the
library that found it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from commands.messages import InvalidMessage
from commands.parsing import _adapter, parse_command
from commands.wording import PATTERNS, counted
from tests.commands.test_parsing import changed, without

# What a reader who has never heard of the library would stumble over.
FOREIGN = re.compile(
    r"pydantic|Input should|Field required|_parsing|_type|_mismatch|\bpattern\b|Value error|union"
)


@pytest.mark.parametrize(
    ("raw", "path", "detail"),
    [
        (changed(amount_minro=1), "amount_minro", "did you mean amount_minor?"),
        (without("currency"), "currency", "required: add it"),
        (changed(currency="euro"), "currency", "three capital letters, e.g. EUR"),
        (changed(country="Germany"), "country", "two capital letters, e.g. DE"),
        (changed(amount_minor="1099"), "amount_minor", "without quotes and without a decimal point"),
        (changed(amount_minor=10.5), "amount_minor", "without a decimal point"),
        (changed(amount_minor=10**30), "amount_minor", "must be 9007199254740992 or less"),
        (changed(capture="later"), "capture", "must be 'automatic' or 'manual'"),
        (changed(payment_id="order-1"), "payment_id", "must be a UUID"),
        (changed(expires_at="soon"), "expires_at", "2026-03-01T12:00:00Z"),
        (changed(expires_at="2026-11-22T12:00:00"), "expires_at", "offset from UTC"),
        (changed(expires_at="2199-01-01T00:00:00Z"), "expires_at", "must be 2100-01-01T00:00:00Z or less"),
        (changed(idempotency_key="two words"), "idempotency_key", "no spaces"),
        (changed(idempotency_key="x" * 129), "idempotency_key", "at most 128 characters"),
        (changed(payment_method="pm card"), "payment_method", "send a PSP's token"),
        *(
            (changed(payment_method=nothing), "payment_method", "no colon at its end: send a PSP's token")
            for nothing in ("stripe:", "stripe::", "paypal:card:", "card:", "adyen: ", "razorpay:\x7f", ":")
        ),
        (changed(return_page="http://shop.example"), "return_page", "opens with https://"),
        (changed(statement_text="12345"), "statement_text", "at least one letter"),
        (changed(metadata=["a"]), "metadata", "names and values in { }"),
        (changed(metadata={str(n): "x" for n in range(21)}), "metadata", "at most 20 entries"),
        (changed(metadata={"note": ""}), "metadata.note", "at least 1 character"),
        (changed(stored_credential={"use": "keep"}), "stored_credential.use", "must be 'store' or 'reuse'"),
        (changed(type="create_payment.v9"), "type", "there are create_payment.v1, capture_payment.v1"),
        (changed(type="wake.v1"), "due_at", "required: add it"),
        (b'{"type":', None, "look at line 1, column 9"),
        (b"[]", None, "{ … }"),
    ],
)
def test_a_mistake_is_reported_with_its_field_and_with_what_to_write(raw, path, detail):
    with pytest.raises(InvalidMessage) as refused:
        parse_command(raw)

    assert refused.value.path == path
    assert detail in refused.value.detail
    assert not FOREIGN.search(refused.value.detail)


def test_every_pattern_of_a_message_is_put_into_words():
    for topic in ("commands", "outcomes"):
        assert set(_patterns(_adapter(topic).json_schema())) <= PATTERNS.keys()


def _patterns(schema: Any) -> Iterator[str]:
    for name, value in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if name == "pattern" and isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            yield from _patterns(value)


def test_one_of_anything_is_reported_in_the_singular():
    assert [counted(number, "time") for number in (0, 1, 2)] == ["0 times", "1 time", "2 times"]
    assert [counted(number, "try", "tries") for number in (1, 2)] == ["1 try", "2 tries"]
