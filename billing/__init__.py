"""Price import: the public catalogue into the ledger."""
