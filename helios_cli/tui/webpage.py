"""The page that holds the monitor in a browser. Its terminal is that of textual-serve; fonts and all come from here."""

from __future__ import annotations

from typing import Final

from helios_cli.tui.palette import DARK

FONT_SIZE: Final = (8, 15, 40)
"""Least, usual and largest size of the letters, in pixels; ``?fontsize=`` in the address."""

PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>HeliosDB Nano</title>
<link rel="icon" href="data:,">
<link rel="preload" href="static/fonts/RobotoMono-VariableFont_wght.ttf" as="font" type="font/ttf" crossorigin>
<link rel="stylesheet" href="static/css/xterm.css">
<link rel="stylesheet" href="page.css">
<script src="static/js/textual.js"></script>
<script src="page.js" defer></script>
</head>
<body>
<p id="wait">looking at the cluster ...</p>
<div id="ended"><p>The monitor has ended; the cluster goes on.</p><button type="button">Start it again</button></div>
<div id="terminal" class="textual-terminal" data-font-size="{size}"></div>
</body>
</html>
"""

STYLE: Final = f"""
@font-face {{
    font-family: "Roboto Mono"; font-weight: 100 700;
    src: url("static/fonts/RobotoMono-VariableFont_wght.ttf") format("truetype");
}}
html, body {{ margin: 0; height: 100%; overflow: hidden; background: {DARK.background}; color: {DARK.foreground}; }}
body, button {{ font: 15px "Roboto Mono", monospace; }}
#wait, #ended {{ position: absolute; inset: 0; margin: auto; width: max-content; height: max-content; }}
#ended {{ text-align: center; }}
#ended {{ display: none; z-index: 2; padding: 2em 3em; background: {DARK.surface}; border: 1px solid {DARK.edge}; }}
body.-first-byte #wait, body.-closed #wait {{ display: none; }}
body.-closed #ended {{ display: block; }}
body.-closed #terminal {{ opacity: 0.25; }}
button {{ padding: 0.5em 1.5em; background: {DARK.accent}; color: {DARK.background}; border: 0; cursor: pointer; }}
button:focus-visible {{ outline: 2px solid {DARK.strong}; outline-offset: 2px; }}
"""

SCRIPT: Final = """
const here = new URL("ws", window.location.href.split("?")[0]);
here.protocol = here.protocol.replace("http", "ws");
document.getElementById("terminal").dataset.sessionWebsocketUrl = here.href;
const again = document.querySelector("#ended button");
again.addEventListener("click", () => window.location.reload());
const focus = () => {
    const keys = document.querySelector(".xterm-helper-textarea");
    const wanted = document.body.classList.contains("-closed") ? again : keys;
    if (wanted) wanted.focus();
};
new MutationObserver(focus).observe(document.body, {attributes: true, attributeFilter: ["class"]});
window.addEventListener("focus", focus);
"""
"""Run before the terminal begins: its connection goes where the page came from, and keys go to it without a click."""


def page(size: str) -> str:
    """The page; what is no size of letters, or one that nobody can read, is the usual one."""
    least, usual, largest = FONT_SIZE
    wanted = int(size) if size.isascii() and size.isdigit() and len(size) < 4 else usual
    return PAGE.format(size=wanted if least <= wanted <= largest else usual)
