"""Derives from the code which topics each process reads and writes, for docs/ARCHITECTURE.md.

It follows the names that a process's `main` uses, through every module of `infra`, to each place that names a
topic, and from there to the call that gets the topic. Invariant: a call that it does not know is an error, so
that no use is left out.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from infra.kafka import topics

_ROOT: Final = Path(__file__).parents[3]
_TOPICS: Final = topics.__name__
REQUESTS: Final = topics.requests("<psp>")
"""Stands for the request topics of all PSPs."""
NAMES: Final = {
    "COMMANDS": topics.COMMANDS,
    "OUTCOMES": topics.OUTCOMES,
    "REPLIES": topics.REPLIES,
    "DEAD_LETTERS": topics.DEAD_LETTERS,
    "EVENTS": topics.EVENTS,
    "requests": REQUESTS,
    "SAMPLES": topics.SAMPLES,
    "POLICIES": topics.POLICIES,
    "VOLUMES": topics.VOLUMES,
    "HEALTH": topics.HEALTH,
    "HEALTH_CHANGELOG": topics.HEALTH_CHANGELOG,
    "HEALTH_HISTORY": topics.HEALTH_HISTORY,
}
"""Every topic, by its name in infra/kafka/topics.py."""
# The things that get a topic, by the name of the function or class that is called. StuckTimers reads the
# wakes that the letters name, CommandWorker sends replies; the last three only compare the topics of records
# with it.
_READS: Final = {
    *("consumer", "subscribe", "TopicPartition", "partitions_of", "Agent", "StuckTimers", "CompactedTopic"),
}
_WRITES: Final = {"send", "send_and_wait", "Publisher", "PolicyPublisher", "Inbox", "Timers", "CommandWorker"}
# A table's changelog is written, and read again at the start.
_KEEPS: Final = {"TableMode"}
_COMPARES: Final = {"Decider", "_hold_back", "check_heads"}


class Topics(NamedTuple):
    """The topics that a process reads and writes."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


class Module:
    """A module's source: its definitions, what it imports, and the parent of each node."""

    def __init__(self, source: str) -> None:
        tree = ast.parse(source)
        self.parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self.defined = {
            node.name: node
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        self.imported = {
            one.asname or one.name: (node.module, one.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for one in node.names
        }


def used_by(process: str) -> Topics:
    """Returns the topics of the process whose module in infra/workers has this name. Raises `ValueError` for
    a use that is not known."""
    found: set[tuple[str, str]] = set()
    seen: set[tuple[str, str]] = set()
    pending = [(f"infra.workers.{process}", "main")]
    while pending:
        place = pending.pop()
        module = _module(place[0])
        if place in seen or module is None or place[1] not in module.defined:
            continue
        seen.add(place)
        node = module.defined[place[1]]
        pending += _names(place[0], module, node)
        found |= set(uses(module, node))
    return Topics(*(tuple(t for t in NAMES.values() if (how, t) in found) for how in ("reads", "writes")))


@cache
def _module(name: str) -> Module | None:
    file = _ROOT / f"{name.replace('.', '/')}.py"
    return Module(file.read_text()) if name.startswith("infra.") and file.is_file() else None


def _names(own: str, module: Module, node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yields the definitions that a definition uses, each with its module."""
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            yield own, one.id
            if one.id in module.imported:
                yield module.imported[one.id]
        elif isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name):
            package, name = module.imported.get(one.value.id, ("", ""))
            yield f"{package}.{name}", one.attr


def uses(module: Module, node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yields "reads" or "writes", with the topic, for each topic that a definition names. Raises
    `ValueError`."""
    for one in ast.walk(node):
        if (
            isinstance(one, ast.Attribute)
            and isinstance(one.value, ast.Name)
            and ".".join(module.imported.get(one.value.id, ())) == _TOPICS
            and one.attr in NAMES
        ):
            for called in _calls_with(module, one):
                if called in _READS | _WRITES | _KEEPS:
                    if called not in _WRITES:
                        yield "reads", NAMES[one.attr]
                    if called not in _READS:
                        yield "writes", NAMES[one.attr]
                elif called not in _COMPARES:
                    raise ValueError(f"{called} gets {NAMES[one.attr]}: does it read it, or write it?")


def _calls_with(module: Module, node: ast.AST) -> Iterator[str]:
    """Yields the name of each call that gets the value, also by a variable or an attribute of its own."""
    parent = module.parents[node]
    match parent:
        case ast.Call() if node is not parent.func:
            yield ast.unparse(parent.func).rpartition(".")[2]
        case ast.Assign(targets=[target]):
            yield from _calls_with_name(module, node, target)
        case ast.Tuple() if isinstance(assign := module.parents[parent], ast.Assign):
            target = assign.targets[0]
            assert isinstance(target, ast.Tuple)
            yield from _calls_with_name(module, node, target.elts[[*map(id, parent.elts)].index(id(node))])
        case ast.stmt():
            yield f"a statement ({type(parent).__name__})"
        case _:
            yield from _calls_with(module, parent)


def _calls_with_name(module: Module, node: ast.AST, target: ast.expr) -> Iterator[str]:
    scope = node
    around = ast.FunctionDef | ast.AsyncFunctionDef if isinstance(target, ast.Name) else ast.ClassDef
    while not isinstance(scope, around):
        scope = module.parents[scope]
    name = ast.unparse(target)
    for one in ast.walk(scope):
        if (
            isinstance(one, ast.Name | ast.Attribute)
            and isinstance(one.ctx, ast.Load)
            and ast.unparse(one) == name
        ):
            yield from _calls_with(module, one)
