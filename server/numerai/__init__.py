"""The client of Numerai: one typed interface over two transports, and what uploads need around it."""

import logging

# At INFO both log every address that they ask, and presigned ones are secrets.
for name in ("httpx", "httpcore"):
    logging.getLogger(name).setLevel(logging.WARNING)
