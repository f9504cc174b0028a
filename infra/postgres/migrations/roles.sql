-- One role per process, each with what it needs and no more. Run after every migration; safe to run again.
-- Old workers run beside: it only grants.

GRANT USAGE ON SCHEMA {schema} TO aegispay_command, aegispay_relay, aegispay_gateway, aegispay_timers,
    aegispay_routing, aegispay_inbox, aegispay_read_models, aegispay_api, aegispay_audit;
GRANT USAGE ON SCHEMA {read} TO aegispay_read_models, aegispay_routing, aegispay_api, aegispay_inbox,
    aegispay_audit;

GRANT SELECT ON {schema}.log_generation, {schema}.schema_migrations TO aegispay_command, aegispay_relay,
    aegispay_gateway, aegispay_timers, aegispay_routing, aegispay_inbox, aegispay_read_models, aegispay_api,
    aegispay_audit;

GRANT SELECT, INSERT ON {schema}.payment_events, {schema}.command_refusals, {schema}.declined_attempts
    TO aegispay_command;
GRANT SELECT, INSERT, UPDATE ON {schema}.payment_timers, {schema}.gateway_ids TO aegispay_command;
GRANT SELECT, INSERT, DELETE ON {schema}.parked_streams, {schema}.parked_records TO aegispay_command;
GRANT SELECT ON {schema}.parked_streams TO aegispay_timers;

GRANT SELECT ON {schema}.payment_events TO aegispay_relay, aegispay_read_models, aegispay_api;
GRANT SELECT, UPDATE ON {schema}.relay_cursor TO aegispay_relay;

GRANT SELECT, INSERT ON {schema}.policy_events TO aegispay_api;
GRANT SELECT ON {schema}.policy_events TO aegispay_relay;
GRANT SELECT, INSERT ON {schema}.policy_events TO aegispay_routing;
GRANT SELECT ON {read}.experiment_arms, {read}.account_volumes TO aegispay_routing;
GRANT SELECT, UPDATE ON {schema}.policy_cursor TO aegispay_relay;

GRANT SELECT, UPDATE ON {schema}.payment_timers TO aegispay_timers;
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.gateway_sends TO aegispay_gateway;

-- The API, which takes the PSPs' webhooks, may not read them; the inbox, which reads them, may not change
-- them.
GRANT INSERT ON {schema}.webhook_deliveries, {schema}.webhooks_in TO aegispay_api;
GRANT SELECT, INSERT ON {schema}.webhook_transmissions TO aegispay_api;
GRANT SELECT (delivery_id) ON {schema}.webhook_deliveries TO aegispay_api;
GRANT SELECT (account, event_id) ON {schema}.webhooks_in TO aegispay_api;
GRANT SELECT, UPDATE (state, next_try_at, tries, reason, payment_id) ON {schema}.webhooks_in TO aegispay_inbox;
GRANT EXECUTE ON FUNCTION {schema}.forget_webhooks(interval, integer) TO aegispay_inbox;
GRANT EXECUTE ON FUNCTION {schema}.forget_declines(interval, integer) TO aegispay_inbox;
GRANT EXECUTE ON FUNCTION {schema}.received_again(text, text[]) TO aegispay_api;
GRANT EXECUTE ON FUNCTION {schema}.close_webhook(bigint, uuid, text, text, text) TO aegispay_api;
GRANT SELECT ON {schema}.payment_events, {schema}.gateway_ids TO aegispay_inbox;
GRANT SELECT (account, state) ON {read}.operations TO aegispay_inbox;

GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {read} TO aegispay_read_models;
GRANT DELETE ON {read}.gateway_minutes, {read}.gateway_circuit_changes TO aegispay_read_models;
GRANT SELECT ON ALL TABLES IN SCHEMA {read} TO aegispay_api;
GRANT SELECT ON {schema}.api_keys TO aegispay_api;
GRANT SELECT (payment_id) ON {schema}.parked_streams TO aegispay_api;

-- `verify`, `parked`, `status`: reads everything but the API keys' hashes.
GRANT SELECT ON {schema}.payment_events, {schema}.payment_timers, {schema}.command_refusals, {schema}.gateway_ids,
    {schema}.parked_streams, {schema}.parked_records, {schema}.relay_cursor, {schema}.policy_events,
    {schema}.policy_cursor, {schema}.gateway_sends, {schema}.webhook_deliveries, {schema}.webhook_transmissions, {schema}.webhooks_in,
    {schema}.webhook_closings TO aegispay_audit;
GRANT SELECT ON ALL TABLES IN SCHEMA {read} TO aegispay_audit;
