"""The certificate that signs webhooks, in PayPal's name, by an authority of the simulator's own. Both are
kept in files beside the ledger, so that a receiver's trust outlasts a restart. It has to trust the
authority's certificate, `<ledger>.paypal-ca.pem`.
"""

import base64
import zlib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from gateways.simulator.core import certificates
from gateways.simulator.core.certificates import PEM, private, write

NAME: Final = "messageverificationcerts.paypal.com"
ALGORITHM: Final = "SHA256withRSA"
_LIFE: Final = timedelta(days=3650)


@dataclass(slots=True)
class Signer:
    """Signs webhooks. `beside`: the ledger's file. The signing key is made when it is first needed, which
    takes a moment."""

    beside: Path
    _leaf: tuple[x509.Certificate, rsa.RSAPrivateKey] | None = None

    @property
    def authority_file(self) -> Path:
        """The file of the authority's certificate."""
        return self.beside.with_name(f"{self.beside.name}.paypal-ca.pem")

    def authority(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """The authority's certificate and key, made where there are none yet."""
        keys = self.beside.with_name(f"{self.beside.name}.paypal-ca.key")
        if not keys.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = certificates.authority(key.public_key(), _LIFE).sign(key, hashes.SHA256())
            write(self.authority_file, certificate.public_bytes(PEM))
            write(keys, private(key))
        loaded = serialization.load_pem_private_key(keys.read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        return x509.load_pem_x509_certificate(self.authority_file.read_bytes()), loaded

    def authority_pem(self) -> str:
        """The authority's certificate as PEM."""
        return self.authority()[0].public_bytes(PEM).decode()

    def leaf(self) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
        """The signing certificate and key, made where there are none yet."""
        if self._leaf is None:
            file = self.beside.with_name(f"{self.beside.name}.paypal-signing.pem")
            if not file.exists():
                _, by_key = self.authority()
                key = rsa.generate_private_key(65537, 2048)
                made = certificates.server(
                    [x509.DNSName(NAME)], NAME, key.public_key(), by_key.public_key(), _LIFE
                )
                write(file, private(key) + made.sign(by_key, hashes.SHA256()).public_bytes(PEM))
            content = file.read_bytes()
            loaded = serialization.load_pem_private_key(content, None)
            assert isinstance(loaded, rsa.RSAPrivateKey)
            self._leaf = x509.load_pem_x509_certificate(content), loaded
        return self._leaf

    @property
    def name(self) -> str:
        """The certificate's name within its address."""
        return f"CERT-{self.leaf()[0].serial_number:x}"

    def pem(self) -> bytes:
        """The signing certificate as PEM."""
        return self.leaf()[0].public_bytes(PEM)

    def sign(self, transmission_id: str, at: str, webhook_id: str, body: bytes) -> str:
        """The signature in base64: RSA-SHA256 of the transmission's id and time, the webhook's id, and the
        body's CRC-32."""
        text = _signed_text(transmission_id, at, webhook_id, body)
        return base64.b64encode(self.leaf()[1].sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()

    def verifies(self, signature: str, transmission_id: str, at: str, webhook_id: str, body: bytes) -> bool:
        """True if the signature is one of `sign` for the same values."""
        text = _signed_text(transmission_id, at, webhook_id, body)
        try:
            raw = base64.b64decode(signature, validate=True)
            self.leaf()[1].public_key().verify(raw, text, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True


def _signed_text(transmission_id: str, at: str, webhook_id: str, body: bytes) -> bytes:
    return f"{transmission_id}|{at}|{webhook_id}|{zlib.crc32(body)}".encode()
