"""Ports of their own, TLS, and the proxy that knows the PSPs by their host names."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateways.simulator import registry
from gateways.simulator.core import tls
from gateways.simulator.core.proxy import proxying
from gateways.simulator.core.server import Addresses
from gateways.simulator.registry import PSPS
from tests.support.each_psp import HOSTS, at_own_ports, behind_tls
from tests.support.movements import captures

STRIPE = {"Authorization": "Bearer sk_test_simulator"}
PAYPAL = {"Authorization": aiohttp.encode_basic_auth("simulator-client", "simulator-secret")}
SALE = {"amount": "1099", "currency": "usd", "confirm": "true", "payment_method": "pm_card_visa"}
ORDER = {"intent": "CAPTURE", "purchase_units": [{"amount": {"currency_code": "USD", "value": "10.99"}}]}


class Plain(NamedTuple):
    http: aiohttp.ClientSession
    at: Addresses
    ledger: Path


@pytest.fixture
async def plain(ledger_file: Path) -> AsyncIterator[Plain]:
    async with at_own_ports(ledger_file) as at, aiohttp.ClientSession() as http:
        yield Plain(http, at, ledger_file)


async def test_a_call_that_is_repeated_at_the_other_port_pays_once(plain: Plain):
    responses = []
    for base in (plain.at.own["stripe"], f"{plain.at.url}/stripe"):
        headers = STRIPE | {"Idempotency-Key": "one"}
        async with plain.http.post(f"{base}/v1/payment_intents", data=SALE, headers=headers) as received:
            assert received.status == 200, await received.text()
            responses.append((await received.json(), received.headers.get("Idempotent-Replayed")))

    assert responses[0][0] == responses[1][0]
    assert [replayed for _, replayed in responses] == [None, "true"]
    assert len(captures(plain.ledger)) == 1


async def test_what_is_not_there_is_the_psps_own_404_at_its_own_port(plain: Plain):
    async with plain.http.get(f"{plain.at.own['stripe']}/v1/nothing", headers=STRIPE) as response:
        error = (await response.json())["error"]

    assert response.status == 404
    assert "(GET: /v1/nothing)" in error["message"]


async def test_the_page_names_each_psps_own_port(plain: Plain):
    async with plain.http.get(plain.at.url) as response:
        text = await response.text()

    assert [url for url in plain.at.own.values() if f"<code>{url}</code>" not in text] == []


async def test_the_control_is_at_the_port_of_all_alone(plain: Plain):
    async with plain.http.post(f"{plain.at.own['stripe']}/_simulator", json={}, headers=STRIPE) as response:
        assert response.status == 404


@pytest.mark.parametrize("host", [None, "api-m.sandbox.paypal.com"])
async def test_pages_are_where_the_call_came_to_and_never_at_the_psp(plain: Plain, host: str | None):
    base = plain.at.own["paypal"]
    headers = {} if host is None else {"Host": host}
    form = {"grant_type": "client_credentials"}
    async with plain.http.post(f"{base}/v1/oauth2/token", data=form, headers=PAYPAL | headers) as response:
        bearer = {"Authorization": f"Bearer {(await response.json())['access_token']}", **headers}
    async with plain.http.post(f"{base}/v2/checkout/orders", json=ORDER, headers=bearer) as response:
        links = (await response.json())["links"]
    page = next(link["href"] for link in links if link["rel"] in {"approve", "payer-action"})

    assert {urlsplit(link["href"]).netloc for link in links} == {urlsplit(base).netloc}
    async with plain.http.get(page) as shown:
        assert shown.status == 200


async def test_an_outage_is_one_at_every_port_and_ends_at_every_port(plain: Plain):
    async def reached(base: str) -> bool:
        try:
            async with plain.http.get(base):
                return True
        except aiohttp.ClientError:
            return False

    async with plain.http.post(f"{plain.at.url}/_simulator", json={"down_s": 1.5}) as response:
        assert response.status == 200
    bases = [plain.at.url, *plain.at.own.values()]
    assert [await reached(base) for base in bases] == [False] * len(bases)

    async with asyncio.timeout(20):
        while not all([await reached(base) for base in bases]):  # noqa: ASYNC110 - a port's return has no event
            await asyncio.sleep(0.05)


def test_the_certificate_serves_every_host_name_and_no_key_of_its_authority_is_kept(tmp_path: Path):
    made = tls.kept_in(tmp_path, HOSTS)

    certificate = x509.load_pem_x509_certificate((tmp_path / tls.SERVER_FILE).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", *HOSTS]
    authority = x509.load_pem_x509_certificate(made.authority.read_bytes())
    certificate.verify_directly_issued_by(authority)
    key = serialization.load_pem_private_key((tmp_path / tls.SERVER_FILE).read_bytes(), None)
    assert key.public_key() == certificate.public_key()
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([tls.AUTHORITY_FILE, tls.SERVER_FILE])
    assert b"PRIVATE" not in made.authority.read_bytes()
    assert (tmp_path / tls.SERVER_FILE).stat().st_mode & 0o077 == 0


def test_a_named_folder_keeps_the_authority_until_other_host_names_are_wanted(tmp_path: Path):
    first = tls.kept_in(tmp_path, HOSTS).authority.read_bytes()

    assert tls.kept_in(tmp_path, HOSTS).authority.read_bytes() == first
    assert tls.kept_in(tmp_path, [*HOSTS, "api.psp.example"]).authority.read_bytes() != first


@pytest.mark.parametrize("psp", PSPS, ids=lambda psp: psp.name)
async def test_a_client_that_knows_a_host_name_alone_is_led_to_that_psp(
    ledger_file: Path, tmp_path: Path, psp: registry.Psp
):
    async with behind_tls(ledger_file, tmp_path) as (own, authority, proxy), aiohttp.ClientSession() as http:
        trusting = ssl.create_default_context(cafile=str(authority))
        trusting.verify_flags |= ssl.VERIFY_X509_STRICT
        for name in psp.hosts:
            async with (
                http.get(f"https://{name}/nothing", proxy=proxy, ssl=trusting) as led,
                http.get(f"{own[psp.name]}/nothing", ssl=trusting) as direct,
            ):
                assert led.status == direct.status
                assert led.headers["Content-Type"] == direct.headers["Content-Type"]
                assert list(await led.json()) == list(await direct.json())


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"CONNECT api.psp.example:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 "),
        (b"CONNECT API.psp.example:443 HTTP/1.1\r\nHost: api.psp.example:443\r\n\r\n", b"HTTP/1.1 200 "),
        (b"CONNECT refusing.psp.example:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 502 "),
        (b"CONNECT www.example.com:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 403 "),
        (b"CONNECT api.psp.example:80 HTTP/1.1\r\n\r\n", b"HTTP/1.1 403 "),
        (b"CONNECT 127.0.0.1:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 403 "),
        (b"GET http://api.psp.example/ HTTP/1.1\r\n\r\n", b"HTTP/1.1 403 "),
        (b"X: " + b"x" * 100_000 + b"\r\n\r\n", b""),
    ],
)
async def test_the_proxy_leads_to_the_simulated_psps_and_nowhere_else(head: bytes, status: bytes):
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        writer.close()

    there = await asyncio.start_server(echo, "127.0.0.1", 0)
    gone = await asyncio.start_server(echo, "127.0.0.1", 0)
    ports = {
        "api.psp.example": there.sockets[0].getsockname()[1],
        "refusing.psp.example": gone.sockets[0].getsockname()[1],
    }
    gone.close()
    await gone.wait_closed()
    async with there, proxying(ports, "127.0.0.1", 0) as url, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(head)
        try:
            line = await reader.readline()
            if status == b"HTTP/1.1 200 ":
                await reader.readline()
                writer.write(b"hello")
                assert await reader.read() == b"hello"
        except ConnectionError:
            line = b""
        writer.close()

    assert line.startswith(status)
    assert line or not status
