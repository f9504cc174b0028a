-- The event log, which is also the outbox; and what the write side keeps beside it.
-- {schema} and {read} are replaced by the two schemas' names.

CREATE TABLE {schema}.log_generation (
    generation smallint PRIMARY KEY,
    system_identifier bigint NOT NULL UNIQUE,
    since timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE {schema}.log_generation IS
    'One row per PostgreSQL cluster that this log has lived in, with its last stay there: transaction ids are comparable within one only';
INSERT INTO {schema}.log_generation (generation, system_identifier)
    SELECT 1, system_identifier FROM pg_control_system();

CREATE TABLE {schema}.payment_events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    notification_id bigint GENERATED ALWAYS AS IDENTITY,
    tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
    generation smallint NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
);
CREATE UNIQUE INDEX payment_events_log ON {schema}.payment_events (generation, tx, notification_id);
ALTER TABLE {schema}.payment_events SET (autovacuum_vacuum_insert_scale_factor = 0.1);

CREATE TABLE {schema}.payment_timers (
    payment_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    wake_at timestamptz,                       -- NULL: nothing will change by itself
    leased_until timestamptz,
    leases smallint NOT NULL DEFAULT 0,        -- wakes published since the handler last moved the row
    stuck_since timestamptz,                   -- 10 leases without effect
    suspended boolean NOT NULL DEFAULT false   -- the stream is parked
) WITH (fillfactor = 80);
CREATE INDEX payment_timers_due ON {schema}.payment_timers (wake_at)
    WHERE wake_at IS NOT NULL AND stuck_since IS NULL AND NOT suspended;

CREATE TABLE {schema}.command_refusals (
    payment_id uuid NOT NULL,
    command_id uuid NOT NULL,
    fingerprint text NOT NULL,
    reply jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (payment_id, command_id)
);

CREATE TABLE {schema}.gateway_ids (
    account text NOT NULL,
    psp_id text NOT NULL,
    payment_id uuid NOT NULL,
    operation_id text NOT NULL,
    PRIMARY KEY (account, psp_id)
);

CREATE TABLE {schema}.parked_streams (
    payment_id uuid PRIMARY KEY,
    reason text NOT NULL,                      -- the error's class and our own text, never a payload
    since timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE {schema}.parked_records (
    payment_id uuid NOT NULL REFERENCES {schema}.parked_streams ON DELETE CASCADE,
    place bigint GENERATED ALWAYS AS IDENTITY,
    topic text NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    correlation_id text NOT NULL,
    traceparent text,
    message bytea NOT NULL,
    PRIMARY KEY (payment_id, place),
    UNIQUE (topic, partition, record_offset)   -- a record that is read again queues once
);

-- The merchant and the amount come from the create, where it is among the records that wait: the payment may
-- have no event.
CREATE VIEW {schema}.parked_payments AS
    SELECT s.payment_id, s.reason, s.since, waiting.content ->> 'merchant_id' AS merchant_id,
        (waiting.content ->> 'amount_minor')::bigint AS amount_minor, waiting.content ->> 'currency' AS currency
    FROM {schema}.parked_streams s
    LEFT JOIN LATERAL (
        SELECT r.content FROM (
            SELECT place, convert_from(message, 'UTF8')::json AS content
            FROM {schema}.parked_records WHERE payment_id = s.payment_id
        ) r
        WHERE r.content ->> 'type' = 'create_payment.v1' ORDER BY r.place LIMIT 1
    ) waiting ON true;

CREATE TABLE {schema}.relay_cursor (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    generation smallint NOT NULL,
    tx xid8 NOT NULL,
    notification_id bigint NOT NULL
);
INSERT INTO {schema}.relay_cursor (generation, tx, notification_id) VALUES (0, '0', 0);

-- The log of the merchants' routing policies. Writers take turns (infra/postgres/sql/policy_store.sql), so that
-- notification_id is in the order of the commits, and one number is the relay's cursor.
CREATE TABLE {schema}.policy_events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    number integer,                            -- of the policy's version that was drafted, activated or returned to;
                                               -- NULL: the event is not about one
    notification_id bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (originator_id, originator_version)
);
CREATE UNIQUE INDEX policy_events_log ON {schema}.policy_events (notification_id);
-- The relay reads of a stream what it publishes, however many versions were drafted: the last activation, that
-- version's document, and the rare events.
CREATE UNIQUE INDEX policy_events_documents ON {schema}.policy_events (originator_id, number)
    WHERE topic = 'routing_policy.drafted.v1';
CREATE INDEX policy_events_activations ON {schema}.policy_events (originator_id, originator_version)
    WHERE topic IN ('routing_policy.activated.v1', 'routing_policy.rolled_back.v1');
CREATE INDEX policy_events_rare ON {schema}.policy_events (originator_id, originator_version)
    WHERE topic NOT IN ('routing_policy.opened.v1', 'routing_policy.drafted.v1', 'routing_policy.activated.v1',
                        'routing_policy.rolled_back.v1');

CREATE TABLE {schema}.policy_cursor (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    notification_id bigint NOT NULL
);
INSERT INTO {schema}.policy_cursor (notification_id) VALUES (0);

CREATE TABLE {schema}.gateway_sends (
    operation_id text NOT NULL,
    step text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'closed')),  -- 'closed': no byte of this step is ever sent again
    tries smallint NOT NULL,
    first_try_at timestamptz,                  -- NULL: closed before any try
    last_try_at timestamptz,
    result jsonb,                              -- of the PSP's response to the step, a query or a cancel; or never_sent,
                                               -- expired, ended_before_its_last_step. NULL: open, or closed for a
                                               -- query or cancel that has not shown how the step ended
    PRIMARY KEY (operation_id, step)
) WITH (fillfactor = 70);

CREATE TABLE {schema}.declined_attempts (
    fingerprint bytea NOT NULL,                -- HMAC-SHA256 of a PSP's token, by a key that no table holds
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    operation_id text NOT NULL,                -- an attempt with tokens of several PSPs has a row under each
    payment_id uuid NOT NULL,
    declined_at timestamptz NOT NULL,
    scheme text,
    issuer_code text,
    issuer_advice text,
    forbids boolean NOT NULL,                  -- every later attempt, whatever the time: it is kept for ever
    PRIMARY KEY (fingerprint, amount_minor, currency, operation_id)
);
CREATE INDEX declined_attempts_old ON {schema}.declined_attempts (declined_at) WHERE NOT forbids;
CREATE INDEX declined_attempts_forbidding ON {schema}.declined_attempts (fingerprint) WHERE forbids;

-- Deletes what no limit on retries counts any more, at most `batch` rows; how many. Never what is younger than
-- 31 days, a day longer than the longest limit.
CREATE FUNCTION {schema}.forget_declines(older_than interval, batch integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    forgotten integer;
BEGIN
    WITH due AS (
        SELECT d.ctid FROM {schema}.declined_attempts d
        WHERE NOT d.forbids AND d.declined_at < clock_timestamp() - greatest(older_than, interval '31 days')
        ORDER BY d.declined_at LIMIT batch FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM {schema}.declined_attempts d USING due WHERE d.ctid = due.ctid RETURNING 1
    )
    SELECT count(*) INTO forgotten FROM gone;
    RETURN forgotten;
END
$$;
REVOKE EXECUTE ON FUNCTION {schema}.forget_declines(interval, integer) FROM PUBLIC;

CREATE TABLE {schema}.api_keys (
    key_hash bytea PRIMARY KEY,                -- SHA-256 of 32 random bytes: nothing to guess, so no slow hash
    key_id text NOT NULL UNIQUE,
    merchant_id text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz
);
