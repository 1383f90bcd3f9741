"""What is safe on the wire, whatever is spoken over it: TLS, why it fails, and tokens."""
