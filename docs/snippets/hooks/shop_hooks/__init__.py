"""An example of each kind of hook: docs/hooks.md."""
