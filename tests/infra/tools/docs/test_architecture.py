import ast
from pathlib import Path

import pytest

from infra.kafka import topics
from infra.tools.docs import architecture

INFRA = Path(__file__).parents[4] / "infra"
# What a process's module has put into another file.
PARTS = {"api": ("api/command_bus.py",)}


def test_every_process_that_uses_postgresql_has_its_row_of_topics():
    assert architecture.roles().keys() == architecture.TOPICS.keys()


def test_every_topic_has_a_process_that_writes_it_and_one_that_reads_it():
    declared = {topic.name for topic in topics.declared(1, "")}
    requests = {topics.requests(gateway) for gateway in topics.GATEWAYS}
    rows = architecture.TOPICS.values()

    for used in ({t for one in rows for t in one.writes}, {t for one in rows for t in one.reads}):
        assert used == declared - requests | {architecture.REQUESTS}


@pytest.mark.parametrize("name", architecture.TOPICS)
def test_the_topics_that_a_process_names_are_in_its_row(name):
    own = architecture.TOPICS[name]
    named = set()
    for file in (f"workers/{name}.py", *PARTS.get(name, ())):
        for node in ast.walk(ast.parse((INFRA / file).read_text())):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "topics"
            ):
                value = getattr(topics, node.attr)
                if node.attr.isupper() and not node.attr.endswith("_GROUP"):
                    named.add(value)
                elif node.attr == "requests":
                    named.add(architecture.REQUESTS)

    assert named
    assert named <= {*own.reads, *own.writes}


def test_the_tables_are_those_that_the_roles_may_read_and_write():
    rows = {
        cells[1]: cells[2:]
        for line in architecture.text().splitlines()
        if len(cells := [cell.strip() for cell in line.split("|")]) == 7
    }

    assert rows["gateway"][3] == "`gateway_sends`"
    assert "`payment_events`" in rows["command"][3]
    assert "`payment_events`" in rows["relay"][2]
    assert rows["read_models"][3] == "read models"
