"""The boxes that exercises and results are shown in: HTML in a notebook, text anywhere else."""

import html
import sys

# Of the bar beside a box: safe for color blindness, and seen on light and dark pages alike.
_COLORS = {"right": "#0072B2", "wrong": "#D55E00", "todo": "#7F7F7F"}


def show(kind, title, parts=(), folded=(), instead="", extra=None):
    """Show one box.

    Args:
        kind: "right", "wrong" or "todo", which chooses the color of the bar beside it.
        title: one line, always in words, never by color alone.
        parts: paragraphs; a pair (label, text) is shown as label and code.
        folded: texts that open one inside the other, such as hints.
        instead: a line that takes their place where there is only text.
        extra: further output types, {mime type: data}, stored with the box.
    """
    bundle = {
        "text/plain": _printable(_as_text(title, [*parts, instead] if instead else parts)),
        "text/html": _printable(_as_html(kind, title, parts, folded)),
        **(extra or {}),
    }
    if notebook_shell() is not None:
        from IPython.display import display

        display(bundle, raw=True)
    else:
        print(bundle["text/plain"])


def notebook_shell():
    """IPython's shell, or None in plain Python."""
    from IPython import get_ipython

    return get_ipython()


def _printable(text):
    """The text with escapes for what the output does not know, such as half a character."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _as_text(title, parts):
    lines = [part if isinstance(part, str) else f"{part[0]}: {part[1]}" for part in parts]
    return "\n  ".join([title, *lines])


def _as_html(kind, title, parts, folded):
    body = "".join(_part_as_html(part) for part in parts)
    hints = ""
    for number, text in reversed(list(enumerate(folded, start=1))):
        hints = (
            f"<details style='margin-top:4px'><summary>Hint {number} of {len(folded)}</summary>"
            f"{_escape(text)}{hints}</details>"
        )
    return (
        f"<div style='border-left:5px solid {_COLORS[kind]};padding:4px 12px;margin:4px 0'>"
        f"<b>{_escape(title)}</b>{body}{hints}</div>"
    )


def _part_as_html(part):
    if isinstance(part, str):
        return f"<div>{_escape(part)}</div>"
    label, text = part
    return f"<div>{_escape(label)}: <code>{_escape(text)}</code></div>"


def _escape(text):
    return html.escape(str(text), quote=False).replace("\n", "<br>")
