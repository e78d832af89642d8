"""Names that try to be something else: markup, formulas, ends of lines, turned text, commands."""

from html.parser import HTMLParser

NAMES = (
    '<img src=x onerror="window.evil=1">',
    '=HYPERLINK("http://evil.example","x")',
    '"><script>window.evil=1</script>',
    "two\nlines, \"quoted\"; 'twice'",
    "turned \u202e gnp.tac",
    "\x1b[2Jcleared",
    "+cmd|' /C calc'!A0",
    "@SUM(1)",
    "-1",
    "plain",
)
FORMULAS = 3  # of these


class Tags(HTMLParser):
    """The elements of a piece of HTML in order, and its text."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, {key for key, _ in attrs}))

    def handle_data(self, data):
        self.text += data
