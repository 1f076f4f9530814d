"""The text of a property as tokens, and where each stands: lines and columns are worked out only for messages.

tokens = Tokens("(assert (<= X_0 0.5)) ; at most a half")
tokens.texts        ['(', 'assert', '(', '<=', 'X_0', '0.5', ')', ')']
tokens.place(4)     'line 1, column 13'
"""

from __future__ import annotations

import re
from typing import NoReturn

from reludsl.errors import InvalidInput

_TOKEN = re.compile(
    r"""[()]                          # parentheses
    | ;[^\n]*                         # a comment
    | "(?:[^"\\]|\\.)*+"?             # a name in quotes; without its end it is refused below
    | \[[^\]()";]*+\]?                # indices or a shape
    | [^\s()\[\]";]++                 # a symbol or a number
    | \]""",
    re.VERBOSE | re.DOTALL,
)

_SHOWN = 40
"""Longer tokens are cut in messages."""


class Tokens:
    """The tokens of a text, comments left out.

    Raises:
        InvalidInput: a quote or a bracket that does not end.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        found = _TOKEN.findall(text)
        # most files state their comments in a few lines at the top
        self.texts: list[str] = [t for t in found if t[0] != ";"] if ";" in text else found
        if '"' in text or "[" in text or "]" in text:
            self._check_ends()

    def _check_ends(self) -> None:
        for k, token in enumerate(self.texts):
            open_quote = token[0] == '"' and (len(token) == 1 or token[-1] != '"' or _odd_backslashes(token[:-1]))
            open_bracket = token[0] == "[" and token[-1] != "]"
            if open_quote or open_bracket or token == "]":
                closing = '"' if open_quote else "[" if token == "]" else "]"
                self.refuse(k, f"{shown(token)} has no matching {closing}; add it, or remove this one")

    def __len__(self) -> int:
        return len(self.texts)

    def place(self, index: int) -> str:
        """Line and column of a token, counted from 1; past the last one, the end of the text."""
        start = len(self.text)
        for match in _TOKEN.finditer(self.text):
            if match[0][0] == ";":
                continue
            if index == 0:
                start = match.start()
                break
            index -= 1
        line = self.text.count("\n", 0, start) + 1
        return f"line {line}, column {start - self.text.rfind(chr(10), 0, start)}"

    def refuse(self, index: int, message: str) -> NoReturn:
        """Raise InvalidInput with the place of a token in front."""
        raise InvalidInput(f"{self.place(index)}: {message}") from None

    def item(self, opening: int, number: int) -> int:
        """Index of the first token of the `number`-th item inside the parenthesis that opens at `opening`.

        With fewer items, that of the parenthesis which ends it.
        """
        index, depth = opening + 1, 0
        while index < len(self.texts):
            token = self.texts[index]
            indices = token[0] == "["
            if depth == 0 and not indices and (number == 0 or token == ")"):
                break
            depth += (token == "(") - (token == ")")
            if depth == 0 and not indices:
                number -= 1
            index += 1
        return index


def _odd_backslashes(text: str) -> bool:
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def shown(token: object) -> str:
    """A token in a message: quoted, on one line, not longer than a line takes."""
    text = str(token)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
