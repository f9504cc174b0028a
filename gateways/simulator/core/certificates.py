"""X.509 as the simulator needs it: an authority that only its clients trust, and certificates by it."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM: Final = serialization.Encoding.PEM
AUTHORITY: Final = x509.Name(
    [x509.NameAttribute(NameOID.COMMON_NAME, "A simulator's authority, trusted by nobody else")]
)

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def authority(key: ec.EllipticCurvePublicKey, life: timedelta) -> x509.CertificateBuilder:
    """The authority's certificate, not signed yet."""
    return _certificate(AUTHORITY, key, life, authority=True)


def server(
    names: Iterable[x509.GeneralName],
    common: str,
    key: PublicKey,
    by: ec.EllipticCurvePublicKey,
    life: timedelta,
) -> x509.CertificateBuilder:
    """A server's certificate, not signed yet. `by`: the key of the authority that will sign it."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    return (
        _certificate(subject, key, life, authority=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by), critical=False)
    )


def private(key: PrivateKey) -> bytes:
    """The key as PEM in PKCS #8, without a password."""
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def write(file: Path, content: bytes) -> None:
    """Writes a file for its owner alone, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_bytes(content)
    fresh.rename(file)


def _certificate(
    subject: x509.Name, key: PublicKey, life: timedelta, *, authority: bool
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        AUTHORITY, subject, key, x509.random_serial_number(), now - timedelta(days=1), now + life
    )
    return (
        made.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_usage(authority=authority), critical=True)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
