-- name: oldest_missing
-- The time of the oldest stored event that its payment's row lacks.
-- Of the newest 500 only: a lower bound where more than those are missing, and never a long query.
WITH newest AS (
    SELECT originator_id, originator_version, state FROM payment_events
    -- The order of the index payment_events_log, read from its end.
    ORDER BY generation DESC, tx DESC, notification_id DESC LIMIT 500
)
SELECT min((convert_from(state, 'UTF8')::json ->> 'timestamp')::timestamptz)
FROM newest LEFT JOIN payments ON payment_id = originator_id
WHERE coalesce(version, 0) < originator_version
