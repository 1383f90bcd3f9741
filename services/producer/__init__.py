"""The producer service: streams events to Kafka and knows the fate of each."""
