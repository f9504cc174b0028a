from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from infra.errors import Misconfigured
from infra.psp import return_token
from infra.psp.return_token import ReturnPages, TokenRefused
from infra.settings import ReturnSettings

KEY = b"k" * 32
OPERATION = "0f8fad5bd9cb469fa16570867728950e-s1"
UNTIL = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BEFORE = UNTIL - timedelta(seconds=1)
TOKEN = return_token.make(KEY, OPERATION, UNTIL)


def test_a_token_gives_back_its_operation_until_the_challenge_is_over():
    assert return_token.read(KEY, TOKEN, BEFORE) == OPERATION
    with pytest.raises(TokenRefused, match="expired") as refused:
        return_token.read(KEY, TOKEN, UNTIL)
    assert refused.value.reason == "expired"


def test_a_repeat_has_the_same_token_and_another_operation_end_or_key_another():
    made = [
        TOKEN,
        return_token.make(KEY, OPERATION.replace("s1", "s2"), UNTIL),
        return_token.make(KEY, OPERATION, BEFORE),
        return_token.make(b"j" * 32, OPERATION, UNTIL),
    ]

    assert return_token.make(KEY, OPERATION, UNTIL.astimezone()) == TOKEN
    assert len({token.rpartition(".")[2] for token in made}) == len(made)


def test_a_token_may_stand_in_an_address_as_it_is():
    assert len(TOKEN) < 110
    assert all(char.isascii() and (char.isalnum() or char in "._-") for char in TOKEN)


def test_the_longest_operation_of_a_payment_has_a_token():
    operation = f"{'f' * 32}-a999999"

    assert return_token.read(KEY, return_token.make(KEY, operation, UNTIL), BEFORE) == operation


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        TOKEN[:-1],
        TOKEN + "A",
        TOKEN + "=",
        TOKEN + "\n",
        TOKEN.replace("-s1", "-s2"),
        TOKEN.replace(".", "._", 1),
        TOKEN.upper(),
        TOKEN.replace(str(int(UNTIL.timestamp())), str(int(UNTIL.timestamp()) + 60)),
        TOKEN.replace(str(int(UNTIL.timestamp())), "0" + str(int(UNTIL.timestamp()))),
        TOKEN.replace("0f8fad5b", "0f8fad5٣"),
        return_token.make(b"j" * 32, OPERATION, UNTIL),
    ],
)
def test_what_we_did_not_sign_is_forged(token: str):
    with pytest.raises(TokenRefused) as refused:
        return_token.read(KEY, token, BEFORE)

    assert refused.value.reason == "forged"
    assert OPERATION not in str(refused.value)


@given(st.integers(0, len(TOKEN) - 1), st.characters(exclude_categories=["Cs"]))
def test_no_other_character_at_any_place_is_taken(place: int, char: str):
    if TOKEN[place] == char:
        return
    with pytest.raises(TokenRefused):
        return_token.read(KEY, TOKEN[:place] + char + TOKEN[place + 1 :], BEFORE)


@given(st.text(max_size=200))
def test_no_text_at_all_raises_anything_else(token: str):
    with pytest.raises(TokenRefused):
        return_token.read(KEY, token, BEFORE)


def test_a_page_is_under_the_address_that_customers_reach(tmp_path: Path):
    (tmp_path / "key").write_text("k" * 32 + "\n")
    settings = ReturnSettings.model_validate(
        {"public_url": "https://pay.shop.example/aegis/", "return_key_file": tmp_path / "key"}
    )

    pages = ReturnPages.of(settings)

    assert pages is not None
    assert pages.url(OPERATION, UNTIL) == f"https://pay.shop.example/aegis/return/{TOKEN}"
    assert "kkkk" not in repr(pages)


def test_without_an_address_there_are_no_pages():
    assert ReturnPages.of(ReturnSettings.model_validate({})) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"public_url": "https://x.example"},
        {"return_key_file": "k"},
        {"public_url": "ftp://x.example", "return_key_file": "k"},
        {"public_url": "https://x.example/?a=1", "return_key_file": "k"},
        {"public_url": "https://x.example/#a", "return_key_file": "k"},
    ],
)
def test_half_a_setting_is_refused(settings: dict[str, str]):
    with pytest.raises(ValidationError):
        ReturnSettings.model_validate(settings)


@pytest.mark.parametrize("content", [None, "", "too short for a key"])
def test_a_key_that_is_none_is_named_and_not_shown(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "key").write_text(content)

    with pytest.raises(Misconfigured, match="AEGISPAY_RETURN_KEY_FILE") as refused:
        return_token.read_key(tmp_path / "key")

    assert not content or content not in str(refused.value)
