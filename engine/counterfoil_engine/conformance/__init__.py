"""The conformance kit: what any ERP has to hold to, tried on it through the port alone, with a company for trials.

`checks.ALL` is the one list of checks; `run.conform` runs it on a `Trial`. The command line shows what came as a
table for the ERP's supplier, and the tests run the same list. Documents are made up here as the engine would make
them; what has to stand in the ledger is what the engine's own journal says of them.
"""
