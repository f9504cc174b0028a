"""HMAC signatures and their comparison."""

from gateways.wire.signatures import hmac_hex, is_any


def test_the_hmac_is_that_of_rfc_4231_and_of_rfc_2202():
    content = b"what do ya want for nothing?"

    assert hmac_hex(b"Jefe", content) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac_hex(b"Jefe", content, "sha1") == "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"


def test_one_of_the_expected_signatures_is_enough_and_any_text_may_be_claimed():
    assert is_any(["a", "b"], ["x", "b"])
    assert not is_any(["a", "b"], ["ab", "\ud83d", ""])
    assert not is_any([], ["a"])
    assert not is_any(["a"], [])
