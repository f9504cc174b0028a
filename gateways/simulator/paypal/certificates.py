"""What webhooks are signed with: a certificate in PayPal's name, by an authority of the simulator's own.

Both are kept in files beside the ledger, so that what was trusted before a restart is trusted after it. The authority's
certificate, `<ledger>.paypal-ca.pem`, is what a receiver has to trust.
"""

import base64
import os
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME: Final = "messageverificationcerts.paypal.com"
ALGORITHM: Final = "SHA256withRSA"
_LIFE: Final = timedelta(days=3650)
_PEM: Final = serialization.Encoding.PEM


@dataclass(slots=True)
class Signer:
    """`beside`: the ledger's file. The key that signs is made when it is first needed: that takes a moment."""

    beside: Path
    _leaf: tuple[x509.Certificate, rsa.RSAPrivateKey] | None = None

    @property
    def authority_file(self) -> Path:
        return self.beside.with_name(f"{self.beside.name}.paypal-ca.pem")

    def authority(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        keys = self.beside.with_name(f"{self.beside.name}.paypal-ca.key")
        if not keys.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            name = _name("A simulator's authority, trusted by nobody else")
            certificate = _certificate(name, name, key.public_key(), authority=True).sign(
                key, hashes.SHA256()
            )
            _write(self.authority_file, certificate.public_bytes(_PEM))
            _write(keys, _private(key))
        loaded = serialization.load_pem_private_key(keys.read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        return x509.load_pem_x509_certificate(self.authority_file.read_bytes()), loaded

    def authority_pem(self) -> str:
        """Made where there is none yet."""
        return self.authority()[0].public_bytes(_PEM).decode()

    def leaf(self) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
        if self._leaf is None:
            file = self.beside.with_name(f"{self.beside.name}.paypal-signing.pem")
            if not file.exists():
                by, by_key = self.authority()
                key = rsa.generate_private_key(65537, 2048)
                made = _certificate(_name(NAME), by.subject, key.public_key(), authority=False)
                signed = made.add_extension(
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(by_key.public_key()), critical=False
                ).sign(by_key, hashes.SHA256())
                _write(file, _private(key) + signed.public_bytes(_PEM))
            content = file.read_bytes()
            loaded = serialization.load_pem_private_key(content, None)
            assert isinstance(loaded, rsa.RSAPrivateKey)
            self._leaf = x509.load_pem_x509_certificate(content), loaded
        return self._leaf

    @property
    def name(self) -> str:
        """Of the certificate in its address."""
        return f"CERT-{self.leaf()[0].serial_number:x}"

    def pem(self) -> bytes:
        return self.leaf()[0].public_bytes(_PEM)

    def sign(self, transmission_id: str, at: str, webhook_id: str, body: bytes) -> str:
        text = _signed_text(transmission_id, at, webhook_id, body)
        return base64.b64encode(self.leaf()[1].sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()

    def verifies(self, signature: str, transmission_id: str, at: str, webhook_id: str, body: bytes) -> bool:
        text = _signed_text(transmission_id, at, webhook_id, body)
        try:
            raw = base64.b64decode(signature, validate=True)
            self.leaf()[1].public_key().verify(raw, text, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True


def _signed_text(transmission_id: str, at: str, webhook_id: str, body: bytes) -> bytes:
    return f"{transmission_id}|{at}|{webhook_id}|{zlib.crc32(body)}".encode()


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    *,
    authority: bool,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        issuer, subject, key, x509.random_serial_number(), now - timedelta(days=1), now + _LIFE
    )
    made = (
        made.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_usage(authority=authority), critical=True)
    )
    if authority:
        return made
    return made.add_extension(
        x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False
    ).add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)


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


def _private(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_bytes(content)
    fresh.rename(file)
