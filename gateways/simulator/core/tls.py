"""The certificate of the PSPs' own ports, by an authority whose key is thrown away once it has signed that
certificate.
"""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from gateways.simulator.core import certificates
from gateways.simulator.core.certificates import PEM, private, write

AUTHORITY_FILE: Final = "simulator-ca.pem"
SERVER_FILE: Final = "simulator-server.pem"
# Apple's systems refuse a server's certificate of more than 825 days.
_LIFE: Final = timedelta(days=825)
_LEFT_MIN: Final = timedelta(days=1)


class Tls(NamedTuple):
    """`authority`: the file that a client has to trust."""

    context: ssl.SSLContext
    authority: Path


def kept_in(folder: Path, hosts: Sequence[str]) -> Tls:
    """Keeps a certificate for 127.0.0.1, localhost and `hosts` in `folder`, and its authority's; those that
    are there already are used again while they are valid for these. Raises OSError where the folder cannot be
    used, and ValueError where its files are no certificates."""
    authority_file, server_file = folder / AUTHORITY_FILE, folder / SERVER_FILE
    names = [x509.IPAddress(IPv4Address("127.0.0.1")), *(x509.DNSName(one) for one in ("localhost", *hosts))]
    if not (authority_file.exists() and server_file.exists() and _serves(server_file, names)):
        authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        by = authority_key.public_key()
        authority = certificates.authority(by, _LIFE).sign(authority_key, hashes.SHA256())
        made = certificates.server(names, "localhost", key.public_key(), by, _LIFE)
        write(authority_file, authority.public_bytes(PEM))
        write(server_file, private(key) + made.sign(authority_key, hashes.SHA256()).public_bytes(PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_file)
    return Tls(context, authority_file)


def _serves(file: Path, names: Sequence[x509.GeneralName]) -> bool:
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return list(named) == list(names) and certificate.not_valid_after_utc > datetime.now(UTC) + _LEFT_MIN
