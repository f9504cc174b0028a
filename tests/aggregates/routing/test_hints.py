from aggregates.routing.facts import Hints
from aggregates.routing.hints import joined


def test_what_either_hook_forbids_is_forbidden_and_the_first_ones_preferences_come_first():
    first = Hints(("eu", "us", "in"), ("in",), ("us", "eu"))
    second = Hints(("in", "eu"), ("uk",), ("eu", "in"))

    assert joined(first, second) == Hints(("eu", "in"), ("in", "uk"), ("us", "eu", "in"))


def test_a_hook_without_wishes_changes_nothing():
    some = Hints(("eu",), ("us",), ("eu",))

    assert joined(some, Hints()) == joined(Hints(), some) == some


def test_two_hooks_that_leave_no_account_between_them_leave_none_instead_of_all():
    both = joined(Hints(only=("eu",)), Hints(only=("us",)))

    left = [name for name in ("eu", "us", "in") if name in both.only and name not in both.never]
    assert left == []
