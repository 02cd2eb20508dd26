"""Jobs: inputs that are too large for one request, scored shard by shard, which go on after a kill where they were."""
