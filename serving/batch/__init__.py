"""Batches of any size: a job folder, shards that are scored in any order by any process, receipts."""
