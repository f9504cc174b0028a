-- name: insert
-- Empty rows for payments that have none yet.
-- Each payment gets a row that can be locked: of two processes with its first event, the second waits here.
-- The ids come sorted, which is the order of the locks.
INSERT INTO payments (payment_id, version) SELECT id, 0 FROM unnest(%s::uuid[]) AS new (id)
ON CONFLICT DO NOTHING

-- name: version
-- The version that a merchant's payment has in the read model.
SELECT version FROM payments WHERE payment_id = %s AND merchant_id = %s
