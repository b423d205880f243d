"""The embedded Numerai: an offline stand-in to try everything against."""
