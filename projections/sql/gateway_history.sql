-- name: put_minutes
-- Writes minutes of segments. A record may come again, and a health worker that lost its table sends a minute
-- with less than it had: the fuller one stays.
INSERT INTO gateway_minutes AS kept (account, segment, minute, gateway, approved, declined, failed, unknown,
    p50_ms, p95_ms, p99_ms, errors)
SELECT account, segment, minute, gateway, approved, declined, failed, unknown, p50_ms, p95_ms, p99_ms, errors
FROM jsonb_to_recordset(%s) AS new (account text, segment text, minute timestamptz, gateway text, approved integer,
    declined integer, failed integer, unknown integer, p50_ms real, p95_ms real, p99_ms real, errors jsonb)
ORDER BY account, segment, minute
ON CONFLICT (account, segment, minute) DO UPDATE
    SET approved = excluded.approved, declined = excluded.declined, failed = excluded.failed,
        unknown = excluded.unknown, p50_ms = excluded.p50_ms, p95_ms = excluded.p95_ms, p99_ms = excluded.p99_ms,
        errors = excluded.errors
    WHERE excluded.approved + excluded.declined + excluded.failed + excluded.unknown
        >= kept.approved + kept.declined + kept.failed + kept.unknown

-- name: put_changes
-- Writes changes of circuits; one that comes again is there.
INSERT INTO gateway_circuit_changes (account, at, kind, after, before, gateway, reason)
SELECT account, at, kind, after, before, gateway, reason
FROM jsonb_to_recordset(%s) AS new (account text, at timestamptz, kind text, after text, before text, gateway text,
    reason text)
ORDER BY account, at, kind, after
ON CONFLICT DO NOTHING

-- name: minutes
-- The minutes of one segment before a time, the newest first.
SELECT minute, approved, declined, failed, unknown, p50_ms, p95_ms, p99_ms, errors
FROM gateway_minutes
WHERE account = %(account)s AND segment = %(segment)s AND minute < %(before)s
ORDER BY minute DESC LIMIT %(limit)s

-- name: changes
-- The changes of an account's circuits in a time, the newest first.
SELECT at, kind, before, after, reason
FROM gateway_circuit_changes
WHERE account = %(account)s AND at >= %(since)s AND at < %(before)s
ORDER BY at DESC, kind, after LIMIT %(limit)s

-- name: forget_minutes
-- Deletes so many minutes of before a time. The rows' places, not their keys: one read of what is deleted.
DELETE FROM gateway_minutes WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM gateway_minutes WHERE minute < %(before)s LIMIT %(limit)s))

-- name: forget_changes
-- Deletes so many changes of before a time.
DELETE FROM gateway_circuit_changes WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM gateway_circuit_changes WHERE at < %(before)s LIMIT %(limit)s))
