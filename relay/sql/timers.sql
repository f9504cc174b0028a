-- name: lease
-- Leases a batch of due timers, each for twice as long as before; one without a lease left is marked stuck.
-- now() is the statement's beginning here, in autocommit: one moment for all rows, and a bound for the index.
WITH due AS (
    SELECT payment_id FROM payment_timers
    -- The partial index payment_timers_due has this condition and order. SKIP LOCKED: a row that another
    -- timers process leases at this moment is not waited for.
    WHERE wake_at <= now() AND stuck_since IS NULL AND NOT suspended
      AND (leased_until IS NULL OR leased_until <= now())
    ORDER BY wake_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
)
UPDATE payment_timers AS timer SET
    leases = CASE WHEN timer.leases < %(leases_max)s THEN timer.leases + 1 ELSE timer.leases END,
    -- The lease grows from 30 s to an hour. A wake that moves nothing leaves `leases` as it is, see
    -- `write_timers`.
    leased_until = now() + least(%(first_s)s * 2 ^ timer.leases, %(max_s)s) * interval '1 second',
    stuck_since = CASE WHEN timer.leases >= %(leases_max)s THEN now() END
FROM due WHERE timer.payment_id = due.payment_id
RETURNING timer.payment_id, timer.wake_at, timer.stuck_since IS NOT NULL AS stuck,
    extract(epoch FROM now() - timer.wake_at)::float8 AS late_s

-- name: next_due
-- The seconds until the next timer is due or its lease ends, looking ahead_s ahead.
SELECT extract(epoch FROM min(greatest(wake_at, leased_until)) - clock_timestamp())::float8 FROM payment_timers
WHERE wake_at <= now() + %(ahead_s)s * interval '1 second' AND stuck_since IS NULL AND NOT suspended
  AND (leased_until IS NULL OR leased_until <= now() + %(ahead_s)s * interval '1 second')
