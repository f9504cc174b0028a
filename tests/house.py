"""Measures the code by folder, and fails where a rule of CONTRIBUTING.md is broken. `make check` runs it.

It prints, for each folder, its modules, its lines, the import arrows that leave it (one for each pair of
modules of two folders), and the share of its public names that have a docstring.
"""

import ast
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
CODE: Final = ("aggregates", "commands", "relay", "projections", "gateways", "infra")
FUNCTION_LINES_MAX: Final = 70
FILE_LINES_MAX: Final = 400
PROSE_COLUMNS_MAX: Final = 110
DOCUMENTED_MIN: Final = 0.8
_DOCUMENTS: Final = ("*.md", "docs/**/*.md", "commands/*.md", ".github/**/*.md")
_STARTS_A_STATEMENT: Final = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


@dataclass
class Folder:
    modules: int = 0
    lines: int = 0
    arrows: set[tuple[str, str]] = field(default_factory=set)
    public: int = 0
    documented: int = 0

    @property
    def share(self) -> float:
        return self.documented / self.public if self.public else 1.0


def main() -> int:
    folders, problems = measure()
    print(f"{'folder':32}{'modules':>8}{'lines':>8}{'arrows out':>12}{'documented':>12}")
    for name, folder in sorted(folders.items()):
        print(f"{name:32}{folder.modules:8}{folder.lines:8}{len(folder.arrows):12}{folder.share:12.0%}")
    public, documented = (
        sum(getattr(one, what) for one in folders.values()) for what in ("public", "documented")
    )
    print(
        f"{'all':32}{sum(one.modules for one in folders.values()):8}{sum(one.lines for one in folders.values()):8}"
        f"{sum(len(one.arrows) for one in folders.values()):12}{documented / public:12.0%}"
    )
    if documented / public < DOCUMENTED_MIN:
        problems.append(
            f"{documented / public:.1%} of the public names have a docstring, not {DOCUMENTED_MIN:.0%}"
        )
    problems += long_documents()
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


def measure() -> tuple[dict[str, Folder], list[str]]:
    folders: dict[str, Folder] = defaultdict(Folder)
    problems: list[str] = []
    paths = [path for top in CODE for path in (ROOT / top).rglob("*.py")]
    modules = {_module(path): path for path in paths}
    for module, path in modules.items():
        folder, tree = folders[_folder(path)], ast.parse(path.read_text())
        folder.modules += 1
        folder.lines += len(path.read_text().splitlines())
        folder.arrows |= {
            (module, other)
            for other in _imported(tree, module, modules)
            if _folder(modules[other]) != _folder(path)
        }
        for name, node in _public(tree):
            folder.public += 1
            has = ast.get_docstring(node) is not None
            folder.documented += has
            if not has and "--missing" in sys.argv:
                print(f"{path.relative_to(ROOT)}: {name}")
        problems += _long_functions(path, tree)
    for path in [*paths, *(ROOT / "tests").rglob("*.py")]:
        problems += _long_prose(path)
        if (lines := len(path.read_text().splitlines())) > FILE_LINES_MAX:
            problems.append(f"{path.relative_to(ROOT)} has {lines} lines, more than {FILE_LINES_MAX}")
    return folders, problems


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _folder(path: Path) -> str:
    return path.parent.relative_to(ROOT).as_posix()


def _imported(tree: ast.Module, module: str, modules: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *filter(None, [node.module])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                if full in modules or base in modules:
                    yield full if full in modules else base


def _public(
    tree: ast.Module,
) -> Iterator[tuple[str, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yields the module and its public classes, functions and methods; not what stands inside a function."""
    if tree.body:
        yield "(module)", tree
    for node in tree.body:
        if isinstance(
            node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(
                        inner, ast.FunctionDef | ast.AsyncFunctionDef
                    ) and not inner.name.startswith("_"):
                        yield f"{node.name}.{inner.name}", inner


def _long_functions(path: Path, tree: ast.Module) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {lines} lines, more than {FUNCTION_LINES_MAX}"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]


def _long_prose(path: Path) -> list[str]:
    """Returns where a line of a comment or a docstring has too many columns. Data is no prose."""
    found, before = [], tokenize.NEWLINE
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            docstring = token.type == tokenize.STRING and before in _STARTS_A_STATEMENT
            if token.type == tokenize.COMMENT or docstring:
                for offset, text in enumerate(token.string.splitlines()):
                    columns = len(text) + (token.start[1] if offset == 0 else 0)
                    if columns > PROSE_COLUMNS_MAX and "noqa" not in text:
                        place = f"{path.relative_to(ROOT)}:{token.start[0] + offset}"
                        found.append(f"{place}: {columns} columns of prose, more than {PROSE_COLUMNS_MAX}")
            if token.type not in {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING}:
                before = token.type
    return found


def long_documents() -> list[str]:
    """Returns where a line of a document is longer, save in tables, code, and where one word is that long."""
    found = []
    documents = [path for pattern in _DOCUMENTS for path in ROOT.glob(pattern)]
    for document in sorted(documents):
        name = document.relative_to(ROOT).as_posix()
        code = False
        for number, line in enumerate(document.read_text().splitlines(), 1):
            if line.lstrip().startswith("```"):
                code = not code
            elif (
                not code
                and not line.lstrip().startswith("|")
                and len(line) > PROSE_COLUMNS_MAX
                and not re.search(r"\]\([^)]{60,}\)", line)
            ):
                found.append(f"{name}:{number}: {len(line)} columns of prose")
    return found


if __name__ == "__main__":
    sys.exit(main())
