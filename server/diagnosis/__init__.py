"""Why pickles and uploads fail: the catalogue, the matcher, the judgement of fingerprints, and safe quoting."""

from server.diagnosis.catalogue import Entry, catalogue, catalogue_markdown
from server.diagnosis.evidence import Evidence
from server.diagnosis.explaining import explain_log
from server.diagnosis.judgement import Finding, judge
from server.diagnosis.matching import Diagnosis, diagnose
from server.diagnosis.untrusted import log_tail, quote_foreign

__all__ = [
    "Diagnosis",
    "Entry",
    "Evidence",
    "Finding",
    "catalogue",
    "catalogue_markdown",
    "diagnose",
    "explain_log",
    "judge",
    "log_tail",
    "quote_foreign",
]
