# SPDX-License-Identifier: BSD-3-Clause
"""Text for terminals of any kind: colours, widths, tables, units. ASCII only.

What comes from a node is cleaned before it is printed, so it can neither move the cursor nor fake a
line.
"""
import os
import re
import sys

COLUMNS_MIN = 20
COLUMNS_DEFAULT, ROWS_DEFAULT = 80, 24
LAST_MIN = 24  # room for the last column of a table, wrapped
GLUE = re.compile("([0-9]) ((?:us|ms|s|min|h|d|[KMGT]iB|B)\\b)")  # 3 ms stays in one line
ESCAPE = re.compile("\033\\[[0-9]*m")
UNITS = (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10))


def clean(value, limit=200):
    """A value as harmless text in one line."""
    text = value if isinstance(value, str) else str(value)
    if len(text) > limit:
        text = text[: limit - 3] + "..."
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def visible(text):
    """Columns that a text takes."""
    return len(ESCAPE.sub("", text))


def size(count):
    if count is None:
        return "-"
    for unit, bits in UNITS:
        if count >= 1 << bits:
            number = f"{count / (1 << bits):.1f}".removesuffix(".0")
            return f"{number} {unit}"
    return f"{count} B"


def duration(seconds):
    """Two digits that matter, or so."""
    if seconds is None:
        return "-"
    if seconds < 0.001:
        return f"{seconds * 1e6:.3g} us" if seconds > 0 else "0 s"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    if hours < 24:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def plural(count, noun):
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


class Screen:
    """Where text goes: how wide it is, and whether it has colours."""

    COLOURS = {"good": "32", "warn": "33", "bad": "31", "bold": "1", "dim": "2"}

    def __init__(self, out=None, colour=None, columns=None):
        self.out = out or sys.stdout
        self.tty = self.out.isatty()
        if colour is None:
            term = os.environ.get("TERM", "dumb")
            colour = self.tty and not os.environ.get("NO_COLOR") and term != "dumb"
        self.colour = colour
        self._columns = columns

    def _window(self):
        """Asked each time: it may change."""
        try:
            columns, lines = os.get_terminal_size(self.out.fileno())
        except (OSError, ValueError, AttributeError):
            columns = lines = 0
        return columns or COLUMNS_DEFAULT, lines or ROWS_DEFAULT

    @property
    def columns(self):
        told = os.environ.get("COLUMNS", "")
        wide = self._columns or (int(told[:4]) if told.isdigit() else self._window()[0])
        return max(min(wide, 1000), COLUMNS_MIN)

    @property
    def rows(self):
        return max(self._window()[1], 5)

    def paint(self, style, text):
        code = self.COLOURS.get(style) if self.colour else None
        return f"\033[{code}m{text}\033[0m" if code else text

    def say(self, lines=""):
        for line in [lines] if isinstance(lines, str) else lines:
            self.out.write(line + "\n")
        self.out.flush()

    def wrap(self, text, indent=0, first=None):
        """Lines that fit, behind a first indent of its own; colours take no room."""
        line, used, lines = " " * indent if first is None else first, 0, []
        for word in GLUE.sub("\\1\0\\2", text).split(" "):
            room = self.columns - visible(line) - (1 if used else 0)
            while visible(word) > room:
                if used or len(line) > indent and visible(word) <= self.columns - indent:
                    lines.append(line.rstrip())
                    line, used, room = " " * indent, 0, self.columns - indent
                elif ESCAPE.search(word) or room < 1:
                    break
                else:  # longer than a line
                    lines.append(line + word[:room])
                    line, word, room = " " * indent, word[room:], self.columns - indent
            line += (" " if used else "") + word
            used += 1
        return [text.replace("\0", " ") for text in (*lines, line.rstrip())]

    def table(self, heads, rows, align=None, indent=0, styles=()):
        """Lines of a table. Where it does not fit the last column is wrapped, or else each row
        becomes a block of lines.

        styles: (column, function of the cell that gives a style or None)
        """
        align = align or "<" * len(heads)
        rows = [[clean(cell) if cell is not None else "-" for cell in row] for row in rows]
        widths = [max([len(head), *(len(row[i]) for row in rows)]) for i, head in enumerate(heads)]
        before = indent + sum(widths[:-1]) + 2 * (len(heads) - 1)
        if before + widths[-1] > self.columns:
            if before + max(LAST_MIN, len(heads[-1])) > self.columns:
                return self._blocks(heads, rows, indent)
            widths[-1] = 0  # its cells are wrapped

        def line(cells, paint):
            out = []
            for i, cell in enumerate(cells):
                style = paint and next((fn(cell) for col, fn in styles if col == i), None)
                room = " " * (widths[i] - len(cell))
                text = self.paint(style, cell) if style else cell
                out.append(room + text if align[i] == ">" else text + room)
            if widths[-1]:
                return [(" " * indent + "  ".join(out)).rstrip()]
            return self.wrap(out[-1], before, " " * indent + "".join(cell + "  " for cell in out[:-1]))

        lines = [self.paint("dim", text) for text in line(heads, False)]
        for row in rows:
            lines += line(row, True)
        return lines

    def _blocks(self, heads, rows, indent):
        width = max(len(head) for head in heads)
        lines = []
        for row in rows:
            if lines:
                lines.append("")
            for head, cell in zip(heads, row):
                lines += self.wrap(cell, indent + width + 2, f"{' ' * indent}{head:<{width}}  ")
        return lines
