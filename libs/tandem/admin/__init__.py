"""The admin port: health, metrics and what a service does, for those who look on. Imports nothing: `probe` starts quickly."""
