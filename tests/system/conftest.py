from collections.abc import Iterator

import pytest

from tests.place import Place
from tests.system.running import ALL, Running, shared


@pytest.fixture(scope="module")
def stack(shared_place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with shared(shared_place, tmp_path_factory.mktemp("stack"), *ALL, "api") as made:
        yield made
