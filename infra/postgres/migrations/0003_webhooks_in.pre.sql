-- Webhooks of the PSPs: kept as evidence, and turned into commands by the inbox.

CREATE TABLE {schema}.webhook_deliveries (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    headers jsonb NOT NULL,                    -- without credentials and cookies
    body bytea NOT NULL                        -- as it came: what was signed
);
-- The same bytes are the same delivery, whatever id the headers give, which not every PSP signs.
CREATE UNIQUE INDEX webhook_deliveries_once ON {schema}.webhook_deliveries (account, sha256(body));

-- The one body of each signed delivery of the PSPs that sign a checksum instead of the body.
CREATE TABLE {schema}.webhook_transmissions (
    account text NOT NULL,
    transmission text NOT NULL,                -- as the PSP has signed it
    body_sha256 bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account, transmission)
);

CREATE TABLE {schema}.webhooks_in (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway text NOT NULL,
    account text NOT NULL,
    event_id text NOT NULL,                    -- what repeats have in common, within the account
    delivery_id bigint NOT NULL REFERENCES {schema}.webhook_deliveries,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    notice jsonb NOT NULL,                     -- as the adapter has read it
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'unmatched', 'closed')),
    next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),  -- until it is done; a worker that has it puts it off
    tries smallint NOT NULL DEFAULT 0,         -- that found no payment
    reason text,                               -- it is unmatched, or still waits
    payment_id uuid,                           -- whose command it became
    UNIQUE (account, event_id)
);
CREATE INDEX webhooks_in_due ON {schema}.webhooks_in (next_try_at) WHERE state IN ('waiting', 'unmatched', 'closed');
CREATE INDEX webhooks_in_unmatched ON {schema}.webhooks_in (id) WHERE state = 'unmatched';
CREATE INDEX webhooks_in_closed ON {schema}.webhooks_in (id) WHERE state = 'closed' AND reason = 'no_payment';
CREATE INDEX webhooks_in_old ON {schema}.webhooks_in (received_at) WHERE state IN ('done', 'closed');
CREATE INDEX webhooks_in_signed ON {schema}.webhooks_in (account, (notice ->> 'signed_as'), id)
    WHERE notice ->> 'signed_as' IS NOT NULL;
CREATE INDEX webhooks_in_delivery ON {schema}.webhooks_in (delivery_id);
CREATE INDEX webhook_transmissions_old ON {schema}.webhook_transmissions (received_at);

-- Operators' closings of unmatched webhooks. A closing outlives its webhook.
CREATE TABLE {schema}.webhook_closings (
    closing_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id bigint NOT NULL,
    payment_id uuid,                           -- that the webhook names
    account text NOT NULL,
    event_id text NOT NULL,
    who text NOT NULL,
    reason text NOT NULL,                      -- nothing is left to do about it
    evidence text NOT NULL,
    closed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX webhook_closings_of ON {schema}.webhook_closings (webhook_id);

CREATE FUNCTION {schema}.payment_named_by(webhook {schema}.webhooks_in) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    coalesce(webhook.payment_id, substring(webhook.notice ->> 'reference' FROM '^([0-9a-f]{{32}})-[acrsv][0-9]{{1,6}}$')::uuid);

-- Closes an unmatched webhook, the only way to do so, and returns its closing; of one that is closed already,
-- the first closing. No row: no webhook of this id is unmatched or closed, or it is not about that payment
-- (null: any payment).
CREATE FUNCTION {schema}.close_webhook(webhook bigint, about uuid, who text, reason text, evidence text)
RETURNS SETOF {schema}.webhook_closings
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one {schema}.webhooks_in;
    named uuid;
BEGIN
    SELECT w.* INTO one FROM {schema}.webhooks_in w WHERE w.id = webhook AND w.state IN ('unmatched', 'closed') FOR UPDATE;
    named := {schema}.payment_named_by(one);
    IF one.id IS NULL OR (about IS NOT NULL AND named IS DISTINCT FROM about) THEN
        RETURN;
    END IF;
    IF one.state = 'unmatched' THEN
        UPDATE {schema}.webhooks_in w SET state = 'closed' WHERE w.id = webhook;
        INSERT INTO {schema}.webhook_closings (webhook_id, payment_id, account, event_id, who, reason, evidence)
        VALUES (webhook, named, one.account, one.event_id, close_webhook.who, close_webhook.reason, close_webhook.evidence);
    END IF;
    RETURN QUERY SELECT c.* FROM {schema}.webhook_closings c WHERE c.webhook_id = webhook ORDER BY c.closing_id DESC LIMIT 1;
END
$$;
REVOKE EXECUTE ON FUNCTION {schema}.close_webhook(bigint, uuid, text, text, text) FROM PUBLIC;

-- The PSP sent it again: a webhook that needed an operator, closed or not, is due now. One that waits or is
-- done stays.
CREATE FUNCTION {schema}.received_again(of_account text, event_ids text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    UPDATE {schema}.webhooks_in w SET next_try_at = clock_timestamp()
    WHERE w.account = of_account AND w.event_id = ANY(event_ids) AND w.state IN ('unmatched', 'closed');
END;
REVOKE EXECUTE ON FUNCTION {schema}.received_again(text, text[]) FROM PUBLIC;

-- Deletes evidence, the only way to do so: at most `batch` events that are done with, with their deliveries.
-- An event stays while it waits, needs an operator, or is about a payment that is in doubt, frozen or
-- disputed. No PSP sends or shows an event for longer than 30 days: one forgotten sooner might be used twice.
-- A transmission is too old to be used after 3 days.
CREATE FUNCTION {schema}.forget_webhooks(older_than interval, batch integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    deliveries bigint[];
    forgotten integer;
BEGIN
    WITH due AS (
        SELECT w.id FROM {schema}.webhooks_in w
        WHERE w.state IN ('done', 'closed') AND w.received_at < clock_timestamp() - greatest(older_than, interval '45 days')
            AND (w.payment_id IS NULL OR EXISTS (
                SELECT FROM {read}.payments p
                WHERE p.payment_id = w.payment_id AND NOT p.frozen AND p.status NOT IN ('IN_DOUBT', 'DISPUTED')
            ))
        ORDER BY w.received_at LIMIT batch FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM {schema}.webhooks_in w USING due WHERE w.id = due.id RETURNING w.delivery_id
    )
    SELECT coalesce(array_agg(delivery_id), ARRAY[]::bigint[]), count(*) INTO deliveries, forgotten FROM gone;
    DELETE FROM {schema}.webhook_deliveries d WHERE d.delivery_id = ANY(deliveries)
        AND NOT EXISTS (SELECT FROM {schema}.webhooks_in w WHERE w.delivery_id = d.delivery_id);
    WITH due AS (
        SELECT account, transmission FROM {schema}.webhook_transmissions
        WHERE received_at < clock_timestamp() - interval '4 days'
        ORDER BY received_at LIMIT batch FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM {schema}.webhook_transmissions t USING due
        WHERE (t.account, t.transmission) = (due.account, due.transmission) RETURNING 1
    )
    SELECT greatest(forgotten, count(*)) INTO forgotten FROM gone;
    RETURN forgotten;
END
$$;
REVOKE EXECUTE ON FUNCTION {schema}.forget_webhooks(interval, integer) FROM PUBLIC;
