"""Text from outside the tool, made safe to show."""

import html
import unicodedata


def visible(text):
    """`text` with control characters, invisible characters and lone surrogates written as \\uNNNN; on one line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"\\u{ord(c):04x}" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") else c for c in text
    )


def escaped(text):
    """The same as HTML text, also for attributes in quotes."""
    return html.escape(visible(text), quote=True)
