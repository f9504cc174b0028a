"""What a hook's author may write, and what is refused at once."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.hooks import (
    Accept,
    Accounts,
    Allow,
    Deny,
    FraudCheck,
    Lifecycle,
    Listener,
    PreValidation,
    Refuse,
    Review,
)


def yes(_payment):
    return Accept()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Allow(1.2),
        lambda: Allow(float("nan")),
        lambda: Deny("no", -0.1),
        lambda: Refuse("Shop closed", "words"),
        lambda: Accounts(only=("two words",)),
        lambda: Accounts(never=("",)),
        lambda: Accounts(prefer=("a" * 65,)),
        lambda: Accounts(prefer=("sim-eu\n",)),
        lambda: Accounts(only=("4111111111111111",)),
        lambda: Accounts(never=["acct-5555555555554444"]),
        lambda: Accounts(prefer=tuple(f"a{n}" for n in range(21))),
        lambda: PreValidation(name="Upper", run=yes, on_failure="open"),
        lambda: PreValidation(name="late", run=yes, on_failure="open", within_s=11),
        lambda: PreValidation(name="late", run=yes, on_failure="open", within_s=0),
        lambda: Lifecycle(name="nothing", on_failure="open"),
        lambda: Lifecycle(name="late", before=yes, on_failure="open", within_s=11),
        lambda: Listener(name="never", run=yes, on_failure="open", tries=0),
    ],
)
def test_values_out_of_bounds_are_refused(make):
    with pytest.raises(ValueError, match=r"\w"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Allow("high"),
        lambda: Allow(True),
        lambda: Review(7),
        lambda: Accounts(only="sim-us"),
        lambda: Accounts(never=b"sim-us"),
        lambda: Accounts(prefer=None),
        lambda: Accounts(only={"sim-us"}),
        lambda: Accounts(only={"sim-us": 1}),
        lambda: Accounts(only=(name for name in ("sim-us",))),
        lambda: Accounts(only=(b"sim-us",)),
        lambda: Accounts(never=(7,)),
    ],
)
def test_values_of_another_type_are_refused(make):
    with pytest.raises(TypeError):
        make()


def test_a_fraud_check_is_closed_and_every_other_kind_has_to_say():
    assert FraudCheck(name="f", run=yes).on_failure == "closed"
    with pytest.raises(TypeError, match="on_failure"):
        PreValidation(name="p", run=yes)


_NAMES = st.lists(st.from_regex(r"[A-Za-z._:-]{1,64}", fullmatch=True), max_size=20)


@given(_NAMES, _NAMES, _NAMES)
def test_lists_of_accounts_are_taken_as_they_are_and_cannot_be_changed_afterwards(only, never, prefer):
    accounts = Accounts(only, tuple(never), prefer)
    wanted = tuple(only), tuple(never), tuple(prefer)
    only.append("4111111111111111")

    assert (accounts.only, accounts.never, accounts.prefer) == wanted


def test_twenty_accounts_with_digits_are_names():
    names = tuple(f"stripe-eu-{number}" for number in range(20))

    assert Accounts(only=names).only == names


@given(
    st.one_of(st.text(), st.integers(), st.none(), st.sets(st.text()), st.lists(st.text() | st.integers()))
)
def test_whatever_a_hook_gives_is_names_or_refused_without_being_quoted(given_):
    taken, words = (), ""
    try:
        taken = Accounts(only=given_).only
    except (TypeError, ValueError) as refused:
        words = str(refused)

    assert all(re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", one) for one in taken)
    assert words in {
        "",
        'only: a tuple of names, such as ("stripe-eu",)',
        "only: at most 20 names",
        "only: names are texts",
        "only: holds what is no name of a PSP account",
    }
