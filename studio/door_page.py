"""What is shown instead of the studio: a question for the password, or why it is not served here. A page of its own, whole."""

import html

from studio.logo import FOLDER

ASK = """<form method="post">
{note}<p class="wrong" role="alert" id="lost" hidden>The password was right, but this browser keeps no cookie for the studio
here. Open it in a tab of its own.</p>
<script>document.getElementById("lost").hidden = location.hash !== "{let_in}"</script>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus>
<button>Open the studio</button>
</form>
<p class="soft">It was chosen where the studio was started, as <code>STUDIO_PASSWORD</code>.</p>"""

LET_IN = "#let-in"  # after an address to which the right password has led

ELSEWHERE = (
    "This studio serves its own machine only, and it was asked for as {host}. To reach it under another name, "
    "through a proxy or a tunnel, start it with a password: STUDIO_PASSWORD='a long one' make run"
)


def ask_page(wrong: str = "") -> str:
    """The question for the password; with what was wrong with the last answer."""
    note = f'<p class="wrong" role="alert">{html.escape(wrong)}</p>\n' if wrong else ""
    return _page(ASK.replace("{note}", note).replace("{let_in}", LET_IN))


def elsewhere_page(host: str) -> str:
    """Why a studio without a password is not served under this name."""
    return _page(f"<p>{html.escape(ELSEWHERE.format(host=host))}</p>")


def _page(content: str) -> str:
    logo = (FOLDER / "logo.svg").read_text(encoding="utf-8")
    page = (FOLDER / "door.html").read_text(encoding="utf-8")
    page = page.replace("{logo}", logo).replace("{mark}", "var(--mark)").replace("{ink}", "var(--ink)")
    return page.replace("{content}", content)
