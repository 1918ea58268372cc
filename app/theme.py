"""Colours and type of the pages: calm neutrals, one accent, the pictures are the only loud thing."""

ACCENT = "#3f5fc4"
INK = "#1c2230"
PAPER = "#fbfbf9"
SURFACE = "#f1f1ee"
PAPER_AT_NIGHT = "#15181e"

ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E"
    "%3Cpath d='M16 2c9 0 14 5 14 13s-6 15-14 15S2 24 2 16 8 2 16 2z' fill='%238fa4e6'/%3E"
    "%3Ccircle cx='17' cy='16' r='6.5' fill='%232b3f92'/%3E%3C/svg%3E"
)
"""A cell with its nucleus, for the browser's tab."""

STREAMLIT_THEME = {
    "theme.primaryColor": ACCENT,
    "theme.light.backgroundColor": PAPER,
    "theme.light.secondaryBackgroundColor": SURFACE,
    "theme.light.textColor": INK,
    "theme.dark.backgroundColor": PAPER_AT_NIGHT,
    "theme.dark.secondaryBackgroundColor": "#20242c",
    "theme.dark.textColor": "#e8e9ec",
    "theme.baseRadius": "0.5rem",
}
"""Options of Streamlit; the labelling surface reads them back as CSS variables."""

LOGIN_STYLE = f"""
:root {{ color-scheme: light dark; }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: {PAPER};
  color: {INK}; font: 16px/1.5 "Source Sans", "Source Sans 3", system-ui, sans-serif; }}
main {{ width: 21rem; }}
h1 {{ font-size: 1.6rem; margin: 0; letter-spacing: -.01em; }}
p {{ margin: .25rem 0 1.5rem; opacity: .7; }}
label {{ display: block; font-weight: 600; font-size: .9rem; margin-top: 1rem; }}
input {{ box-sizing: border-box; width: 100%; margin-top: .3rem; padding: .65rem .75rem; font: inherit;
  border: 1px solid #c9cbd1; border-radius: .5rem; background: #fff; color: {INK}; }}
input:focus {{ outline: 2px solid {ACCENT}; border-color: transparent; }}
button {{ width: 100%; margin-top: 1.5rem; padding: .7rem; font: inherit; font-weight: 600; border: 0;
  border-radius: .5rem; background: {ACCENT}; color: #fff; cursor: pointer; }}
a.button {{ display: block; text-align: center; margin-top: 1rem; padding: .65rem; font-weight: 600;
  border: 1px solid currentColor; border-radius: .5rem; color: inherit; text-decoration: none; }}
[role=alert] {{ margin-top: 1rem; padding: .6rem .75rem; border-radius: .5rem; background: #f7e3e0;
  color: #7c2318; font-size: .92rem; }}
[role=status] {{ padding: .6rem .75rem; border-radius: .5rem; background: color-mix(in srgb, {ACCENT} 15%, transparent);
  font-size: .92rem; }}
footer {{ margin-top: 2rem; font-size: .82rem; opacity: .65; }}
@media (prefers-color-scheme: dark) {{ body {{ background: {PAPER_AT_NIGHT}; color: #e8e9ec; }}
  input {{ background: #20242c; color: #e8e9ec; border-color: #3b414d; }} }}
"""
