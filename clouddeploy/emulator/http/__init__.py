"""HTTP/1.1 as the embedded cloud needs it: small, buffered, kept alive, on loopback only."""
