-- name: store
-- Stores a webhook's new events with its body: together or not at all.
-- Events that are known are not stored again, nor is a body without a new one.
WITH received AS (
    SELECT * FROM unnest(%(event_ids)s::text[], %(notices)s::jsonb[]) AS t (event_id, notice)
), fresh AS (
    SELECT * FROM received
    WHERE NOT EXISTS (SELECT FROM webhooks_in w WHERE (w.account, w.event_id) = (%(account)s, received.event_id))
), delivery AS (
    INSERT INTO webhook_deliveries (account, headers, body)
    SELECT %(account)s, %(headers)s, %(body)b WHERE EXISTS (SELECT FROM fresh)
    ON CONFLICT DO NOTHING RETURNING delivery_id
)
INSERT INTO webhooks_in (gateway, account, event_id, delivery_id, notice)
SELECT %(gateway)s, %(account)s, fresh.event_id, delivery.delivery_id, fresh.notice FROM fresh, delivery
-- Two deliveries of the same events insert them in one order: the second waits for the first, and for none in
-- a circle.
ORDER BY fresh.event_id
ON CONFLICT (account, event_id) DO NOTHING RETURNING event_id

-- name: received_again
-- Marks known events as received again: those that needed an operator are matched once more.
SELECT received_again(%(account)s, %(event_ids)s::text[])

-- name: bind
-- Binds a transmission id to its first body.
INSERT INTO webhook_transmissions (account, transmission, body_sha256)
VALUES (%(account)s, %(transmission)s, sha256(%(body)b)) ON CONFLICT DO NOTHING

-- name: is_bound
-- Whether a body is the one that the transmission id is bound to.
-- A statement of its own: it has to see the row for which `bind` may have waited.
SELECT body_sha256 = sha256(%(body)b) FROM webhook_transmissions
WHERE (account, transmission) = (%(account)s, %(transmission)s)
