-- name: current
-- The newest generation of the log, where it is this cluster's own; no row where the log was moved.
SELECT generation FROM log_generation
WHERE system_identifier = (SELECT system_identifier FROM pg_control_system())
  AND generation = (SELECT max(generation) FROM log_generation)

-- name: rebase
-- Adds a generation for this cluster. Back on a cluster where the log has lived before, its transaction ids
-- must not sort among those of then.
INSERT INTO log_generation (generation, system_identifier)
SELECT (SELECT coalesce(max(generation), 0) + 1 FROM log_generation), system_identifier FROM pg_control_system()
ON CONFLICT (system_identifier) DO UPDATE SET generation = excluded.generation, since = clock_timestamp()
RETURNING generation

-- name: sessions
-- The number of sessions of the relay and of command workers that this database has.
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND usename IN ('aegispay_command', 'aegispay_relay')

-- name: lock
-- Keeps every writer of a generation, and every reader, away until the transaction ends.
LOCK TABLE log_generation IN ACCESS EXCLUSIVE MODE
