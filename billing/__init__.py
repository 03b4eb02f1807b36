"""Price import, period close, exports, invoices and their reconciliation."""
