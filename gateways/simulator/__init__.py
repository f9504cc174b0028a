"""PSPs to develop and test against, in their own HTTP dialects, and one ledger of what each of them did with
money. The product depends on none of it; `verify` alone reads the ledger. See docs/simulator.md.
"""
