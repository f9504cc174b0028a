-- name: setting
-- The server's setting as it holds for this session.
SELECT current_setting(%s)
