"""The generator, run on a copy of the checkout; what it writes passes the checks that everything here
passes."""

import shutil
from pathlib import Path

import pytest

from infra.errors import LocalProblem
from infra.tools.scaffold import gateway
from tests.infra.tools.scaffold.copied import AEGISPAY, PYTEST, run, suites


def state(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(root.rglob("*.py"))}


@pytest.fixture
def small(checkout: Path, tmp_path: Path) -> Path:
    """Only what the generator reads and what it may find there."""
    for path in (
        gateway.ADAPTERS,
        gateway.BOOKS,
        gateway.SIMULATORS,
        Path("gateways/agent/ports.py"),
        Path("gateways/simulator/core/ledger.py"),
        Path("gateways/stripe/adapter.py"),
        Path("tests/gateways/conformance/shop.py"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(checkout / path, tmp_path / path)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x",
        "Acme",
        "1acme",
        "acme-pay",
        "acme_pay",
        "import",
        "../acme",
        "a" * 25,
        "acmé",
        "a b",
        "conftest",
    ],
)
def test_a_name_that_names_no_package_is_refused_and_nothing_is_written(small: Path, name: str):
    before = state(small)

    with pytest.raises(LocalProblem, match="no name for a gateway"):
        gateway.new(small, name, "Acme")

    assert state(small) == before


@pytest.mark.parametrize("name", ["stripe", "agent", "core", "registry", "shop", "conformance"])
def test_a_name_that_is_taken_is_refused_and_nothing_is_written(small: Path, name: str):
    before = state(small)

    with pytest.raises(LocalProblem, match="exists"):
        gateway.new(small, name, "Acme")

    assert state(small) == before


@pytest.mark.parametrize("title", ["", '"""', "Acme\nPay", "$$name", "a" * 50])
def test_a_title_that_cannot_stand_in_a_program_is_refused(small: Path, title: str):
    with pytest.raises(LocalProblem, match="no title for a gateway"):
        gateway.new(small, "acme", title)


@pytest.mark.parametrize(
    ("name", "title"),
    [("webhook", "Webhook"), ("psps", "Psps"), ("acme", "Http Response"), ("acme", "Stripe")],
)
def test_what_the_programs_call_something_else_is_refused_and_nothing_is_written(
    small: Path, name: str, title: str
):
    before = state(small)

    with pytest.raises(LocalProblem, match="may be"):
        gateway.new(small, name, title)

    assert state(small) == before


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path):
    with pytest.raises(LocalProblem, match="no checkout"):
        gateway.new(tmp_path, "acme", "Acme")


def test_a_second_run_is_refused(small: Path):
    gateway.new(small, "acme", "Acme")
    before = state(small)

    with pytest.raises(LocalProblem, match="exists"):
        gateway.new(small, "acme", "Acme")

    assert state(small) == before


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ('T: Final = {"a": A()}\n', 'T: Final = {\n    "a": A(),\n    "b": B(),\n}\n'),
        (
            'T: Final = {\n    "a": A(x=1),\n}\nrest\n',
            'T: Final = {\n    "a": A(x=1),\n    "b": B(),\n}\nrest\n',
        ),
        ("T: Final = {}\n", 'T: Final = {\n    "b": B(),\n}\n'),
    ],
)
def test_an_entry_comes_after_those_that_are_there(source: str, written: str):
    assert gateway.with_entry(source, "T", '"b": B()') == written


def test_a_table_that_is_made_in_another_way_is_refused():
    with pytest.raises(LocalProblem, match="not where it is looked for"):
        gateway.with_entry("T: Final = dict(a=1)\n", "T", '"b": B()')


@pytest.mark.parametrize(("name", "title"), [("aa", "A"), ("pebble2", "Pebble 2"), ("z" * 24, "Z" * 30)])
def test_what_is_written_is_tidy_whatever_its_name_is(checkout: Path, name: str, title: str):
    written = [str(path) for path in gateway.new(checkout, name, title)]

    run(checkout, "-m", "ruff", "check", *written)
    run(checkout, "-m", "ruff", "format", "--check", *written)


def test_what_is_written_passes_the_checks_of_this_repository(checkout: Path):
    say = run(checkout, *AEGISPAY, "gateway", "new", "acme", "--title", "Acme Pay")

    assert "docs/adding-a-gateway.md" in say
    # Over all that the tests before this one have written, too.
    run(checkout, "tests/house.py")
    run(checkout, "-m", "mypy", "gateways/acme", "gateways/simulator/acme", "gateways/registry.py")
    run(checkout, *PYTEST, *suites("acme"), "-k", "acme or test_every_adapter_has_a_book")
