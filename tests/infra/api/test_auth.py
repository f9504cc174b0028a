import psycopg
import pytest

pytestmark = pytest.mark.stack


def test_a_key_is_stored_as_a_hash_alone(environment, new_key):
    key = new_key("demo", ["payments:read"])

    with psycopg.connect(environment.dsn(), options=f"-c search_path={environment.schema}") as conn:
        (row,) = conn.execute("SELECT * FROM api_keys").fetchall()
    secret = key.split("_", 2)[2]
    assert key.split("_")[1] == row[1]
    assert secret not in str(row)
    assert row[2:4] == ("demo", ["payments:read"])


def test_no_two_keys_are_alike(new_key):
    assert len({new_key() for _ in range(20)}) == 20
