"""The marks by which a card is known again."""

import hashlib
import hmac
from pathlib import Path

import pytest

from infra.errors import Misconfigured
from infra.psp.accounts import Accounts
from infra.psp.fingerprints import CardFingerprints
from infra.psp.return_token import read_key
from tests.infra.psp.test_tokens_by_gateway import accounts

KEY = b"a key of tests, of thirty-two bytes or more"


@pytest.fixture
def shops(tmp_path: Path) -> Accounts:
    return accounts(tmp_path)


def test_a_mark_is_the_keyed_hash_of_merchant_gateway_and_token(shops: Accounts):
    (mark,) = CardFingerprints(KEY, shops).of("shop", "stripe:pm_1", None)

    signed = b'aegispay card v1\n["shop","stripe","pm_1"]'
    assert mark == hmac.new(KEY, signed, hashlib.sha256).digest()


def test_a_token_has_one_mark_however_it_is_written(shops: Accounts):
    marks = CardFingerprints(KEY, shops)

    # The merchant's first account is at Adyen.
    assert marks.of("shop", "8416", None) == marks.of("shop", "adyen:8416", None)
    assert marks.of("shop", "8416", None) == marks.of("shop", None, {"adyen": "8416"})


def test_each_token_has_a_mark_of_its_own(shops: Accounts):
    marks = CardFingerprints(KEY, shops)

    both = marks.of("shop", None, {"stripe": "pm_1", "adyen": "8416"})
    assert len(both) == 2
    assert set(both) == {
        *marks.of("shop", None, {"stripe": "pm_1"}),
        *marks.of("shop", None, {"adyen": "8416"}),
    }


def test_another_merchant_gateway_or_key_has_another_mark(shops: Accounts):
    marks, others = CardFingerprints(KEY, shops), CardFingerprints(KEY[::-1], shops)

    found = [
        marks.of("shop", "stripe:pm_1", None),
        marks.of("nobody", "stripe:pm_1", None),
        marks.of("shop", "paypal:pm_1", None),
        others.of("shop", "stripe:pm_1", None),
    ]
    assert len(set(found)) == len(found)


def test_neither_the_key_nor_a_token_is_shown(shops: Accounts):
    marks = CardFingerprints(KEY, shops)

    assert KEY.decode() not in repr(marks)


def test_a_key_that_is_too_short_is_refused_by_the_settings_name(tmp_path: Path):
    (tmp_path / "short.key").write_text("short")

    with pytest.raises(Misconfigured, match=r"AEGISPAY_FINGERPRINT_KEY_FILE: .* less than 32 bytes"):
        read_key(tmp_path / "short.key", "AEGISPAY_FINGERPRINT_KEY_FILE")
