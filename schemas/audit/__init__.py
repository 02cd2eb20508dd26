"""The audit log: who did what with which model, one row after the other, each holding the hash of the row before."""
