"""The programs: producer, consumer, and the operator's command."""
