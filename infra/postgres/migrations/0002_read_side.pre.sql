-- The tables that the query API reads. Rebuilt by replay; written by the read-model worker alone.

CREATE TABLE {read}.payments (
    payment_id uuid PRIMARY KEY,
    version bigint NOT NULL,                   -- the last event applied: the only fence
    stale_since timestamptz,                   -- a version is missing from the topic and from the store
    merchant_id text NOT NULL DEFAULT '',
    customer_id text,
    status text NOT NULL DEFAULT 'REQUESTED',
    amount_minor bigint NOT NULL DEFAULT 0,
    currency text NOT NULL DEFAULT '',
    capture text NOT NULL DEFAULT 'automatic',
    authorized_minor bigint NOT NULL DEFAULT 0,
    captured_minor bigint NOT NULL DEFAULT 0,
    released_minor bigint NOT NULL DEFAULT 0,
    refunded_minor bigint NOT NULL DEFAULT 0,
    disputed_minor bigint NOT NULL DEFAULT 0,
    capturable_minor bigint NOT NULL DEFAULT 0,
    refundable_minor bigint NOT NULL DEFAULT 0,
    country text,
    description text,
    statement_text text,
    return_page text,
    metadata jsonb NOT NULL DEFAULT '{{}}',
    method text,
    card jsonb,
    reason text,
    decision text,                             -- why the newest attempt was started, put off or not made
    action_url text,
    action_until timestamptz,
    authorization_expires_at timestamptz,
    authorization_expired boolean NOT NULL DEFAULT false,
    cancel_requested boolean NOT NULL DEFAULT false,
    ended text,                                -- why no further attempt follows
    held_since timestamptz,                    -- a fraud hook holds it, and nobody has reviewed it yet
    frozen boolean NOT NULL DEFAULT false,
    contradictions jsonb NOT NULL DEFAULT '[]',  -- those that an operator has not resolved: while there is one, frozen
    disputes jsonb NOT NULL DEFAULT '[]',
    gateway text,
    command_id uuid,                           -- of the create
    correlation_id text NOT NULL DEFAULT '',
    expires_at timestamptz,
    created_at timestamptz,
    updated_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX payments_by_customer ON {read}.payments (merchant_id, customer_id, created_at DESC, payment_id DESC)
    WHERE customer_id IS NOT NULL;
CREATE INDEX payments_disputed ON {read}.payments (payment_id)
    WHERE disputes @? '$[*] ? (@.state == "inquiry" || @.state == "opened" || @.state == "unclear")';
CREATE INDEX payments_held ON {read}.payments (held_since, payment_id) WHERE held_since IS NOT NULL;
CREATE INDEX payments_frozen ON {read}.payments (merchant_id) WHERE frozen;

CREATE TABLE {read}.operations (
    operation_id text PRIMARY KEY,
    payment_id uuid NOT NULL,
    merchant_id text NOT NULL,
    ordinal integer NOT NULL,
    attempt integer NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    gateway text NOT NULL,
    account text NOT NULL,
    psp_id text,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    expected_fee_minor bigint,                 -- what the PSP is expected to charge; NULL: unknown
    expected_fee_currency text,
    approved_minor bigint NOT NULL,
    approved_at timestamptz,
    target text,                               -- the operation that it captures, voids or refunds
    final boolean NOT NULL,                    -- a capture that releases the rest
    duplicate_charge boolean NOT NULL,         -- a duplicate charge, or what gives it back: in no sum
    may_be_disputed boolean NOT NULL,          -- an external refund, which may be what a dispute took
    code text,
    detail text,                               -- the PSP's words, or ours
    queries integer NOT NULL DEFAULT 0,
    in_doubt_since timestamptz,
    escalated boolean NOT NULL,
    retry_at timestamptz,
    action_until timestamptz,
    authorization_life_s integer NOT NULL,
    call_ms double precision,
    experiment_id text,                        -- of a payment's first attempt in an experiment
    experiment_definition text,
    policy_version integer,
    arm text,
    cost_ppm bigint,                           -- expected, in millionths of the amount; NULL: unknown
    started_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX operations_by_payment ON {read}.operations (payment_id, ordinal);
CREATE INDEX operations_open ON {read}.operations (account)
    WHERE state IN ('STARTED', 'UNREACHED', 'UNKNOWN', 'PENDING', 'ACTION_REQUIRED');
CREATE INDEX operations_in_doubt ON {read}.operations (merchant_id, in_doubt_since) WHERE in_doubt_since IS NOT NULL;

-- A row for each operation in doubt or contradicted, and for each parked payment that has no such operation.
CREATE VIEW {read}.in_doubt AS
    SELECT o.merchant_id, o.payment_id, o.operation_id, o.kind, o.gateway, o.account, o.amount_minor, o.currency,
        o.in_doubt_since AS since, o.code, NULL AS detail, o.queries, o.escalated, 'unknown' AS reason
    FROM {read}.operations o
    WHERE o.in_doubt_since IS NOT NULL
    UNION ALL
    SELECT p.merchant_id, p.payment_id, c.operation_id, o.kind, coalesce(o.gateway, p.gateway), o.account,
        c.amount_minor, c.currency, c.since, o.code, c.reason, coalesce(o.queries, 0), false, 'contradiction'
    FROM {read}.payments p
    CROSS JOIN LATERAL jsonb_to_recordset(p.contradictions)
        AS c (operation_id text, since timestamptz, reason text, amount_minor bigint, currency text)
    -- The limit keeps it a lookup by key: nobody can estimate how many are frozen.
    LEFT JOIN LATERAL (SELECT * FROM {read}.operations WHERE operation_id = c.operation_id LIMIT 1) o ON true
    WHERE p.frozen AND o.in_doubt_since IS NULL
    UNION ALL
    SELECT coalesce(nullif(p.merchant_id, ''), s.merchant_id), s.payment_id, NULL, NULL, p.gateway, NULL,
        coalesce(nullif(p.amount_minor, 0), s.amount_minor), coalesce(nullif(p.currency, ''), s.currency),
        s.since, NULL, s.reason, 0, false, 'parked'
    FROM {schema}.parked_payments s LEFT JOIN {read}.payments p ON p.payment_id = s.payment_id
    WHERE p.frozen IS NOT TRUE AND NOT EXISTS (
        SELECT FROM {read}.operations o WHERE o.payment_id = s.payment_id AND o.in_doubt_since IS NOT NULL
    );

-- What became of the first attempts of each arm. Rates and intervals follow from these sums:
-- aggregates/routing/experiment.py.
CREATE TABLE {read}.experiment_arms (
    merchant_id text NOT NULL,
    experiment_id text NOT NULL,
    definition text NOT NULL,                  -- of its arms and shares: other ones are counted apart
    policy_version integer NOT NULL,
    arm text NOT NULL,
    assigned bigint NOT NULL,
    approved bigint NOT NULL,
    declined bigint NOT NULL,
    failed bigint NOT NULL,                    -- for a technical reason, without effect
    priced bigint NOT NULL,                    -- approved, and what it costs is known
    cost_ppm numeric NOT NULL,
    latency_ms bigint NOT NULL,
    latencies bigint NOT NULL,
    customers bigint NOT NULL,                 -- from here on: sums over the customers of experiment_units
    decided_customers bigint NOT NULL,
    first_approved bigint NOT NULL,
    first_not_approved bigint NOT NULL,
    priced_customers bigint NOT NULL,
    decided_squares numeric NOT NULL,
    decided_approved numeric NOT NULL,
    approved_squares numeric NOT NULL,
    priced_squares numeric NOT NULL,
    priced_cost numeric NOT NULL,
    cost_squares numeric NOT NULL,
    PRIMARY KEY (merchant_id, experiment_id, definition, policy_version, arm)
) WITH (fillfactor = 50);

CREATE TABLE {read}.experiment_units (         -- a customer in an arm; a payment without one is its own
    merchant_id text NOT NULL,
    experiment_id text NOT NULL,
    definition text NOT NULL,
    arm text NOT NULL,
    unit text NOT NULL,
    decided integer NOT NULL,
    approved integer NOT NULL,
    first_approved boolean,                    -- of the first payment that ended; NULL: none has
    priced integer NOT NULL,
    cost_ppm bigint NOT NULL,
    PRIMARY KEY (merchant_id, experiment_id, definition, arm, unit)
) WITH (fillfactor = 80);

CREATE TABLE {read}.account_volumes (          -- approved charges
    merchant_id text NOT NULL,
    account text NOT NULL,
    currency text NOT NULL,
    day date NOT NULL,                         -- of the approval, in UTC
    payments bigint NOT NULL,
    amount_minor bigint NOT NULL,
    PRIMARY KEY (merchant_id, account, currency, day)
) WITH (fillfactor = 50);
CREATE INDEX account_volumes_by_day ON {read}.account_volumes (day);
CREATE INDEX account_volumes_of_merchant ON {read}.account_volumes (merchant_id, day, currency);

-- Nothing can rebuild these two: health is in no event. Kept for 90 days.
CREATE TABLE {read}.gateway_minutes (
    account text NOT NULL,
    segment text NOT NULL,                     -- empty: the whole account
    minute timestamptz NOT NULL,               -- when it begins
    gateway text NOT NULL,
    approved integer NOT NULL,
    declined integer NOT NULL,
    failed integer NOT NULL,
    unknown integer NOT NULL,
    p50_ms real,
    p95_ms real,
    p99_ms real,
    errors jsonb NOT NULL,                     -- how often each kind occurs
    PRIMARY KEY (account, segment, minute)
);
CREATE INDEX gateway_minutes_by_age ON {read}.gateway_minutes USING brin (minute);

CREATE TABLE {read}.gateway_circuit_changes (
    account text NOT NULL,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    after text NOT NULL,
    before text NOT NULL,
    gateway text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (account, at, kind, after)
);

CREATE TABLE {read}.sweep_cursor (             -- the log is compared with the tables above up to here
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    generation smallint NOT NULL,
    tx xid8 NOT NULL,
    notification_id bigint NOT NULL
);
INSERT INTO {read}.sweep_cursor (generation, tx, notification_id) VALUES (0, '0', 0);
