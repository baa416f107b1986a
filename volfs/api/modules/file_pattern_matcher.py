"""The names of ``modal.file_pattern_matcher``."""

from __future__ import annotations

from volfs.api.apps.patterns import NON_PYTHON_FILES, FilePatternMatcher

__all__ = ["NON_PYTHON_FILES", "FilePatternMatcher"]
