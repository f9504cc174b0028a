"""A company's proxy reads what it passes on: it shows a certificate of the company's own authority for
every host."""

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROOT = Path(__file__).parents[4]
_NAMED_BY = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "SSL_CERT_FILE", "PIP_CONFIG_FILE")


class Proxy:
    """`authority`: the file of its certificate. `read`: the requests that it could read, so that were sent
    to it in trust."""

    def __init__(self, folder: Path) -> None:
        self.authority, self._chain = folder / "authority.pem", folder / "proxy.pem"
        self.read: list[str] = []
        self.port = 0
        key, certificate = _issued("The company", None, None, [])
        self.authority.write_bytes(_pem(certificate))
        hosts = ["repo.maven.apache.org", "repo1.maven.org"]
        own_key, own = _issued("proxy", key, certificate, hosts)
        private = own_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._chain.write_bytes(private + _pem(own))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self._chain)
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            await writer.start_tls(tls)
            head = await reader.readuntil(b"\r\n\r\n")
            self.read.append(head.split()[1].decode())
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client does not trust it
        finally:
            writer.close()


def _issued(
    name: str, by: ec.EllipticCurvePrivateKey | None, issuer: x509.Certificate | None, hosts: list[str]
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        made = made.add_extension(names, critical=False)
    return key, made.sign(by or key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    made = Proxy(tmp_path)
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


async def _download(proxy: Proxy, cache: Path, **env: str) -> str:
    """The download's last message: that the jars are not there, or that it trusts nobody."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _NAMED_BY and not name.lower().endswith("_proxy")
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "infra.tools.local.jars"],
        cwd=ROOT,
        env=kept
        | {"PIP_CONFIG_FILE": os.devnull, "AEGISPAY_CACHE": str(cache)}
        | {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
        | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "SSL_CERT_FILE"])
async def test_kafkas_jars_are_fetched_by_the_certificates_that_pip_is_given(proxy, tmp_path, variable):
    output = await _download(proxy, tmp_path / "cache", **{variable: str(proxy.authority)})

    assert any("/org/apache/kafka/" in path for path in proxy.read)
    assert "trusted" not in output


async def test_they_are_taken_from_pips_configuration_too(proxy, tmp_path):
    (tmp_path / "pip.conf").write_text(f"[global]\ncert = {proxy.authority}\n")

    await _download(proxy, tmp_path / "cache", PIP_CONFIG_FILE=str(tmp_path / "pip.conf"))

    assert any("/org/apache/kafka/" in path for path in proxy.read)


async def test_an_authority_that_nobody_named_is_not_trusted_and_the_variable_is_reported(proxy, tmp_path):
    output = await _download(proxy, tmp_path / "cache")

    assert proxy.read == []
    assert "REQUESTS_CA_BUNDLE, or PIP_CERT" in output


async def test_a_file_that_is_not_there_is_reported_by_its_variable(proxy, tmp_path):
    output = await _download(proxy, tmp_path / "cache", PIP_CERT=str(tmp_path / "nothing.pem"))

    assert output.startswith(f"PIP_CERT names {tmp_path / 'nothing.pem'}, which does not exist")
