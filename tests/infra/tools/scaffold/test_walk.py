"""docs/adding-a-gateway.md, step by step, on a copy of the checkout: the programs that it shows pass all
that it says."""

import re
from pathlib import Path

from tests.infra.tools.scaffold.copied import AEGISPAY, PYTEST, ROOT, run, suites

PAGE = (ROOT / "docs" / "adding-a-gateway.md").read_text()
_PROGRAM = re.compile(r"^```python (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^    aegispay (.+)$", re.MULTILINE)


def test_the_walk_leads_to_a_gateway_that_passes_the_suite(checkout: Path):
    (command,) = _COMMAND.findall(PAGE)
    written = run(checkout, *AEGISPAY, *command.split()).splitlines()
    programs = dict(_PROGRAM.findall(PAGE))
    assert programs
    assert set(programs) <= set(written)
    for path, text in programs.items():
        (checkout / path).write_text(text)

    changed = [path for path in written if path.endswith(".py")]
    run(checkout, "-m", "ruff", "check", *changed)
    run(checkout, "-m", "ruff", "format", "--check", *changed)
    run(checkout, "tests/house.py")
    run(checkout, "-m", "mypy", "gateways/pebble", "gateways/simulator/pebble")
    output = run(checkout, *PYTEST, *suites("pebble"), "-k", "pebble")
    assert int(re.findall(r"(\d+) passed", output)[-1]) > 300


def test_without_its_case_book_the_suite_says_what_is_missing(checkout: Path):
    run(checkout, *AEGISPAY, "gateway", "new", "flint", "--title", "Flint")
    adapter = checkout / "gateways" / "flint" / "adapter.py"
    declared = adapter.read_text().replace("kinds=frozenset(),", 'kinds=frozenset({"sale"}),')
    adapter.write_text(declared)

    output = run(checkout, *PYTEST, "tests/gateways/conformance/test_book.py", "-k", "flint", fails=True)

    assert "test_an_operation_is_missing_only_where_the_declaration_says_so[flint]" in output
