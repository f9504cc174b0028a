-- name: select_streams
-- The events of these streams, in the order of (stream, version).
SELECT originator_id, originator_version, topic, state FROM payment_events
-- The primary key has this order: nothing is sorted.
WHERE originator_id = ANY(%s) ORDER BY originator_id, originator_version

-- name: select_parked
-- Which of these streams are parked.
SELECT payment_id FROM parked_streams WHERE payment_id = ANY(%s)

-- name: select_refusals
-- The replies to those of these commands that were refused.
SELECT payment_id, command_id, fingerprint, reply::text FROM command_refusals
WHERE payment_id = ANY(%s) AND command_id = ANY(%s)

-- name: select_declined
-- The declines of these cards for these amounts, and those for any amount that forbid every later attempt.
WITH asked AS (
    SELECT * FROM unnest(%b::bytea[], %s::bigint[], %s::text[]) AS asked (fingerprint, amount_minor, currency)
)
SELECT fingerprint, amount_minor, currency, operation_id, declined_at, scheme, issuer_code, issuer_advice
FROM asked JOIN declined_attempts USING (fingerprint, amount_minor, currency) WHERE NOT forbids
UNION ALL
SELECT fingerprint, d.amount_minor, d.currency, operation_id, declined_at, scheme, issuer_code, issuer_advice
FROM (SELECT DISTINCT fingerprint FROM asked) AS cards JOIN declined_attempts d USING (fingerprint) WHERE forbids

-- name: select_queue
-- The records that wait behind a parked stream, in order.
SELECT topic, partition, record_offset, correlation_id, traceparent, message FROM parked_records
WHERE payment_id = %s ORDER BY place

-- name: count_newly_parked
-- The number of streams that all workers parked within the last minute, by the server's clock: a process that
-- ended for too many of them starts again and counts on.
SELECT count(*) FROM parked_streams WHERE since > clock_timestamp() - interval '1 minute'

-- name: insert_events
-- Appends events of several streams, in the order given.
INSERT INTO payment_events (originator_id, originator_version, topic, state, generation)
-- The columns `tx` and `notification_id` come from their defaults. The primary key makes the second writer of
-- a version wait for the first, and then fail: no other lock is needed for optimistic concurrency.
SELECT e.id, e.version, e.topic, e.state, %s
FROM unnest(%b::uuid[], %s::bigint[], %s::text[], %b::bytea[]) AS e (id, version, topic, state)

-- name: write_timers
-- Writes the timers; an older version never overwrites a newer one.
INSERT INTO payment_timers AS t (payment_id, version, wake_at)
SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::timestamptz[])
ON CONFLICT (payment_id) DO UPDATE
SET version = excluded.version, wake_at = excluded.wake_at,
    -- A wake that moved nothing keeps its lease: two clocks that differ must not make it come at once again.
    leased_until = CASE WHEN (t.version, t.wake_at) = (excluded.version, excluded.wake_at) THEN t.leased_until END,
    leases = CASE WHEN (t.version, t.wake_at) = (excluded.version, excluded.wake_at) THEN t.leases ELSE 0 END,
    stuck_since = CASE WHEN (t.version, t.wake_at) = (excluded.version, excluded.wake_at) THEN t.stuck_since END
WHERE t.version <= excluded.version

-- name: write_gateway_ids
-- Notes by which id of the PSP an account knows an operation.
INSERT INTO gateway_ids (account, psp_id, payment_id, operation_id)
-- The first operation under an id keeps it: a capture may have no id at the PSP but its authorization's.
SELECT * FROM unnest(%s::text[], %s::text[], %s::uuid[], %s::text[]) ON CONFLICT DO NOTHING

-- name: write_refusals
-- Keeps the replies to refused commands, so that a repeat gets the same.
INSERT INTO command_refusals (payment_id, command_id, fingerprint, reply)
SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::jsonb[]) ON CONFLICT DO NOTHING

-- name: write_declines
-- Notes the declines of cards. A report that is read again adds none.
INSERT INTO declined_attempts (fingerprint, amount_minor, currency, operation_id, payment_id, declined_at, scheme,
    issuer_code, issuer_advice, forbids)
SELECT * FROM unnest(%b::bytea[], %s::bigint[], %s::text[], %s::text[], %s::uuid[], %s::timestamptz[], %s::text[],
    %s::text[], %s::text[], %s::boolean[]) ON CONFLICT DO NOTHING

-- name: park
-- Parks streams, and suspends their timers.
WITH parked AS (
    INSERT INTO parked_streams (payment_id, reason) SELECT * FROM unnest(%s::uuid[], %s::text[])
    -- A stream that another worker parked meanwhile keeps its reason; its timer is suspended already.
    ON CONFLICT DO NOTHING RETURNING payment_id
)
UPDATE payment_timers t SET suspended = true FROM parked WHERE t.payment_id = parked.payment_id

-- name: queue
-- Queues the records of parked streams, in order.
-- A record that is read again, after a kill before its offset was committed, conflicts by its place in Kafka.
INSERT INTO parked_records (payment_id, topic, partition, record_offset, correlation_id, traceparent, message)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::int[], %s::bigint[], %s::text[], %s::text[], %b::bytea[])
ON CONFLICT DO NOTHING

-- name: unpark
-- Ends parking of streams whose queue was drained, and resumes their timers.
-- Only with all that was read of its queue: a record that came since keeps the stream parked.
WITH gone AS (
    DELETE FROM parked_streams p USING unnest(%s::uuid[], %s::int[]) AS drained (payment_id, records)
    WHERE p.payment_id = drained.payment_id
      AND drained.records = (SELECT count(*) FROM parked_records r WHERE r.payment_id = p.payment_id)
    RETURNING p.payment_id
)
UPDATE payment_timers t SET suspended = false FROM gone WHERE t.payment_id = gone.payment_id
