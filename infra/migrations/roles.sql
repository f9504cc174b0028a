-- One role per process, each with what it needs and no more. Run after every migration; safe to run again.

GRANT USAGE ON SCHEMA {schema} TO aegispay_command, aegispay_relay, aegispay_gateway, aegispay_timers,
    aegispay_inbox, aegispay_views, aegispay_api, aegispay_audit;
GRANT USAGE ON SCHEMA {read} TO aegispay_views, aegispay_api, aegispay_audit;

GRANT SELECT ON {schema}.log_generation, {schema}.schema_migrations TO aegispay_command, aegispay_relay,
    aegispay_gateway, aegispay_timers, aegispay_inbox, aegispay_views, aegispay_api, aegispay_audit;

GRANT SELECT, INSERT ON {schema}.payment_events, {schema}.command_refusals TO aegispay_command;
GRANT SELECT, INSERT, UPDATE ON {schema}.payment_timers, {schema}.gateway_ids TO aegispay_command;
GRANT SELECT, INSERT, DELETE ON {schema}.parked_streams, {schema}.parked_records TO aegispay_command;
GRANT SELECT ON {schema}.parked_streams TO aegispay_timers;

GRANT SELECT ON {schema}.payment_events TO aegispay_relay, aegispay_views, aegispay_api;
GRANT SELECT, UPDATE ON {schema}.relay_cursor TO aegispay_relay;

GRANT SELECT, UPDATE ON {schema}.payment_timers TO aegispay_timers;
GRANT SELECT, INSERT, UPDATE ON {schema}.gateway_sends TO aegispay_gateway;

-- Whoever answers the PSPs may not read what they told; whoever reads it cannot change it.
GRANT INSERT ON {schema}.webhook_deliveries, {schema}.webhooks_in TO aegispay_api;
GRANT SELECT (delivery_id) ON {schema}.webhook_deliveries TO aegispay_api;
GRANT SELECT (account, event_id) ON {schema}.webhooks_in TO aegispay_api;
GRANT SELECT, UPDATE (state, next_try_at, tries, why, payment_id) ON {schema}.webhooks_in TO aegispay_inbox;
GRANT SELECT ON {schema}.payment_events, {schema}.gateway_ids TO aegispay_inbox;

GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {read} TO aegispay_views;
GRANT SELECT ON ALL TABLES IN SCHEMA {read} TO aegispay_api;
GRANT SELECT ON {schema}.api_keys TO aegispay_api;
GRANT SELECT (payment_id) ON {schema}.parked_streams TO aegispay_api;

-- `verify`, `parked`, `status`: reads everything but the API keys' hashes.
GRANT SELECT ON {schema}.payment_events, {schema}.payment_timers, {schema}.command_refusals, {schema}.gateway_ids,
    {schema}.parked_streams, {schema}.parked_records, {schema}.relay_cursor, {schema}.gateway_sends,
    {schema}.webhook_deliveries, {schema}.webhooks_in TO aegispay_audit;
GRANT SELECT ON ALL TABLES IN SCHEMA {read} TO aegispay_audit;
