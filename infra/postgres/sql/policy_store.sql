-- name: take_turn
-- Lets one transaction at a time write policies, until it ends.
-- Without it a later number could be committed before an earlier one, and the relay's cursor would pass that.
SELECT pg_advisory_xact_lock(hashtextextended('aegispay policies of ' || current_schema(), 0))

-- name: stream
-- The events of one merchant's policy, oldest first.
SELECT originator_id, originator_version, topic, state FROM policy_events
WHERE originator_id = %s ORDER BY originator_version

-- name: part
-- Of one merchant's stream, oldest first, what is needed of some versions: their drafts and last activations, those of
-- the newest and of the active version, and all that is about no version. The versions are those that are named, and
-- so many below a number. The stream's last event is always among these.
WITH newest AS (
    SELECT number FROM policy_events
    WHERE originator_id = %(stream)s AND topic = 'routing_policy.drafted.v1' ORDER BY number DESC LIMIT 1
),
active AS (
    SELECT number FROM policy_events
    WHERE originator_id = %(stream)s AND topic IN ('routing_policy.activated.v1', 'routing_policy.rolled_back.v1')
    ORDER BY originator_version DESC LIMIT 1
),
wanted AS (
    SELECT number FROM newest UNION SELECT number FROM active UNION SELECT unnest(%(numbers)s::integer[])
    UNION SELECT generate_series(
        greatest(least(%(below)s, number + 1) - %(most)s, 1)::integer, least(%(below)s, number + 1)::integer - 1
    ) FROM newest
),
activations AS (
    SELECT DISTINCT ON (number) originator_id, originator_version, topic, state FROM policy_events
    WHERE originator_id = %(stream)s AND topic IN ('routing_policy.activated.v1', 'routing_policy.rolled_back.v1')
        AND number IN (SELECT number FROM wanted)
    ORDER BY number, originator_version DESC
),
chosen AS (
    SELECT originator_id, originator_version, topic, state FROM policy_events
    WHERE originator_id = %(stream)s AND originator_version = 1
    UNION ALL
    SELECT originator_id, originator_version, topic, CASE WHEN %(documents)s THEN state ELSE
        convert_to((convert_from(state, 'UTF8')::jsonb || '{"document": {}}')::text, 'UTF8') END
    FROM policy_events JOIN wanted USING (number)
    WHERE originator_id = %(stream)s AND topic = 'routing_policy.drafted.v1'
    UNION ALL
    SELECT originator_id, originator_version, topic, state FROM activations
    UNION ALL
    SELECT originator_id, originator_version, topic, state FROM policy_events
    WHERE originator_id = %(stream)s
        AND topic NOT IN ('routing_policy.opened.v1', 'routing_policy.drafted.v1', 'routing_policy.activated.v1',
                          'routing_policy.rolled_back.v1')
)
SELECT originator_id, originator_version, topic, state FROM chosen ORDER BY originator_version

-- name: append
-- Appends events to a stream; another writer's event of the same version is a unique violation.
INSERT INTO policy_events (originator_id, originator_version, topic, state, number)
SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::bytea[], %s::integer[])
    AS new (id, version, topic, state, number)
ORDER BY version
