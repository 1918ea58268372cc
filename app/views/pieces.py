"""Small drawn things of the pages that are no widgets: bars, figures, empty states."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import streamlit as st

from app.words import Words

Row = TypeVar("Row")

_STYLE = """<style>
.cj-bars{display:grid;grid-template-columns:max-content 1fr max-content;gap:7px 14px;align-items:center;
  font-variant-numeric:tabular-nums;max-width:62rem}
.cj-bars i{display:block;height:13px;border-radius:3px}
.cj-shares{display:grid;grid-template-columns:minmax(9rem,max-content) minmax(8rem,1fr) max-content;
  gap:9px 16px;align-items:center;font-variant-numeric:tabular-nums;max-width:62rem}
.cj-shares .line{position:relative;height:16px;border-bottom:1px solid color-mix(in srgb,currentColor 28%,transparent)}
.cj-shares .line i{position:absolute;top:6px;height:5px;border-radius:3px;opacity:.55}
.cj-shares .line b{position:absolute;top:2px;width:13px;height:13px;margin-left:-6px;border-radius:50%}
.cj-shares small{opacity:.9;font-size:.86rem}
.cj-figures{display:flex;flex-wrap:wrap;gap:14px 46px;margin:0 0 6px}
.cj-figures div{font-size:.9rem;opacity:.9}.cj-figures b{display:block;font-size:1.9rem;line-height:1.25;
  font-weight:600;font-variant-numeric:tabular-nums;opacity:1}
.cj-cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(var(--w),1fr));gap:16px 14px}
.cj-cards figure{margin:0;min-width:0;font-size:.86rem;line-height:1.35}
.cj-cards .pics{display:flex;gap:5px;margin-bottom:5px}
.cj-cards img{flex:1;min-width:0;width:100%;aspect-ratio:var(--shape);object-fit:contain;border-radius:8px;
  background:color-mix(in srgb,currentColor 7%,transparent);font-size:.8rem;padding:0}
.cj-cards b{font-weight:600;overflow-wrap:anywhere}
.cj-cards p{margin:0;font-size:inherit;opacity:.88;overflow-wrap:anywhere}
.cj-cards .marked{color:#9c2b1f;opacity:1;font-weight:600}
.cj-cards a{color:inherit;margin-right:9px;white-space:nowrap}
@media (prefers-color-scheme:dark){.cj-cards .marked{color:#ff9a8d}}
.cj-empty{max-width:34rem;margin:12vh auto 0;text-align:center;line-height:1.5}
.cj-empty b{font-size:1.3rem;display:block}
.cj-empty a{font-weight:600;color:inherit}
</style>"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One line of a bar table."""

    name: str
    value: float
    text: str
    color: str


def bars(rows: Sequence[Bar]) -> None:
    """Draw a table with a bar in each line; the value stands beside its bar."""
    most = max((row.value for row in rows), default=0) or 1
    lines = "".join(
        f"<span>{html.escape(row.name)}</span>"
        f'<i style="width:{100 * row.value / most:.1f}%;background:{row.color}"></i>'
        f"<span>{html.escape(row.text)}</span>"
        for row in rows
    )
    st.html(f'{_STYLE}<div class="cj-bars">{lines}</div>')


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareLine:
    """One line of a table of shares."""

    name: str
    value: float | None
    """0 to 1; None draws no dot."""
    interval: tuple[float, float]
    text: str
    color: str


def shares(rows: Sequence[ShareLine]) -> None:
    """Draw shares from 0 to 100 % as dots with their intervals; the figures stand beside them."""
    lines = "".join(_share_line(row) for row in rows)
    st.html(f'{_STYLE}<div class="cj-shares">{lines}</div>')


def _share_line(row: ShareLine) -> str:
    low, high = row.interval
    span, dot = "", ""
    if row.value is not None:
        span = f'<i style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%;background:{row.color}"></i>'
        dot = f'<b style="left:{100 * row.value:.1f}%;background:{row.color}"></b>'
    return (
        f'<span>{html.escape(row.name)}</span><span class="line">{span}{dot}</span>'
        f"<small>{html.escape(row.text)}</small>"
    )


def figures(values: Sequence[tuple[str, str]]) -> None:
    """Draw a row of large figures, each with what it counts."""
    cells = "".join(f"<div><b>{html.escape(value)}</b>{html.escape(name)}</div>" for value, name in values)
    st.html(f'{_STYLE}<div class="cj-figures">{cells}</div>')


def links(rows: Sequence[tuple[str, str, str]]) -> None:
    """Draw a list of files to fetch: address, name, and what is to know of it."""
    lines = "".join(
        f'<li><a style="color:inherit" href="{html.escape(address)}" target="_self" download>{html.escape(name)}</a> '
        f"{html.escape(text)}</li>"
        for address, name, text in rows
    )
    st.html(f"<ul>{lines}</ul>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """Pictures with what is to know of them."""

    pictures: tuple[tuple[str, str], ...]
    """Address of each, and what it shows."""
    title: str
    marked: str = ""
    """What must not be missed."""
    lines: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    """A sentence each, and the ways from it: path and words."""


def cards(rows: Sequence[Card], *, width_rem: float = 10, shape: str = "1") -> None:
    """Draw cards side by side, as many as fit.

    Args:
        rows: The cards.
        width_rem: Least width of one.
        shape: Width to height of a picture, as CSS has it; others are shown whole within it.
    """
    drawn = "".join(_card(row) for row in rows)
    st.html(f'{_STYLE}<div class="cj-cards" style="--w:{width_rem}rem;--shape:{shape}">{drawn}</div>')


def _card(row: Card) -> str:
    pictures = "".join(
        f'<img src="{html.escape(address)}" alt="{html.escape(text)}" loading="lazy">' for address, text in row.pictures
    )
    marked = f'<p class="marked">{html.escape(row.marked)}</p>' if row.marked else ""
    lines = "".join(f"<p>{html.escape(line)} {_links(ways)}</p>" for line, ways in row.lines)
    return f'<figure><div class="pics">{pictures}</div><b>{html.escape(row.title)}</b>{marked}{lines}</figure>'


def _links(ways: Sequence[tuple[str, str]]) -> str:
    return "".join(f'<a href="{html.escape(path)}" target="_self">{html.escape(text)}</a>' for path, text in ways)


def page_of(rows: Sequence[Row], most: int, tr: Words, *, key: str) -> Sequence[Row]:
    """Return the rows of one page; where there are several pages, the reader chooses.

    Args:
        rows: All of them.
        most: Rows of a page.
        tr: The reader's words.
        key: Of the field.
    """
    pages = max(1, -(-len(rows) // most))
    page = (
        int(st.number_input(tr("Page (1 to {pages})", pages=pages), 1, pages, 1, key=key, width=180))
        if pages > 1
        else 1
    )
    return rows[(page - 1) * most : page * most]


def empty(title: str, sentence: str, *, link: tuple[str, str] | None = None) -> None:
    """Say that there is nothing yet, why, and what to do.

    Args:
        title: What is missing.
        sentence: Why, and what brings it.
        link: Path and words of the way there.
    """
    way = f'<a href="{html.escape(link[0])}" target="_self">{html.escape(link[1])}</a>' if link else ""
    st.html(f'{_STYLE}<div class="cj-empty"><b>{html.escape(title)}</b>{html.escape(sentence)}<br>{way}</div>')
