"""What is believed of a webhook: nothing that is not signed by a certificate of PayPal's for our webhook."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import hashes

from gateways.contract import Credentials, HttpResponse, Webhook, WebhookKeys, WebhookRefused
from gateways.paypal import certificates
from gateways.paypal.adapter import PayPal
from tests.gateways.paypal.payloads import CAPTURE, capture
from tests.gateways.paypal.signing import ADDRESS, NOW, intermediate, issued, keys, root, signed

PAYPAL = PayPal()
EVENT: dict[str, Any] = {
    "id": "WH-2WR32451HC0233532-67976317FL4543714",
    "event_version": "1.0",
    "create_time": "2026-11-25T11:59:58.000Z",
    "resource_type": "capture",
    "event_type": "PAYMENT.CAPTURE.COMPLETED",
    "resource": capture(),
}


def why(webhook: Webhook, known: WebhookKeys | None = None) -> str | None:
    read = PAYPAL.read_webhook(webhook, known or keys(), NOW)
    return read.reason if isinstance(read, WebhookRefused) else None


def test_a_webhook_that_is_signed_for_us_is_read():
    read = PAYPAL.read_webhook(signed(EVENT), keys(), NOW)

    assert isinstance(read, tuple)
    (notice,) = read
    assert (notice.event_id, notice.event_type) == (EVENT["id"], "PAYMENT.CAPTURE.COMPLETED")
    assert notice.reference == CAPTURE.reference
    assert notice.at == NOW - timedelta(seconds=2)


def test_an_altered_body_is_forged_and_so_is_one_that_only_looks_the_same():
    webhook = signed(EVENT)

    for body in (
        webhook.body.replace(b"4.00", b"9.00"),
        webhook.body + b" ",
        orjson.dumps(EVENT, option=orjson.OPT_INDENT_2),
    ):
        assert why(replace(webhook, body=body)) == "forged"


@pytest.mark.parametrize(
    "webhook",
    [
        signed(EVENT, webhook_id="4JH86294D6297924G"),
        signed(EVENT, paypal_transmission_id="another"),
        signed(EVENT, paypal_transmission_time="2026-11-25T12:00:01Z"),
        signed(EVENT, algorithm=hashes.SHA1()),
        signed(EVENT, algorithm=hashes.SHA512()),
        signed(EVENT, by=issued("another.paypal.com")),
        *(signed(EVENT, paypal_transmission_sig=value) for value in ("", "AAAA", "not base64!", "ü")),
        *(signed(EVENT, paypal_auth_algo=value) for value in ("SHA1withRSA", "none", "sha256withrsa", "")),
    ],
)
def test_what_is_signed_otherwise_is_forged(webhook: Webhook):
    assert why(webhook) == "forged"


def test_the_webhooks_id_is_our_own_and_has_to_be_known():
    assert why(signed(EVENT), keys(webhook_id="4JH86294D6297924G")) == "forged"
    assert why(signed(EVENT), replace(keys(), options={"webhook_ca": root().pem})) == "forged"


@pytest.mark.parametrize(
    "missing",
    ["paypal-transmission-id", "paypal-transmission-time", "paypal-transmission-sig", "paypal-auth-algo"],
)
def test_a_webhook_without_its_headers_is_unsigned(missing: str):
    webhook = signed(EVENT)

    assert (
        why(
            replace(
                webhook,
                headers={name: value for name, value in webhook.headers.items() if name != missing},
            )
        )
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


def test_an_event_of_a_kind_that_is_read_reports_nothing_without_its_resource():
    event = {"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": None}

    assert why(signed(event)) is None


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
    webhook = signed(EVENT, paypal_cert_url=url)

    assert PAYPAL.certificate_url(webhook, {}) is None
    assert PAYPAL.certificate_url(Webhook({}, b""), {}) is None


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


def test_one_transmission_may_carry_bodies_that_are_signed_alike_and_is_named_so_that_one_is_taken():
    one, other = signed({**EVENT, "summary": "a"}), signed({**EVENT, "summary": "b"})

    assert (why(one), why(other)) == (None, None)
    assert PAYPAL.transmission(one) == PAYPAL.transmission(other) is not None
    assert PAYPAL.transmission(Webhook({}, b"")) is None


def test_what_changes_a_payment_is_read_at_paypal_by_the_events_id():
    (notice,) = PAYPAL.read_webhook(signed(EVENT), keys(), NOW)  # type: ignore[misc]
    known = Credentials("https://api-m.paypal.com", "secret", access_token="A21AA")

    request = PAYPAL.confirm(notice, known)

    assert PAYPAL.changes(notice)
    assert (request.method, request.path) == ("GET", f"/v1/notifications/webhooks-events/{EVENT['id']}")
    assert request.headers == {"Authorization": "Bearer A21AA"}
    shown = HttpResponse(200, {}, orjson.dumps(EVENT))
    assert PAYPAL.confirmed(notice, shown) == notice
    for response in (
        replace(shown, status=404),
        HttpResponse(200, {}, b"<html>"),
        HttpResponse(200, {}, orjson.dumps({**EVENT, "id": "WH-9"})),
    ):
        assert PAYPAL.confirmed(notice, response) is None


def test_half_a_character_in_a_text_is_no_reason_to_refuse_an_event():
    cut = orjson.dumps({**EVENT, "summary": "cut off here"}).replace(b"cut off here", b"cut off \\ud83d")

    assert PAYPAL.read_webhook(signed(cut), keys(), NOW) == PAYPAL.read_webhook(signed(EVENT), keys(), NOW)


DIGICERT = "http://cacerts.digicert.com/DigiCertEVRSACAG2.crt"


@pytest.mark.parametrize(
    ("address", "taken"),
    [
        (DIGICERT, True),
        ("https://cacerts.digicert.com/DigiCertEVRSACAG2.crt", True),
        ("http://127.0.0.1:8080/issuer.crt", True),
        ("http://127.0.0.1:8081/issuer.crt", False),
        ("http://cacerts.digicert.com.example.org/x.crt", False),
        ("http://cacerts.digicert.com@example.org/x.crt", False),
        ("http://example.org/cacerts.digicert.com/x.crt", False),
        ("ldap://cacerts.digicert.com/x.crt", False),
        ("file:///etc/passwd", False),
    ],
)
def test_the_issuer_of_a_certificate_that_came_alone_is_fetched_from_its_authority_alone(
    address: str, taken: bool
):
    alone = issued(issuer_at=address).pem.encode()
    options = {"webhook_ca": root().pem, "certificate_host": "127.0.0.1:8080"}

    assert PAYPAL.issuer_url(alone, options, NOW) == (address if taken else None)


def test_a_certificate_that_came_alone_is_believed_with_its_issuer_and_not_without():
    by = issued(issuer_at=DIGICERT)
    alone = replace(keys(), certificate=by.pem.encode())
    whole = replace(keys(), certificate=f"{by.pem}\n{intermediate().pem}".encode())

    assert why(signed(EVENT, by=by), alone) == "certificate"
    assert why(signed(EVENT, by=by), whole) is None


def test_no_issuer_is_fetched_where_the_chain_is_whole_or_cannot_be_read():
    by, options = issued(issuer_at=DIGICERT), {"webhook_ca": root().pem}
    whole = f"{by.pem}\n{intermediate().pem}".encode()

    assert PAYPAL.issuer_url(whole, options, NOW) is None
    # The issuer itself is trusted.
    assert PAYPAL.issuer_url(by.pem.encode(), {"webhook_ca": intermediate().pem}, NOW) is None
    assert PAYPAL.issuer_url(issued().pem.encode(), options, NOW) is None
    assert PAYPAL.issuer_url(issued().pem.encode(), {"webhook_ca": intermediate().pem}, NOW) is None
    assert PAYPAL.issuer_url(b"<html>", options, NOW) is None
