from infra.tools.bench.quantiles import quantiles


def test_a_quantile_is_a_value_that_was_measured():
    assert quantiles(range(1, 101)) == {"count": 100, "p50": 50, "p95": 95, "p99": 99, "max": 100}
    assert quantiles([3.04, 1.0, 2.0]) == {"count": 3, "p50": 2.0, "p95": 3.0, "p99": 3.0, "max": 3.0}


def test_one_slow_response_in_two_hundred_is_the_largest_and_not_yet_the_99th_percentile():
    assert quantiles([20.0] * 199 + [900.0]) == {"count": 200, "p50": 20, "p95": 20, "p99": 20, "max": 900}


def test_nothing_measured_has_no_quantiles():
    assert quantiles([]) == {"count": 0}
