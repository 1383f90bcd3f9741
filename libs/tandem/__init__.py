"""What both services agree on: settings, schemas, delivery, stopping."""
