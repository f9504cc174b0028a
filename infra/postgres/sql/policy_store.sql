-- name: take_turn
-- Lets one transaction at a time write policies, until it ends.
-- Without it a later number could be committed before an earlier one, and the relay's cursor would pass that.
SELECT pg_advisory_xact_lock(hashtextextended('aegispay policies of ' || current_schema(), 0))

-- name: stream
-- The events of one merchant's policy, oldest first.
SELECT originator_id, originator_version, topic, state FROM policy_events
WHERE originator_id = %s ORDER BY originator_version

-- name: append
-- Appends events to a stream; another writer's event of the same version is a unique violation.
INSERT INTO policy_events (originator_id, originator_version, topic, state, number)
SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::bytea[], %s::integer[])
    AS new (id, version, topic, state, number)
ORDER BY version
