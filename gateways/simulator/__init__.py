"""A PSP to develop and test against: Stripe's HTTP dialect, and a ledger of its own of what was charged.

No part of the product knows of it but `verify`, which reads the ledger. See docs/simulator.md.
"""
