"""What a pickle file is, from its opcodes and bytecode alone: nothing is ever loaded."""

from bundle_core.fingerprint.reading import read
from bundle_core.fingerprint.report import PYTHON_MINORS, Embedded, Fingerprint, Import

__all__ = ["PYTHON_MINORS", "Embedded", "Fingerprint", "Import", "read"]
