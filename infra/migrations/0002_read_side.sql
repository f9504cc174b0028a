-- What the query API reads. Rebuilt by replay; written by the read-model worker alone.

CREATE TABLE {read}.payments (
    payment_id uuid PRIMARY KEY,
    version bigint NOT NULL,                   -- the last event applied: the only fence
    stale_since timestamptz,                   -- a version is missing from the topic and from the store
    merchant_id text NOT NULL DEFAULT '',
    customer_id text,
    status text NOT NULL DEFAULT 'REQUESTED',
    amount_minor bigint NOT NULL DEFAULT 0,
    currency text NOT NULL DEFAULT '',
    captured_minor bigint NOT NULL DEFAULT 0,
    country text,
    description text,
    metadata jsonb NOT NULL DEFAULT '{{}}',
    reason text,
    action_url text,
    frozen boolean NOT NULL DEFAULT false,
    attempts_ended boolean NOT NULL DEFAULT false,
    gateway text,
    command_id uuid,                           -- of the create
    correlation_id text NOT NULL DEFAULT '',
    expires_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX payments_by_customer ON {read}.payments (merchant_id, customer_id, created_at DESC, payment_id DESC)
    WHERE customer_id IS NOT NULL;

CREATE TABLE {read}.operations (
    operation_id text PRIMARY KEY,
    payment_id uuid NOT NULL,
    ordinal integer NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    gateway text NOT NULL,
    account text NOT NULL,
    psp_id text,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    code text,
    asked integer NOT NULL DEFAULT 0,
    call_ms double precision,
    started_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX operations_by_payment ON {read}.operations (payment_id, ordinal);

CREATE TABLE {read}.sweep_cursor (             -- the log is compared with the tables above up to here
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    generation smallint NOT NULL,
    tx xid8 NOT NULL,
    notification_id bigint NOT NULL
);
INSERT INTO {read}.sweep_cursor (generation, tx, notification_id) VALUES (0, '0', 0);
