"""Certificates by their addresses, from a real server behind TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.psp.certificates import Certificates, Unavailable

PEM = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@dataclass
class Psp:
    url: str = ""
    fetched: list[str] = field(default_factory=list)
    body: bytes = PEM
    status: int = 200
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def respond(self, request: web.Request) -> web.Response:
        self.fetched.append(request.path)
        await self.goes_on.wait()
        return web.Response(status=self.status, body=self.body, headers={"Location": f"{self.url}/elsewhere"})


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of localhost: key and certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@asynccontextmanager
async def _serving(pem: Path) -> AsyncIterator[Psp]:
    psp = Psp()
    psp.goes_on.set()
    app = web.Application()
    app.router.add_get("/{name}", psp.respond)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    psp.url = f"https://localhost:{port}"
    try:
        yield psp
    finally:
        psp.goes_on.set()
        await runner.cleanup()


@pytest.fixture
async def psp(pem: Path) -> AsyncIterator[Psp]:
    async with _serving(pem) as psp:
        yield psp


@pytest.fixture(scope="module")
def trusted(pem: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(pem))


@pytest.fixture
async def kept(trusted: ssl.SSLContext) -> AsyncIterator[Certificates]:
    async with Certificates.open(trusted) as opened:
        yield opened


async def test_a_certificate_is_fetched_once_for_all_that_want_it(psp, kept):
    psp.goes_on.clear()
    wanted = [asyncio.create_task(kept.of(f"{psp.url}/a")) for _ in range(5)]
    wanted[0].cancel()  # whoever came first has gone away
    psp.goes_on.set()

    found = await asyncio.gather(*wanted[1:])

    assert set(found) == {PEM}
    assert await kept.of(f"{psp.url}/a") == PEM
    assert psp.fetched == ["/a"]


async def test_it_is_fetched_again_when_its_life_is_over(psp, trusted):
    async with Certificates.open(trusted, life_s=0.0) as opened:
        await opened.of(f"{psp.url}/a")
        await opened.of(f"{psp.url}/a")

    assert psp.fetched == ["/a", "/a"]


@pytest.mark.parametrize(
    ("status", "body"),
    [(302, PEM), (404, PEM), (500, b""), (200, b"<html>"), (200, PEM + b"x" * 64 * 1024)],
)
async def test_what_is_no_certificate_is_not_kept_and_not_requested_at_once_again(psp, kept, status, body):
    psp.status, psp.body = status, body

    for _ in range(2):
        with pytest.raises(Unavailable):
            await kept.of(f"{psp.url}/a")

    assert psp.fetched == ["/a"]  # nor has a redirect been followed


async def test_a_server_that_nobody_vouches_for_is_not_believed(psp):
    async with Certificates.open() as opened:
        with pytest.raises(Unavailable):
            await opened.of(f"{psp.url}/a")

    assert psp.fetched == []


async def test_a_psp_that_does_not_respond_holds_up_no_one_for_long(psp, trusted):
    psp.goes_on.clear()
    async with Certificates.open(trusted, within_s=0.2) as hasty, asyncio.timeout(5):
        with pytest.raises(Unavailable):
            await hasty.of(f"{psp.url}/a")


async def test_few_are_fetched_at_once_and_what_is_kept_needs_no_turn(psp, kept):
    await kept.of(f"{psp.url}/kept")
    psp.goes_on.clear()
    begun = [asyncio.create_task(kept.of(f"{psp.url}/{number}")) for number in range(4)]
    await asyncio.sleep(0)

    with pytest.raises(Unavailable):
        await kept.of(f"{psp.url}/one-more")
    assert await kept.of(f"{psp.url}/kept") == PEM

    psp.goes_on.set()
    assert await asyncio.gather(*begun) == [PEM] * 4


async def test_addresses_that_fail_push_out_none_that_is_kept(psp, kept):
    await kept.of(f"{psp.url}/kept")
    psp.status = 404
    for number in range(40):
        with pytest.raises(Unavailable):
            await kept.of(f"{psp.url}/{number}")

    assert await kept.of(f"{psp.url}/kept") == PEM
    assert len(kept._failed) <= 32
