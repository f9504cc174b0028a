"""The verdict has words for whatever the audit may find."""

from typing import get_args

from infra.cli import verdict
from infra.tools.audit.facts import Doubt, Kind


def test_every_finding_and_every_doubt_has_words():
    assert verdict._MEANS.keys() == set(get_args(Kind))
    assert verdict._DOUBTS.keys() == set(get_args(Doubt))
