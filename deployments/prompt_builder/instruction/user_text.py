"""Text that others wrote (questions, values, comments) on its way into a prompt: data, no control tokens."""

import re
import unicodedata

# Control tokens of chat templates: [INST], [/INST], [TOOL_CALLS], [control_8], <s>, </s>, <|im_start|>,
# <<SYS>>, <0x0A>; the same shapes also cover the tags by which the prompt itself marks user text.
_BRACKETED = re.compile(r"\[(/?(?:[A-Z][A-Z_]+|control_\d+))\]")
_ANGLED = re.compile(r"<+/?[\w|:/.-]+>+")
_INVISIBLE = ("Cc", "Cf", "Cs", "Co")


def neutralised(text: str) -> str:
    """The same words without anything that a chat template or this prompt gives a meaning to.

    Brackets of control tokens become round or typographic ones, which no vocabulary holds as a control token;
    control and invisible format characters go. Neutralising twice changes nothing more.
    """
    visible = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in _INVISIBLE)
    round_brackets = _BRACKETED.sub(r"(\1)", unicodedata.normalize("NFC", visible))
    return _ANGLED.sub(lambda m: m.group().replace("<", "‹").replace(">", "›"), round_brackets)
