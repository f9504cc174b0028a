-- name: insert
-- Stores a new key, of which only the secret's hash.
INSERT INTO api_keys (key_hash, key_id, merchant_id, scopes) VALUES (%s, %s, %s, %s)

-- name: select
-- A key that was not revoked.
SELECT key_hash, merchant_id, scopes FROM api_keys WHERE key_id = %s AND revoked_at IS NULL
