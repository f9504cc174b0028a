"""The certificate that a webhook is signed with. Invariant: its key is used only where it is PayPal's: valid now, for a
name under paypal.com, and by a chain that ends at a root that is trusted.

The roots are the system's, read once, or the account's own (`webhook_ca`), which may also be the certificate's issuer
where PayPal serves no chain with it.
"""

import re
import ssl
import warnings
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID

_ADDRESS: Final = re.compile(r"https://(?:[a-z0-9-]{1,63}\.){1,5}paypal\.com(?::443)?/[A-Za-z0-9/_.-]{1,400}")
_PATH: Final = re.compile(r"/[A-Za-z0-9/_.-]{1,400}")
_NAME: Final = re.compile(r"(?:[a-z0-9-]{1,63}\.){1,5}paypal\.com")
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_CHAIN_MAX: Final = 5
# Where Python's own default names no file.
_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


def address(said: str | None, simulator: str | None) -> str | None:
    """Where a certificate of PayPal's may be fetched from. `simulator`: a host and port that are taken, too."""
    if said is None:
        return None
    if _ADDRESS.fullmatch(said):
        return said
    local = f"http://{simulator}"
    ours = simulator and said.startswith(f"{local}/") and _PATH.fullmatch(said.removeprefix(local))
    return said if ours else None


def key_of(pem: bytes, trusted: str | None, now: datetime) -> RSAPublicKey | None:
    """None where it is not PayPal's, or not valid now."""
    chain = _load(pem)
    roots = _system() if trusted is None else _load(trusted.encode())
    if not chain or not roots or len(chain) > _CHAIN_MAX:
        return None
    leaf, *between = chain
    name, key = _name(leaf), leaf.public_key()
    if name is None or not isinstance(key, RSAPublicKey) or key.key_size < 2048:
        return None
    policy = verification.PolicyBuilder().store(verification.Store(list(roots))).time(now)
    try:
        policy.build_server_verifier(x509.DNSName(name)).verify(leaf, between)
    except (verification.VerificationError, ValueError):
        return None
    return key


def _name(leaf: x509.Certificate) -> str | None:
    said = [str(one.value) for one in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return said[0] if len(said) == 1 and _NAME.fullmatch(said[0]) else None


@lru_cache(maxsize=64)
def _load(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Empty where one of them is not readable."""
    try:
        return tuple(map(x509.load_pem_x509_certificate, _PEM.findall(pem)))
    except ValueError:
        return ()


@cache
def _system() -> tuple[x509.Certificate, ...]:
    for file in (ssl.get_default_verify_paths().cafile, *_BUNDLES):
        if file is not None and Path(file).is_file():
            return tuple(_readable(Path(file).read_bytes()))
    return ()


def _readable(bundle: bytes) -> list[x509.Certificate]:
    found: list[x509.Certificate] = []
    for pem in _PEM.findall(bundle):
        with warnings.catch_warnings():
            # Some roots are older than the rules that the library knows.
            warnings.simplefilter("ignore")
            found += _load(pem)
    return found
