"""Markdown on the server: safe whatever a model writes, and the same in pieces as in whole."""

import random
import re
from pathlib import Path

import pytest
from django.conf import settings

from chat import markdown
from chat.blocks import Blocks

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<iframe src=https://evil.example></iframe>",
    "<style>body{display:none}</style>",
    "<!-- <script>alert(1)</script> -->",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox(1))",
    '[x](https://a.example "onmouseover=alert(1) \\"><script>")',
    "<javascript:alert(1)>",
    "![x](https://evil.example/pixel.png)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    '![x"onerror="alert(1)](x)',
    "[x]: javascript:alert(1)\n\n[x]",
    "```html\n<script>alert(1)</script>\n```",
    '```"><script>alert(1)</script>\ncode\n```',
    "```js onload=alert(1)\ncode\n```",
    "`<script>alert(1)</script>`",
    "    <script>alert(1)</script>",
    "# <img src=x onerror=alert(1)>",
    "| <script>alert(1)</script> |\n|---|\n| <img src=x onerror=alert(1)> |",
    "> <iframe src=//evil.example>",
    "$<script>alert(1)</script>=1$",
    "$$\\text{<script>alert(1)</script>}$$",
    "$$\\href{javascript:alert(1)}{x}$$",
    "\\(\\unknown{<img src=x onerror=alert(1)>}\\)",
    "$$" + "{" * 500 + "$$",
    "$$" + "\\frac" * 500 + "$$",
    "\\[" * 2_000,
    "*" * 5_000,
    "[" * 5_000,
    "> " * 500 + "deep",
    "- " * 200 + "deep",
    "`" * 3_001 + "x",
    "<" * 5_000,
    "\x00\ufffd\u202e\ufeff",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;script&#62;",
    "<math><mtext><script>alert(1)</script></mtext></math>",
    "<math><annotation-xml encoding='text/html'><img src=x onerror=alert(1)>",
]
DANGER = re.compile(
    r"<(?!/?(?:p|h\d|a|code|pre|i|em|strong|s|ul|ol|li|blockquote|div|table|thead|tbody|tr|th|td"
    r"|br|hr|math|m[a-z]+)\b)"
    r"|<[^>]*\b(?:on\w+|style|src|srcset)\s*=(?=[^>]*>)|href=\"(?!https?:|mailto:|x\")",
    re.IGNORECASE,
)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_comes_through(text: str) -> None:
    html = markdown.render(text)

    attributes = re.sub(r'title="[^"]*"', "", html)
    assert not DANGER.search(attributes), html


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 to $10.",
        "It costs $5 and $6.",
        "Between $5-$10, or US$3 and 4$.",
        "I have $20 in my pocket, and 30$.",
        "Set $HOME and $PATH, or $HOME/$USER.",
        "Price: $1,000.00 (was $2,000.00)",
        "\\$x$ is escaped$",
        "$ x $",
        "`$x_1$`",
    ],
)
def test_money_stays_text(text: str) -> None:
    assert "<math" not in markdown.render(text)


@pytest.mark.parametrize(
    ("text", "display"),
    [
        ("so $x$ is", "inline"),
        ("so $x_1 + 5$.", "inline"),
        ("so $5$ is odd", "inline"),
        ("so $O(n \\log n)$, or", "inline"),
        ("so \\(a = b\\) is", "inline"),
        ("$$a = b$$", "block"),
        ("$$\na\n+ b\n$$", "block"),
        ("\\[\na\n= b\n\\]", "block"),
        ("so $$a$$ is", "block"),
    ],
)
def test_maths_becomes_mathml(text: str, display: str) -> None:
    assert f'<math display="{display}">' in markdown.render(text)


def test_what_is_no_latex_stays_readable() -> None:
    assert "<code>\\left( x</code>" in markdown.render("$\\left( x$")


def test_a_foreign_image_is_a_link_that_nobody_loads_unasked() -> None:
    html = markdown.render("![A *cat*](https://cats.example/1.png)")

    assert "<img" not in html
    assert re.search(r'<a href="https://cats.example/1.png" rel="[^"]*noopener[^"]*">A', html)


def test_code_has_its_language_and_few_colours() -> None:
    html = markdown.render('```python\ndef f():\n    return "<b>"\n```')

    assert '<pre data-language="python"><code><i class="k">def</i> <i class="f">f</i>():' in html
    assert '<i class="s">"&lt;b&gt;"</i>' in html


def test_columns_are_aligned_without_styles() -> None:
    html = markdown.render("| a | b |\n|:-:|--:|\n| 1 | 2 |")

    assert '<td class="center">1</td>' in html
    assert '<td class="right">2</td>' in html


TRICKY = """\
1. one

1
2. two

para
continues | here
--- | ---
a | b

- loose

- items

  with text

* another list
> quote
lazy

Setext
===

    indented

    code
~~~
fence ``` inside

blank
~~~
$$
a

b
$$

$$
x = y
$$
\\[
z
\\]
> ```
> in quote

after ***
***
[not a link] and $5
- [ ] task
\tb
# end"""


def documents() -> list[str]:
    root = Path(settings.BASE_DIR)
    return [TRICKY, *((root / name).read_text() for name in ("README.md", "docs/architecture.md"))]


@pytest.mark.parametrize("seed", range(12))
def test_blocks_add_up_to_the_whole(seed: int) -> None:
    dice = random.Random(seed)
    for text in documents():
        blocks, html, position = Blocks(), "", 0

        while position < len(text):
            length = dice.randint(1, dice.choice([3, 20, 300]))
            html += markdown.render(blocks.feed(text[position : position + length]))
            position += length
        html += markdown.render(blocks.finish())

        assert html == markdown.render(text)


def test_a_paragraph_is_finished_by_a_blank_line_and_a_list_is_not() -> None:
    blocks = Blocks()

    assert blocks.feed("Some words\n") == ""
    assert blocks.feed("\n") == "Some words\n\n"
    assert blocks.feed("- one\n\n") == ""
    assert blocks.feed("# Next\n") == "- one\n\n# Next\n"


def test_a_stray_dollar_holds_nothing_up() -> None:
    blocks = Blocks()

    assert blocks.feed("$$ is no maths here\n\nNext.\n\n") != ""


def test_a_definition_that_reaches_back_is_noticed() -> None:
    blocks = Blocks()
    blocks.feed("See [this].\n\n[this]: https://a.example\n")
    blocks.finish()

    assert blocks.has_definition
