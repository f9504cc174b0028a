-- What PSPs have told by webhook: kept as evidence, and turned into commands by the inbox.

CREATE TABLE {schema}.webhook_deliveries (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    headers jsonb NOT NULL,                    -- without credentials and cookies
    body bytea NOT NULL                        -- as it came: what was signed
);
-- The same bytes tell nothing new, whatever the headers, which not every PSP signs, say of their id.
CREATE UNIQUE INDEX webhook_deliveries_once ON {schema}.webhook_deliveries (account, sha256(body));

CREATE TABLE {schema}.webhooks_in (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway text NOT NULL,
    account text NOT NULL,
    event_id text NOT NULL,                    -- what repeats have in common, within the account
    delivery_id bigint NOT NULL REFERENCES {schema}.webhook_deliveries,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    notice jsonb NOT NULL,                     -- as the adapter has read it
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'unmatched')),
    next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),  -- while it waits; a worker that has it puts it off
    tries smallint NOT NULL DEFAULT 0,         -- that found no payment
    why text,                                  -- it is unmatched, or still waits
    payment_id uuid,                           -- whose command it became
    UNIQUE (account, event_id)
);
CREATE INDEX webhooks_in_due ON {schema}.webhooks_in (next_try_at) WHERE state = 'waiting';
CREATE INDEX webhooks_in_unmatched ON {schema}.webhooks_in (id) WHERE state = 'unmatched';
