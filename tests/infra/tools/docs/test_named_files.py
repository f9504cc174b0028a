"""What documents and docstrings name is there: files of ours, our modules, and the pages that a document
links."""

import ast
import re
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[4]
OURS = "aggregates|commands|relay|projections|gateways|infra|tests|docs"
FILE = re.compile(rf"(?<![\w./:-])(?:{OURS})/[\w./-]+\.(?:py|md|sql|toml|yaml|json|lock)\b")
MODULE = re.compile(rf"(?<![\w./])(?:{OURS})(?:\.[a-z_]+){{1,4}}(?![\w(/-])")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
# The PSP of docs/adding-a-gateway.md does not exist, nor does the compiled-in place of what a user makes.
MADE_UP = re.compile(r"pebble")
# Topics, metrics' sources and settings that begin as a module's name does.
NOT_MODULES = re.compile(r"gateways\.(outcomes|requests|\w+\.requests)$|tests\.json$|docs\.rs$")


def _tracked(*patterns: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.splitlines()


def _prose() -> Iterator[tuple[str, str]]:
    """Yields each document and each docstring, with its file's name."""
    for name in _tracked("*.md"):
        if name != "CHANGELOG.md":  # it tells of files as they were then
            yield name, (ROOT / name).read_text()
    for name in _tracked("*.py"):
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield name, ast.get_docstring(node) or ""


def test_every_file_of_ours_that_prose_names_exists():
    missing = {
        f"{name}: {path}"
        for name, text in _prose()
        for path in FILE.findall(text)
        if not MADE_UP.search(path) and not (ROOT / path).exists()
    }
    assert missing == set()


def test_every_module_of_ours_that_a_document_names_exists():
    missing = set()
    for name in _tracked("*.md"):
        if name == "CHANGELOG.md":
            continue
        for dotted in re.findall(
            r"`(?:python3? -m )?([a-z_.]+)`|python3? -m ([a-z_.]+)", (ROOT / name).read_text()
        ):
            module = dotted[0] or dotted[1]
            if MODULE.fullmatch(module) and not NOT_MODULES.fullmatch(module) and not _is_there(module):
                missing.add(f"{name}: {module}")
    assert missing == set()


def _is_there(module: str) -> bool:
    """Whether it is a module, or a name within one."""
    try:
        return find_spec(module) is not None or find_spec(module.rpartition(".")[0]) is not None
    except ModuleNotFoundError:
        return False


def test_every_page_that_a_document_links_exists():
    missing = {
        f"{name}: {target}"
        for name in _tracked("*.md")
        for target in LINK.findall((ROOT / name).read_text())
        if not (ROOT / name).parent.joinpath(target).exists()
    }
    assert missing == set()


def test_every_term_of_the_glossary_has_a_meaning_and_the_file_where_it_lives():
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs" / "GLOSSARY.md").read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| term ")
    ]
    assert len(rows) > 50
    for term, meaning, file in rows:
        assert meaning.endswith("."), term
        assert (ROOT / file.strip("`")).is_file(), term
    assert len({term for term, _, _ in rows}) == len(rows)
