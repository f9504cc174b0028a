"""PSPs to develop and test against, in their own HTTP dialects; and one ledger of what each of them did with money.

No part of the product knows of it but `verify`, which reads the ledger. See docs/simulator.md.
"""
