from random import Random

import orjson

from commands import notices
from tests.support import every_notice
from tests.support.examples import examples

COUNT = examples(3000)


def test_every_notice_of_every_adapter_is_read_back_whole_from_what_is_stored():
    disputes = 0
    for notice in every_notice.notices(Random(20261129), COUNT):
        stored = orjson.loads(orjson.dumps(notices.dump(notice)))

        assert notices.read(stored) == notice
        disputes += notice.dispute is not None
    assert disputes > COUNT // 3
