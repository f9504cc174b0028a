"""Which hooks are installed, and what a wrong one says to the person who starts the process."""

import sys
from pathlib import Path

import pytest

from infra.errors import Misconfigured
from infra.hooks.discovery import installed
from infra.settings import HookSettings

_MODULE = """
from commands.hooks import Accept, Allow, FraudCheck, PreValidation

def yes(payment):
    return Accept()

first = PreValidation(name="first", run=yes, on_failure="open", order=10)
second = PreValidation(name="second", run=yes, on_failure="closed", order=20)
namesake = PreValidation(name="first", run=yes, on_failure="open")
fraud = FraudCheck(name="first", run=lambda payment: Allow())

def make():
    return FraudCheck(name="made", run=lambda payment: Allow(), order=1)

def broken():
    raise ValueError("set SHOP_URL")

class Holder:
    inner = fraud
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch):
    (tmp_path / "some_hooks.py").write_text(_MODULE)
    (tmp_path / "bad_hooks.py").write_text("import no_such_module_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("some_hooks", "bad_hooks"):
        sys.modules.pop(name, None)


def of(*places: str):
    return installed(HookSettings(hooks=", ".join(places)))


def test_without_any_there_are_none():
    assert installed(HookSettings()) == of()


@pytest.mark.usefixtures("module")
def test_each_kind_is_in_its_order_and_a_function_may_make_one():
    hooks = of("some_hooks:second", "some_hooks:first", "some_hooks:fraud", "some_hooks:make")

    assert [one.name for one in hooks.pre_validation] == ["first", "second"]
    assert [one.name for one in hooks.fraud] == ["made", "first"]
    assert [one.on_failure for one in hooks.fraud] == ["closed", "closed"]


@pytest.mark.usefixtures("module")
def test_the_same_place_named_twice_is_one_hook_and_an_attribute_may_be_dotted():
    assert len(of("some_hooks:first", "some_hooks:first").pre_validation) == 1
    assert of("some_hooks:Holder.inner").fraud[0].name == "first"


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("places", "told"),
    [
        (["some_hooks"], "write module:name"),
        (["no_such_hooks:x"], "no_such_hooks cannot be imported: ModuleNotFoundError"),
        (["bad_hooks:x"], "bad_hooks cannot be imported: ModuleNotFoundError"),
        (["some_hooks:third"], "some_hooks has no third"),
        (["some_hooks:broken"], "it could not be made: ValueError: set SHOP_URL"),
        (["some_hooks:yes"], "it could not be made: TypeError"),
        (["some_hooks:Holder"], "has to be one of PreValidation, FraudCheck"),
        (["some_hooks:first", "some_hooks:namesake"], "are both the pre_validation hook first"),
    ],
)
def test_a_wrong_one_is_named_with_what_to_mend(places, told):
    with pytest.raises(Misconfigured, match=r"hook") as refused:
        of(*places)

    assert told in str(refused.value)
    assert places[0].partition(":")[0] in str(refused.value)
