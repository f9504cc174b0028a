"""What a card's stripe or chip holds is found, and hexadecimal that is nobody's card is not."""

import random

import pytest

from commands.card_data import holds_card_data, sensitive_path
from tests.commands.cards import EVERY_CARD

RANDOM = random.Random(7813)


def hexadecimal(count: int) -> str:
    return f"{RANDOM.getrandbits(4 * count):0{count}x}"


def test_what_says_track_in_random_hexadecimal_is_as_rare_as_it_computes(capsys):
    """Of a digest of 64 characters one in 60,000: at each of 52 places the issued part of the numbers of 12
    to 19 digits, a tenth of them for the check digit, 10/16 for each digit, 1/16 for the separator and
    1200/65536 for the month."""
    count = 100_000
    taken = sum(holds_card_data(hexadecimal(64)) for _ in range(count))
    named = (
        sum(sensitive_path({"card_fingerprint": hexadecimal(64)}) is not None for _ in range(count // 4)) * 4
    )

    with capsys.disabled():
        print(
            f"\n  {taken / count:.3%}  SHA-256 digests\n  {named / count:.3%}  the same under a card's name"
        )
    assert taken <= count / 10_000
    assert named <= count / 1_000


NAMES_OF_NUMBERS = [
    "pan",
    "card_number",
    "cardNumber",
    "track2",
    "track_2_data",
    "track2EquivalentData",
    "account-number",
]


@pytest.mark.parametrize("name", NAMES_OF_NUMBERS)
@pytest.mark.parametrize("count", [16, 20, 24])
def test_hexadecimal_beside_a_number_hides_it_under_no_name_that_says_card(name, count):
    for number in EVERY_CARD:
        for text in (number + hexadecimal(count), number + "1" + "a" * count, "f1" * (count // 2) + number):
            assert sensitive_path({"metadata": {name: text}}) == f"metadata.{name}", text
            assert sensitive_path({name: {"deep": [{"value": text}]}}) is not None
