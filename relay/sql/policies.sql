-- name: changed
-- The streams of the events after the cursor, with the events' numbers, oldest first.
-- A number never becomes visible before a smaller one, since writers take turns.
SELECT originator_id, notification_id FROM policy_events WHERE notification_id > %s
ORDER BY notification_id LIMIT %s

-- name: after
-- The next streams in the order of their ids. Each is one look into the index, however long the one before it is.
WITH RECURSIVE streams AS (
    (SELECT originator_id FROM policy_events WHERE originator_id > %s ORDER BY originator_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT following.originator_id FROM policy_events following
        WHERE following.originator_id > streams.originator_id ORDER BY following.originator_id LIMIT 1
    ) FROM streams WHERE streams.originator_id IS NOT NULL
)
SELECT originator_id FROM streams WHERE originator_id IS NOT NULL LIMIT %s

-- name: change
-- The number of the stream's last event.
SELECT max(originator_version) FROM policy_events WHERE originator_id = %s

-- name: active
-- Of the stream as it was at a change: the first event, the last activation and the draft of that version.
WITH activation AS (
    SELECT originator_id, originator_version, topic, state, number FROM policy_events
    WHERE originator_id = %(stream)s AND originator_version <= %(change)s
        AND topic IN ('routing_policy.activated.v1', 'routing_policy.rolled_back.v1')
    ORDER BY originator_version DESC LIMIT 1
)
SELECT originator_id, originator_version, topic, state FROM policy_events
WHERE originator_id = %(stream)s AND originator_version = 1
UNION ALL
SELECT drafted.originator_id, drafted.originator_version, drafted.topic, drafted.state
FROM activation JOIN policy_events drafted USING (originator_id, number)
WHERE drafted.topic = 'routing_policy.drafted.v1'
UNION ALL
SELECT originator_id, originator_version, topic, state FROM activation
ORDER BY originator_version

-- name: rare
-- A page of the stream's other events: arms that were stopped, and what this release does not know.
SELECT originator_id, originator_version, topic, state FROM policy_events
WHERE originator_id = %(stream)s AND originator_version > %(after)s AND originator_version <= %(change)s
    AND topic NOT IN ('routing_policy.opened.v1', 'routing_policy.drafted.v1', 'routing_policy.activated.v1',
                      'routing_policy.rolled_back.v1')
ORDER BY originator_version LIMIT %(page)s

-- name: cursor
-- The number of the last event that is published.
SELECT notification_id FROM policy_cursor

-- name: move_cursor
-- Moves the cursor from where this relay left it; no row where another one has moved it.
UPDATE policy_cursor SET notification_id = %s WHERE notification_id = %s
