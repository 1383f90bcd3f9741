"""The roles of the stream `shop`, one file each."""
