"""Numbers that are written as something else hide no card's number beside them."""

import re

from commands.card_data import holds_pan
from tests.commands.cards import EVERY_CARD


def in_fours(number: str) -> str:
    return " ".join(re.findall(".{1,4}", number))


def test_two_halves_of_a_number_with_a_stroke_are_found_where_a_word_says_card():
    for number in EVERY_CARD:
        assert holds_pan(f"card {number[:8]}/{number[8:]}")
        assert holds_pan(f"{number[:8]} {number[8:]}") == holds_pan(number)


def test_a_number_behind_or_before_another_is_no_parcel():
    for number in EVERY_CARD:
        if len(number) == 16 and number != "6771798021000008":
            assert holds_pan(f"{in_fours(number)} 1227"), number
            assert holds_pan(f"{in_fours(number)} 1227 91"), number
            assert holds_pan(f"(01)09501101530003(21){number}"), number
