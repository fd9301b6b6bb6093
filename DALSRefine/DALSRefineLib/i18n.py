"""Slicer's translation, or the text itself where there is no Slicer application.

To be imported as `_`: Slicer's script that collects texts for translators looks for calls of that name with nothing but
the text in the brackets.
"""

from __future__ import annotations

try:
    from slicer.i18n import tr
except ImportError:

    def tr(text: str, context: str = "") -> str:
        """The text as it is."""
        return text


__all__ = ["tr"]
