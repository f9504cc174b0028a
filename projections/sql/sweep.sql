-- name: horizon
-- The log's generation and its oldest running transaction: no event appears below them any more.
SELECT max(generation), pg_snapshot_xmin(pg_current_snapshot())::text FROM log_generation

-- name: cursor
-- The sweep's place in the log, locked; no row where another process has it.
SELECT generation, tx::text, notification_id FROM sweep_cursor FOR UPDATE SKIP LOCKED

-- name: page
-- The last event of the next page of the log, with the payments whose rows lack one of the page and their heads.
WITH page AS MATERIALIZED (
    SELECT generation, tx, notification_id, originator_id, originator_version FROM payment_events
    WHERE (generation, tx, notification_id) > (%(generation)s::smallint, %(tx)s::xid8, %(notification_id)s)
        AND (generation, tx) < (%(horizon)s::smallint, %(horizon_tx)s::xid8)
    ORDER BY generation, tx, notification_id LIMIT %(limit)s
), lost AS (
    SELECT originator_id::text AS payment_id, max(originator_version) AS head
    FROM page LEFT JOIN payments p ON p.payment_id = originator_id
    -- An event that is still on its way counts as lost too. The horizon keeps those out: it is a sweep old.
    WHERE coalesce(p.version, 0) < originator_version
    GROUP BY originator_id
)
SELECT generation, page.tx::text, notification_id,
    ARRAY(SELECT payment_id FROM lost ORDER BY payment_id), ARRAY(SELECT head FROM lost ORDER BY payment_id)
FROM page ORDER BY generation DESC, page.tx DESC, notification_id DESC LIMIT 1

-- name: advance
-- Moves the sweep's place.
UPDATE sweep_cursor SET generation = %s, tx = %s::xid8, notification_id = %s
