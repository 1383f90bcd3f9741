"""The formats with a schema: each makes its schema from an event's model, writes events, and reads what others wrote."""
