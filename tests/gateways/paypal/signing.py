"""A certificate authority for tests, and webhooks that are signed as PayPal signs them."""

import base64
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from gateways.contract import Webhook, WebhookKeys

NOW: Final = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
WEBHOOK_ID: Final = "1JE4291016473214C"
ADDRESS: Final = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77"
NAME: Final = "messageverificationcerts.paypal.com"


@dataclass(frozen=True, slots=True)
class Issued:
    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


@cache
def root(name: str = "A root for tests") -> Issued:
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signed = (
        _builder(subject, subject, key, NOW - timedelta(days=9000), NOW + timedelta(days=9000))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Issued(signed, key)


@cache
def intermediate() -> Issued:
    """By `root()`; it signs certificates in its stead."""
    key, by = rsa.generate_private_key(65537, 2048), root()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An intermediate for tests")])
    since, until = NOW - timedelta(days=8500), NOW + timedelta(days=8500)
    signed = (
        _builder(subject, by.certificate.subject, key, since, until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False
        )
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(by.key, hashes.SHA256())
    )
    return Issued(signed, key)


@cache
def issued(
    name: str = NAME,
    days: tuple[int, int] = (-30, 30),
    size: int = 2048,
    *,
    issuer_at: str | None = None,
) -> Issued:
    """By `root()`, valid from and until so many days around `NOW`. `issuer_at`: by `intermediate()`, which is
    there."""
    key, by = rsa.generate_private_key(65537, size), root() if issuer_at is None else intermediate()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    since, until = (NOW + timedelta(days=day) for day in days)
    made = (
        _builder(subject, by.certificate.subject, key, since, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False
        )
        .add_extension(_usage(signs_certificates=False), critical=True)
    )
    if issuer_at is not None:
        place = x509.UniformResourceIdentifier(issuer_at)
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
        made = made.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    return Issued(made.sign(by.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey, since: datetime, until: datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer, subject, key.public_key(), x509.random_serial_number(), since, until
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def signed(
    event: Any,
    *,
    by: Issued | None = None,
    webhook_id: str = WEBHOOK_ID,
    sent_at: datetime = NOW,
    algorithm: hashes.HashAlgorithm | None = None,
    **headers: str,
) -> Webhook:
    """`headers`: other ones than PayPal's, with underlines."""
    body = event if isinstance(event, bytes) else orjson.dumps(event)
    transmission, at = "69cd13f0-d67a-11e5-baa3-778b53f4ae55", sent_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"{transmission}|{at}|{webhook_id}|{zlib.crc32(body)}"
    signature = (by or issued()).key.sign(text.encode(), padding.PKCS1v15(), algorithm or hashes.SHA256())
    signature = {
        "paypal-transmission-id": transmission,
        "paypal-transmission-time": at,
        "paypal-transmission-sig": base64.b64encode(signature).decode(),
        "paypal-cert-url": ADDRESS,
        "paypal-auth-algo": "SHA256withRSA",
    }
    return Webhook(signature | {name.replace("_", "-"): value for name, value in headers.items()}, body)


def keys(by: Issued | None = None, **other: str) -> WebhookKeys:
    """As the intake gives them: the account's options, and the certificate that it has fetched."""
    options = {"webhook_id": WEBHOOK_ID, "webhook_ca": root().pem} | other
    return WebhookKeys((), options, (by or issued()).pem.encode())
