import os
import subprocess
import sys

from infra.tools.bench import cpu


def test_the_time_of_children_counts_while_they_live_and_after_they_have_ended():
    before = cpu.used_s({"me": os.getpid()})["me"]

    busy = "import time\nwhile time.process_time() < 0.5: pass"
    subprocess.run([sys.executable, "-c", busy], check=True)

    assert cpu.used_s({"me": os.getpid()})["me"] - before >= 0.5


def test_a_process_that_is_gone_has_no_figure():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()

    assert cpu.used_s({"gone": gone.pid}) == {}


def test_what_is_spent_is_divided_among_the_payments_and_summed():
    spent = cpu.per_payment_ms({"a": 1.0, "b": 5.0}, {"a": 1.5, "b": 5.25, "new": 0.25}, 1000)

    assert spent == {"a": 0.5, "b": 0.25, "new": 0.25, "all": 1.0}
