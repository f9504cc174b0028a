-- name: changed
-- The streams of policies that have events after the cursor, and the last event's number of a page of them.
-- A number never becomes visible before a smaller one, since writers take turns.
SELECT originator_id, max(notification_id) FROM (
    SELECT originator_id, notification_id FROM policy_events WHERE notification_id > %s
    ORDER BY notification_id LIMIT %s
) AS page GROUP BY originator_id

-- name: after
-- The next streams in the order of their ids.
SELECT DISTINCT originator_id FROM policy_events WHERE originator_id > %s ORDER BY originator_id LIMIT %s

-- name: streams
-- The events of these streams, each stream's oldest first.
SELECT originator_id, originator_version, topic, state FROM policy_events
WHERE originator_id = ANY(%s) ORDER BY originator_id, originator_version

-- name: cursor
-- The number of the last event that is published.
SELECT notification_id FROM policy_cursor

-- name: move_cursor
-- Moves the cursor from where this relay left it; no row where another one has moved it.
UPDATE policy_cursor SET notification_id = %s WHERE notification_id = %s
