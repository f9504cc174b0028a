"""Writes the files of a new PSP. Invariant: it overwrites nothing that exists, and writes everything or
nothing.

What it writes sends nothing and decides nothing, because its declaration has no kind of operation. The
conformance suite requires each kind that is added. See docs/adding-a-gateway.md.
"""

import ast
import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Final

from infra.errors import LocalProblem, Mistyped

_TEMPLATES: Final = Path(__file__).with_name("templates")
# Lines with longer ones would be too long.
_NAME: Final = re.compile(r"[a-z][a-z0-9]{1,23}")
_OF_PYTEST: Final = "conftest"  # which would run the case book for every test
_TITLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9 .&-]{0,29}")
_IMPORTS: Final = re.compile(r"(?:^from \S+ import [^(\n]+\n)+", re.MULTILINE)
ADAPTERS: Final = Path("gateways/registry.py")
SIMULATORS: Final = Path("gateways/simulator/registry.py")
BOOKS: Final = Path("tests/gateways/conformance/books.py")
_CHANGED: Final = (ADAPTERS, SIMULATORS, BOOKS)


def new(root: Path, name: str, title: str) -> list[Path]:
    """Writes the skeleton, and returns the paths that were written or changed, relative to `root`. Raises
    `Mistyped`."""
    _check(root, name, title)
    class_name = re.sub(r"[^A-Za-z0-9]", "", title)
    words = {"name": name, "title": title, "class_name": class_name}
    files = {path: _filled(template, words) for path, template in _files(name).items()}
    adapter = f"from gateways.{name}.adapter import {class_name}"
    files[ADAPTERS] = with_import(
        with_entry(_read(root, ADAPTERS), "ADAPTERS", f'"{name}": {class_name}()'), adapter
    )
    simulator = f"from gateways.simulator.{name}.declaration import PSP as {name.upper()}"
    files[SIMULATORS] = with_import(with_entry(_read(root, SIMULATORS), "PSPS", name.upper()), simulator)
    files[BOOKS] = with_entry(_read(root, BOOKS), "NAMES", f'"{name}"')
    for path, text in files.items():
        if (twice := _bound_twice(text)) is not None:
            remedy = f"{path} needs {twice} for something else; nothing was written"
            raise Mistyped(f"Neither name nor title may be {twice}", remedy)
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return sorted(files)


def _files(name: str) -> Mapping[Path, str | None]:
    """Returns each file with its template; None: empty."""
    return {
        Path(f"gateways/{name}/__init__.py"): None,
        Path(f"gateways/{name}/adapter.py"): "adapter.py.txt",
        Path(f"gateways/simulator/{name}/__init__.py"): None,
        Path(f"gateways/simulator/{name}/app.py"): "simulator_app.py.txt",
        Path(f"gateways/simulator/{name}/declaration.py"): "simulator_declaration.py.txt",
        Path(f"tests/gateways/{name}/test_adapter.py"): "test_adapter.py.txt",
        Path(f"tests/gateways/simulator/{name}/test_app.py"): "test_app.py.txt",
        Path(f"tests/gateways/conformance/{name}.py"): "book.py.txt",
    }


def _check(root: Path, name: str, title: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or name == _OF_PYTEST:
        raise Mistyped(
            f"{name!r} is no name for a gateway",
            "2 to 24 lower-case letters and digits, a letter first, and no word of Python's or pytest's: "
            "it names packages and a topic",
        )
    if not _TITLE.fullmatch(title):
        raise Mistyped(
            f"{title!r} is no title for a gateway", "Letters, digits, spaces, and . & - between them"
        )
    if not all((root / path).is_file() for path in _CHANGED):
        raise Mistyped(
            f"{root} is no checkout of AegisPay", "Run it at the top of one, or say where with --root"
        )
    taken = [
        root / "gateways" / name,
        root / "gateways" / f"{name}.py",
        root / "gateways" / "simulator" / name,
        root / "gateways" / "simulator" / f"{name}.py",
        root / "tests" / "gateways" / name,
        root / "tests" / "gateways" / "simulator" / name,
        *(root / path for path in _files(name)),
    ]
    if there := [path for path in taken if path.exists()]:
        raise Mistyped(f"{there[0].relative_to(root)} exists", "Choose another name; nothing was written")


def _filled(template: str | None, words: Mapping[str, str]) -> str:
    """Fills a template and sorts each run of imports, whose order depends on the name."""
    if template is None:
        return ""
    text = Template((_TEMPLATES / template).read_text()).substitute(words)
    return _IMPORTS.sub(lambda run: "".join(sorted(run[0].splitlines(keepends=True), key=_module)), text)


def _module(line: str) -> str:
    return line.split(" ")[1]


def _bound_twice(text: str) -> str | None:
    """A name that the module imports or defines twice."""
    names: set[str] = set()
    for node in ast.parse(text).body:
        match node:
            case ast.ImportFrom(names=aliases):
                bound = [alias.asname or alias.name for alias in aliases]
            case ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                bound = [name]
            case _:
                bound = []
        if twice := names.intersection(bound):
            return min(twice)
        names.update(bound)
    return None


def _read(root: Path, path: Path) -> str:
    return (root / path).read_text()


def with_import(source: str, line: str) -> str:
    """The module with one import more, among those of gateways that it has, in their order."""
    module = _module(line)
    imports = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gateways.")
    ]
    before = [node.end_lineno or node.lineno for node in imports if (node.module or "") < module]
    lines = source.splitlines(keepends=True)
    lines.insert(before[-1] if before else imports[0].lineno - 1, f"{line}\n")
    return "".join(lines)


def with_entry(source: str, table: str, entry: str) -> str:
    """The module with one entry more at the end of a dict or a tuple that it assigns. Raises
    `LocalProblem`."""
    for node in ast.parse(source).body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Dict() | ast.Tuple() as value) if (
                name == table
            ):
                opening, closing = "{}" if isinstance(value, ast.Dict) else "()"
                lines = "".join(f"    {one},\n" for one in (*_entries(source, value), entry))
                before, after = _around(source, value)
                return f"{before}{opening}\n{lines}{closing}{after}"
            case _:
                pass
    raise LocalProblem(
        f"{table} is not where it is looked for", "It is a dict or a tuple at the top of its module"
    )


def _entries(source: str, value: ast.Dict | ast.Tuple) -> list[str]:
    def text(node: ast.expr | None) -> str:
        assert node is not None, "a table is written out"
        return ast.get_source_segment(source, node) or ""

    if isinstance(value, ast.Dict):
        return [f"{text(key)}: {text(one)}" for key, one in zip(value.keys, value.values, strict=True)]
    return [text(one) for one in value.elts]


def _around(source: str, value: ast.expr) -> tuple[str, str]:
    """The module before and after an expression; these modules are ASCII, so that columns are characters."""
    lines = source.splitlines(keepends=True)
    end = value.end_lineno or value.lineno
    before = "".join(lines[: value.lineno - 1]) + lines[value.lineno - 1][: value.col_offset]
    return before, lines[end - 1][value.end_col_offset :] + "".join(lines[end:])
