"""The consumer service: resolves every record at least once, in order per key."""
