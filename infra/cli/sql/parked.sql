-- name: parked
-- Parked payments with the number of records that wait behind each; the longest parked first.
SELECT s.payment_id, s.reason, s.since, count(r.place) AS waiting
FROM parked_streams s LEFT JOIN parked_records r USING (payment_id)
GROUP BY s.payment_id ORDER BY s.since, s.payment_id

-- name: ids
-- Every parked payment.
SELECT payment_id FROM parked_streams
