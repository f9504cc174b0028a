import shutil
from pathlib import Path

import pytest

from tests.infra.tools.scaffold.copied import ROOT

_COPIED = ("aggregates", "commands", "gateways", "infra", "projections", "relay", "tests", "pyproject.toml")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("checkout")
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(source, copy / name)
    return copy
