"""Receipts of answers, the audit log of a running service, and answers that are asked for again."""
