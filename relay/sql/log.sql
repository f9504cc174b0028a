-- name: page
-- Events after the cursor, oldest first, below the oldest transaction that still runs.
-- Two row comparisons are index conditions; an OR would be a filter over everything above xmin. The order
-- names the table's own column: `ORDER BY tx` would take an output column of that name, and sort text, where
-- 999 follows 1000.
SELECT log.generation, log.tx::text, log.notification_id, log.originator_id::text, log.originator_version,
       log.topic, log.state
FROM payment_events log
WHERE (log.generation, log.tx, log.notification_id) > (%s::smallint, %s::xid8, %s::bigint)
  AND (log.generation, log.tx) < (%s::smallint, pg_snapshot_xmin(pg_current_snapshot()))
ORDER BY log.generation, log.tx, log.notification_id
LIMIT %s

-- name: cursor
-- The position up to which the relay has published.
SELECT generation, tx::text, notification_id FROM relay_cursor

-- name: move_cursor
-- Moves the cursor from where this relay left it; no row where another one has moved it.
-- The condition makes this a compare-and-set: no lock outlives the statement, and none is needed.
UPDATE relay_cursor SET generation = %s, tx = %s::xid8, notification_id = %s
WHERE (generation, tx, notification_id) = (%s::smallint, %s::xid8, %s::bigint)

-- name: waiting
-- The oldest running transaction id, whether one runs, and the first event after the cursor.
SELECT pg_snapshot_xmin(seen)::text, pg_snapshot_xmin(seen) < pg_snapshot_xmax(seen),
       (SELECT log.state FROM payment_events log
        WHERE (log.generation, log.tx, log.notification_id) > (%s::smallint, %s::xid8, %s::bigint)
        ORDER BY log.generation, log.tx, log.notification_id LIMIT 1)
FROM pg_current_snapshot() AS seen
