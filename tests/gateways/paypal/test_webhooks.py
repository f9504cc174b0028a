"""What is believed of a webhook: nothing that is not signed by a certificate of PayPal's for our webhook."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import hashes

from gateways.contract import Gateway, Hook, HookKeys, HookRefused
from gateways.paypal import certificates
from gateways.paypal.adapter import PayPal
from tests.gateways.paypal.says import CAPTURE, capture
from tests.gateways.paypal.signing import ADDRESS, NOW, issued, keys, root, signed

PAYPAL: Gateway = PayPal()
EVENT: dict[str, Any] = {
    "id": "WH-2WR32451HC0233532-67976317FL4543714",
    "event_version": "1.0",
    "create_time": "2026-11-25T11:59:58.000Z",
    "resource_type": "capture",
    "event_type": "PAYMENT.CAPTURE.COMPLETED",
    "resource": capture(),
}


def why(hook: Hook, known: HookKeys | None = None) -> str | None:
    read = PAYPAL.read_hook(hook, known or keys(), NOW)
    return read.why if isinstance(read, HookRefused) else None


def test_a_webhook_that_is_signed_for_us_is_read():
    read = PAYPAL.read_hook(signed(EVENT), keys(), NOW)

    assert isinstance(read, tuple)
    (notice,) = read
    assert (notice.event_id, notice.event_type) == (EVENT["id"], "PAYMENT.CAPTURE.COMPLETED")
    assert notice.reference == CAPTURE.reference
    assert notice.at == NOW - timedelta(seconds=2)


def test_an_altered_body_is_forged_and_so_is_one_that_only_looks_the_same():
    hook = signed(EVENT)

    for body in (
        hook.body.replace(b"4.00", b"9.00"),
        hook.body + b" ",
        orjson.dumps(EVENT, option=orjson.OPT_INDENT_2),
    ):
        assert why(replace(hook, body=body)) == "forged"


@pytest.mark.parametrize(
    "hook",
    [
        signed(EVENT, webhook_id="4JH86294D6297924G"),
        signed(EVENT, paypal_transmission_id="another"),
        signed(EVENT, paypal_transmission_time="2026-11-25T12:00:01Z"),
        signed(EVENT, algorithm=hashes.SHA1()),
        signed(EVENT, algorithm=hashes.SHA512()),
        signed(EVENT, by=issued("another.paypal.com")),
        *(signed(EVENT, paypal_transmission_sig=said) for said in ("", "AAAA", "not base64!", "ü")),
        *(signed(EVENT, paypal_auth_algo=said) for said in ("SHA1withRSA", "none", "sha256withrsa", "")),
    ],
)
def test_what_is_signed_otherwise_is_forged(hook: Hook):
    assert why(hook) == "forged"


def test_the_webhooks_id_is_our_own_and_has_to_be_known():
    assert why(signed(EVENT), keys(webhook_id="4JH86294D6297924G")) == "forged"
    assert why(signed(EVENT), replace(keys(), options={"webhook_ca": root().pem})) == "forged"


@pytest.mark.parametrize(
    "missing",
    ["paypal-transmission-id", "paypal-transmission-time", "paypal-transmission-sig", "paypal-auth-algo"],
)
def test_a_webhook_without_its_headers_is_unsigned(missing: str):
    hook = signed(EVENT)

    assert (
        why(replace(hook, headers={name: said for name, said in hook.headers.items() if name != missing}))
        == "unsigned"
    )


@pytest.mark.parametrize(
    "by",
    [
        issued(days=(-60, -1)),
        issued(days=(1, 60)),
        issued("paypal.com"),
        issued("messageverificationcerts.paypal.com.example.org"),
        issued("evilpaypal.com"),
        issued("*.paypal.com"),
        issued(size=1024),
        root(),
    ],
    ids=["expired", "not_yet", "bare", "other_end", "look_alike", "wildcard", "short", "the_root_itself"],
)
def test_a_certificate_that_is_not_paypals_or_not_valid_now_is_refused(by: Any):
    assert why(signed(EVENT, by=by), keys(by)) == "certificate"


def test_a_chain_has_to_end_at_a_root_that_is_trusted():
    assert why(signed(EVENT), keys(webhook_ca=root("Another root").pem)) == "certificate"
    # Without a root of the account's own: the system's.
    assert why(signed(EVENT), replace(keys(), options={"webhook_id": "1JE4291016473214C"})) == "certificate"
    assert why(signed(EVENT), keys(webhook_ca="no PEM")) == "certificate"


@pytest.mark.parametrize(
    "pem", [None, b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_without_a_readable_certificate_nothing_is_believed(pem: bytes | None):
    assert why(signed(EVENT), replace(keys(), certificate=pem)) == "certificate"


def test_the_systems_roots_are_read_where_there_are_any():
    there = any(Path(file).is_file() for file in certificates._BUNDLES)

    assert (len(certificates._system()) > 20) is there


def test_what_paypal_no_longer_repeats_is_stale():
    assert why(signed(EVENT, sent_at=NOW - timedelta(days=3))) is None
    assert why(signed(EVENT, sent_at=NOW - timedelta(days=3, hours=2))) == "stale"
    # A forged one is called so however old it is.
    assert why(signed(EVENT, sent_at=NOW - timedelta(days=9), webhook_id="X")) == "forged"


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"id": "\xff"}',
        {},
        {**EVENT, "id": None},
        {**EVENT, "id": ""},
        {**EVENT, "id": "x" * 300},
        {**EVENT, "event_type": 7},
        {**EVENT, "resource": []},
    ],
)
def test_what_is_signed_and_not_readable_is_malformed(event: Any):
    assert why(signed(event)) == "malformed"


def test_a_certificate_is_fetched_from_paypal_alone():
    assert PAYPAL.certificate_url(signed(EVENT), {}) == ADDRESS
    for host in ("api.paypal.com", "api.sandbox.paypal.com", "a.b.paypal.com:443"):
        url = f"https://{host}/v1/notifications/certs/CERT-1"
        assert PAYPAL.certificate_url(signed(EVENT, paypal_cert_url=url), {}) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.paypal.com/v1/notifications/certs/CERT-1",
        "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
        "https://paypal.com/v1/notifications/certs/CERT-1",
        "https://evilpaypal.com/CERT-1",
        "https://api.paypal.com.example.org/CERT-1",
        "https://api.paypal.com@example.org/CERT-1",
        "https://user:pass@api.paypal.com/CERT-1",
        "https://example.org\\.paypal.com/CERT-1",
        "https://example.org#.paypal.com/CERT-1",
        "https://example.org?.paypal.com/CERT-1",
        "https://example.org/.paypal.com/CERT-1",
        "https://api.paypal.com./CERT-1",
        "https://api.paypal.com/CERT-1\n",
        " https://api.paypal.com/CERT-1",
        "https://127.0.0.1/CERT-1",
        "http://127.0.0.1:8080/certs/CERT-1",
        "https://api.paypal.com",
        "file:///etc/passwd",
        "",
    ],
)
def test_an_address_of_anybody_else_is_not_fetched(url: str):
    hook = signed(EVENT, paypal_cert_url=url)

    assert PAYPAL.certificate_url(hook, {}) is None
    assert PAYPAL.certificate_url(Hook({}, b""), {}) is None


def test_a_simulators_address_is_taken_where_its_host_is_named_exactly():
    local = {"certificate_host": "127.0.0.1:8080"}
    for url, taken in (
        ("http://127.0.0.1:8080/paypal/v1/notifications/certs/CERT-1", True),
        ("http://127.0.0.1:8081/paypal/v1/notifications/certs/CERT-1", False),
        ("http://127.0.0.1:8080@example.org/CERT-1", False),
        ("http://127.0.0.1:80800/CERT-1", False),
        (ADDRESS, True),
    ):
        assert (PAYPAL.certificate_url(signed(EVENT, paypal_cert_url=url), local) == url) is taken


def test_paypal_makes_no_check_of_the_address():
    assert PAYPAL.hook_challenge({"x": "y"}, keys()) is None
