"""What many tests stand on: a real PostgreSQL server, a clock moved by hand, campaigns with people in them."""
