"""The certificate that a webhook is signed with. Invariant: its key is used only where it is PayPal's:
valid now, for a name under paypal.com, and by a chain that ends at a root that is trusted.

The roots are the system's, read once, or the account's own (`webhook_ca`), which may also be the
certificate's issuer. PayPal may serve the certificate alone: then its issuer is fetched from where the
certificate itself names (authority information access, RFC 5280 4.2.2.1), if that is the authority that
PayPal uses. Whoever could alter it on its way gains nothing: the chain has to end at a trusted root.
"""

import re
import ssl
import warnings
from collections.abc import Mapping
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import verification
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

_ADDRESS: Final = re.compile(r"https://(?:[a-z0-9-]{1,63}\.){1,5}paypal\.com(?::443)?/[A-Za-z0-9/_.-]{1,400}")
_AUTHORITY: Final = re.compile(r"https?://cacerts\.digicert\.com/[A-Za-z0-9/_.-]{1,400}")
_PATH: Final = re.compile(r"/[A-Za-z0-9/_.-]{1,400}")
_NAME: Final = re.compile(r"(?:[a-z0-9-]{1,63}\.){1,5}paypal\.com")
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_CHAIN_MAX: Final = 5
# Tried if Python's own default names no file.
_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


def address(url: str | None, simulator: str | None) -> str | None:
    """The address, where a certificate of PayPal's may be fetched from it. `simulator`: a host and port that
    are taken as well. None: it is nobody's that we trust."""
    if url is None:
        return None
    if _ADDRESS.fullmatch(url):
        return url
    local = f"http://{simulator}"
    ours = simulator and url.startswith(f"{local}/") and _PATH.fullmatch(url.removeprefix(local))
    return url if ours else None


def issuer_address(pem: bytes, options: Mapping[str, str], now: datetime) -> str | None:
    """The address of the issuer's certificate. None: the chain is whole, or names no address that AegisPay
    fetches from."""
    chain = _load(pem)
    if not chain or len(chain) > 1 or key_of(pem, options.get("webhook_ca"), now) is not None:
        return None
    simulator = options.get("certificate_host")
    local = None if simulator is None else f"http://{simulator}/"
    for address in _issuers(chain[0]):
        if _AUTHORITY.fullmatch(address):
            return address
        if local is not None and address.startswith(local) and _PATH.fullmatch(address[len(local) - 1 :]):
            return address
    return None


def _issuers(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    except (x509.ExtensionNotFound, ValueError):
        return []
    wanted = AuthorityInformationAccessOID.CA_ISSUERS
    named = [one.access_location for one in found.value if one.access_method == wanted]
    return [str(one.value) for one in named if isinstance(one, x509.UniformResourceIdentifier)]


def key_of(pem: bytes, trusted: str | None, now: datetime) -> RSAPublicKey | None:
    """The public key of the certificate. None: it is not PayPal's, or not valid now."""
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
    names = [str(one.value) for one in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return names[0] if len(names) == 1 and _NAME.fullmatch(names[0]) else None


@lru_cache(maxsize=64)
def _load(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM. Empty: one of them is not readable."""
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
