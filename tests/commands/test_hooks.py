"""What a hook's author may write, and what is refused at once."""

import pytest

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


@pytest.mark.parametrize("make", [lambda: Allow("high"), lambda: Allow(True), lambda: Review(7)])
def test_values_of_another_type_are_refused(make):
    with pytest.raises(TypeError):
        make()


def test_a_fraud_check_is_closed_and_every_other_kind_has_to_say():
    assert FraudCheck(name="f", run=yes).on_failure == "closed"
    with pytest.raises(TypeError, match="on_failure"):
        PreValidation(name="p", run=yes)
