"""Text that others wrote (questions, values, comments) on its way into a prompt: data, no control tokens."""

import re
import unicodedata

from deployments.prompt_builder.schema_text import one_line

# Control tokens of chat templates: [INST], [/INST], [TOOL_CALLS], [control_8], <s>, </s>, <|im_start|>,
# <<SYS>>, <0x0A>, <｜User｜>; the same shapes also cover the tags by which the prompt itself marks user text.
_BRACKETED = re.compile(r"\[(/?(?:[A-Z][A-Z_]+|control_\d+))\]")
_ANGLED = re.compile(r"<+/?[\w|｜▁:/.-]+>+")
# No template reads these, but a model may: a tag that closes, or the prompt's own, with blanks in it.
_TAG_LIKE = re.compile(r"<\s*/\s*[\w|｜:.-]+[^<>\n]{0,40}>|<\s*question\b[^<>]{0,40}>", re.IGNORECASE)
_FENCE = re.compile(r"`{3,}|~{3,}")
_INVISIBLE = ("Cc", "Cf", "Cs", "Co")
# Brackets of full width, which some normalizers turn into plain ones.
_WIDE = str.maketrans("＜＞［］", "‹›()")
# Characters that are drawn as nothing and are no format characters: fillers, and a supplement of selectors
# that can carry a hidden text of any length.
_BLANK = re.compile("[\u115f\u1160\u2800\u3164\uffa0\U000e0100-\U000e01ef]")


def neutralised(text: str) -> str:
    """The same words without anything that a chat template or this prompt gives a meaning to.

    Brackets of control tokens become round or typographic ones, which no vocabulary holds as a control token;
    control and invisible characters go; code fences become quotation marks. Neutralising twice changes
    nothing more.
    """
    visible = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in _INVISIBLE)
    plain = _BLANK.sub("", unicodedata.normalize("NFC", visible).translate(_WIDE))
    fenceless = _FENCE.sub("'''", plain)
    round_brackets = _BRACKETED.sub(r"(\1)", fenceless)
    return _ANGLED.sub(_typographic, _TAG_LIKE.sub(_typographic, round_brackets))


def as_data(text: str) -> str:
    """`neutralised` in one line: no text of others begins a line, so none can be a heading or a new part."""
    return one_line(neutralised(one_line(text)))


def _typographic(match: re.Match[str]) -> str:
    return match.group().replace("<", "‹").replace(">", "›")
