"""The PSPs' clients in other languages, which nobody here wrote, pay at the simulator."""

import asyncio
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import stripe

from gateways.simulator.core.ledger import read_movements
from infra.tools.docs.psp_clients import CLIENTS, Tried
from tests.support.each_psp import at_own_ports, behind_tls

HERE = Path(__file__).parent / "clients" / "psps"
TRIED = {(one.gateway, one.language): one for one in CLIENTS}
PAID_AT_STRIPE = {
    "held": ["requires_capture", 1099],
    "taken": ["succeeded", 700],
    "refund": ["succeeded", 300],
    "refunded": 300,
}
FETCH_WITHIN_S = 200


class Psps(NamedTuple):
    """`own`: by PSP, the URL of its own port."""

    own: dict[str, str]
    ledger: Path
    authority: Path
    proxy: str

    @property
    def moved(self) -> list[tuple[str, str]]:
        return sorted((one.kind, f"{one.amount:.2f}") for one in read_movements(self.ledger))


def of(language: str) -> list[Tried]:
    return [one for one in CLIENTS if one.language == language]


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs, and the clients beside them."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not at hand")
    folder = tmp_path_factory.mktemp("npm")
    for program in (HERE / "npm").glob("*.js"):
        shutil.copy(program, folder)
    package = {"private": True, "dependencies": {one.package: one.version for one in of("Node.js")}}
    (folder / "package.json").write_text(json.dumps(package))
    argv = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"]
    _fetch(argv, folder, "the npm clients could not be fetched")
    return folder


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program."""
    if shutil.which("go") is None:
        pytest.skip("no Go toolchain is at hand")
    folder = tmp_path_factory.mktemp("go")
    for name in ("go.mod", "go.sum", "stripe.go"):
        shutil.copy(HERE / "go" / name, folder)
    _fetch(["go", "build", "-o", "pay", "."], folder, "stripe-go could not be fetched or built")
    return folder / "pay"


def _fetch(argv: Sequence[str], folder: Path, otherwise: str) -> None:
    try:
        done = subprocess.run(argv, cwd=folder, capture_output=True, check=False, timeout=FETCH_WITHIN_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{otherwise}: it took more than {FETCH_WITHIN_S} s")
    if done.returncode:
        pytest.skip(f"{otherwise}: {done.stderr.decode(errors='replace')[-300:]}")


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    async with at_own_ports(tmp_path / "plain.sqlite") as (_, own):
        yield dict(own)


@pytest.fixture
async def psps(tmp_path: Path) -> AsyncIterator[Psps]:
    """With TLS and the proxy, as `aegispay simulator --tls` has them."""
    file = tmp_path / "ledger.sqlite"
    async with behind_tls(file, tmp_path) as (own, authority, proxy):
        yield Psps(own, file, authority, proxy)


async def say(*argv: str | Path, cwd: Path, **environment: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, trouble = await process.communicate()
    assert process.returncode == 0, trouble.decode()[-3000:]
    return json.loads(output)


Node = Callable[..., Any]


@pytest.fixture
def node(npm: Path, psps: Psps) -> Node:
    async def run(program: str, *arguments: str, **environment: str) -> Any:
        authority = {"NODE_EXTRA_CA_CERTS": str(psps.authority)}
        return await say("node", program, *arguments, cwd=npm, **authority, **environment)

    return run


def _at(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.hostname or "", str(parts.port)


async def test_stripes_client_for_node_pays_at_stripes_own_port(npm: Path, plain: dict[str, str]):
    printed = await say("node", "stripe.js", *_at(plain["stripe"]), "http", cwd=npm)

    assert printed == {
        **PAID_AT_STRIPE,
        "declined": "StripeCardError generic_decline",
        "version": TRIED["stripe", "Node.js"].interface,
    }


@pytest.mark.soak  # see tests/system/clients/foreign.py
async def test_stripes_client_for_go_pays_at_stripes_own_port(
    go: Path, plain: dict[str, str], tmp_path: Path
):
    printed = await say(go, plain["stripe"], cwd=tmp_path)

    assert printed == {
        **PAID_AT_STRIPE,
        "declined": "generic_decline",
        "version": TRIED["stripe", "Go"].interface,
    }


@pytest.mark.soak  # see tests/system/clients/foreign.py
async def test_stripes_client_for_go_pays_where_it_looks_for_stripe_by_the_proxy(
    go: Path, psps: Psps, tmp_path: Path
):
    led = {"HTTPS_PROXY": psps.proxy, "SSL_CERT_FILE": str(psps.authority)}
    printed = await say(go, "https://api.stripe.com", cwd=tmp_path, **led)

    assert printed["taken"] == PAID_AT_STRIPE["taken"]
    assert ("captured", "7.00") in psps.moved


async def test_stripes_client_for_node_pays_over_tls(node: Node, psps: Psps):
    printed = await node("stripe.js", *_at(psps.own["stripe"]), "https")

    assert printed["taken"] == PAID_AT_STRIPE["taken"]
    assert psps.moved == [
        ("authorized", "10.99"),
        ("captured", "7.00"),
        ("refunded", "3.00"),
        ("released", "3.99"),
    ]


@pytest.mark.parametrize("found_by", ["its base URL", "its proxy"])
async def test_adyens_client_for_node_pays_over_tls(node: Node, psps: Psps, found_by: str):
    where = [psps.own["adyen"]] if found_by == "its base URL" else _at(psps.proxy)

    printed = await node("adyen.js", *where)

    assert printed == {"paid": "Authorised", "captured": "received", "of": True, "refused": 403}
    assert Counter(psps.moved)["authorized", "10.99"] == 1


@pytest.mark.parametrize("found_by", ["its base URL", "HTTPS_PROXY"])
async def test_razorpays_client_for_node_orders_over_tls(node: Node, psps: Psps, found_by: str):
    if found_by == "its base URL":
        printed = await node("razorpay.js", psps.own["razorpay"])
    else:
        printed = await node("razorpay.js", HTTPS_PROXY=psps.proxy)

    assert printed == {"made": ["order", "created", 50000], "same": True, "found": 1}


async def test_paypals_client_for_node_pays_by_its_proxy_settings(node: Node, psps: Psps):
    host, port = _at(psps.proxy)

    printed = await node("paypal.js", f"http://{host}", port)

    assert printed == {
        "order": "COMPLETED",
        "capture": ["COMPLETED", "10.99"],
        "refund": ["COMPLETED", "3.00"],
        "shown": "COMPLETED",
    }
    assert psps.moved == [("captured", "10.99"), ("refunded", "3.00")]


async def test_braintrees_client_for_node_pays_over_graphql_by_its_agent(node: Node, psps: Psps):
    printed = await node("braintree.js", psps.proxy)

    assert printed == {"charged": ["SUBMITTED_FOR_SETTLEMENT", "10.99"], "found": "order-7"}
    assert psps.moved == [("captured", "10.99")]


@pytest.mark.parametrize("tried", of("Python"), ids=lambda tried: tried.package)
def test_the_python_clients_are_those_that_the_documents_name(tried: Tried):
    assert metadata.version(tried.package) == tried.version


def test_the_go_client_is_the_one_that_the_documents_name():
    tried = TRIED["stripe", "Go"]
    assert f"require {tried.package} {tried.version}\n" in (HERE / "go" / "go.mod").read_text()


def test_stripes_python_client_asks_for_the_version_that_the_documents_name():
    assert TRIED["stripe", "Python"].interface == stripe.api_version
