-- name: lock
-- Waits until no other migration runs on this cluster.
SELECT pg_advisory_lock(%s)

-- name: roles
-- The roles of the cluster.
SELECT rolname FROM pg_roles
