from collections.abc import Iterator

import pytest

from tests.support.environment import Environments
from tests.support.processes import ALL, Running, shared


@pytest.fixture(scope="package")
def stack(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """For every file that needs no other: their payments and keys differ."""
    environment = environments.take(4)
    with shared(environment, tmp_path_factory.mktemp("stack"), *ALL, "api") as made:
        yield made
    environments.give_back(environment)
