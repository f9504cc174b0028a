import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways import scrubbed


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("card 4242424242424242 refused", "card [digits] refused"),
        ("4242 4242 4242 4242", "[digits]"),
        ("4242-4242/4242.4242", "[digits]"),
        ("order 123456789012", "order 123456789012"),
        ("key sk_live_abcDEF.1 is wrong", "key [secret] is wrong"),
        ("Authorization: Bearer abc.def", "Authorization: [secret]"),
        ("pi_3Mtw_secret_YrKJ is used", "[secret] is used"),
        ("tab\tnew\nline\x00end", "tab new line end"),
    ],
)
def test_a_text_is_masked(said: str, left: str):
    assert scrubbed.text(said) == left


@given(st.lists(st.sampled_from(["4242", "17", "0", " ", "-", "a", "refused "]), max_size=900).map("".join))
def test_no_text_keeps_a_run_of_thirteen_digits(said: str):
    kept = scrubbed.text(said) or ""

    assert not re.search(r"[0-9](?:[ -]{0,2}[0-9]){12}", kept)
    assert len(kept) <= 400


@pytest.mark.parametrize("said", [None, 7, ["a"], "", "   ", "\x00"])
def test_what_is_no_text_is_nothing(said: object):
    assert scrubbed.text(said) is None


@pytest.mark.parametrize("said", ["a b", "a\n", "", "x" * 256, "pi_4242424242424242", None, {}, "ä"])
def test_an_id_is_kept_whole_or_not_at_all(said: object):
    assert scrubbed.identifier(said) is None


@pytest.mark.parametrize(
    "said", ["javascript:alert(1)", "//x", "https://x/ y", "https://x/4242424242424242", None]
)
def test_an_address_that_is_no_web_page_is_dropped(said: object):
    assert scrubbed.address(said) is None


def test_the_whole_of_what_a_psp_said_is_masked_however_long_it_is():
    said = "x" * 10_000 + ' "number": "4242 4242 4242 4242", "client_secret": "pi_1_secret_abc" '

    assert scrubbed.masked(said) == "x" * 10_000 + ' "number": "[digits]", "client_secret": "[secret]" '
