"""The pages' files: nothing inline, nothing from elsewhere, a word for every key; languages and brands."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from wireguard_operator.api.peer import SuspensionMode
from wireguard_operator.domain.tickets import Scope
from wireguard_operator.gateway.portal.pages import SECURITY, STAFF, STATIC, SUBSCRIBER, BrandError, Pages, choose
from wireguard_operator.gateway.portal.view import State

SCRIPTS = sorted(STATIC.glob("*.js"))
WORDS = {path.stem: json.loads(path.read_text()) for path in (STATIC / "strings").glob("*.json")}


class Markup(HTMLParser):
    """Collects what a page refers to and what is inline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.attributes: list[str] = []
        self.keys: list[str] = []
        self._open = ""
        self.inline = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        for name, value in attrs:
            self.attributes.append(name)
            if name in ("src", "href"):
                self.references.append(value or "")
            if name == "data-t":
                self.keys.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style"):
            self.inline += data.strip()


@pytest.fixture(params=[SUBSCRIBER, STAFF])
def markup(request: pytest.FixtureRequest) -> Markup:
    return Markup((STATIC / str(request.param)).read_text())


def test_a_page_has_nothing_inline(markup: Markup) -> None:
    assert markup.inline == ""
    assert not [name for name in markup.attributes if name == "style" or name.startswith("on")]


def test_a_page_refers_to_files_that_are_there(markup: Markup) -> None:
    pages = Pages()
    assert markup.references
    for reference in markup.references:
        assert reference.startswith("/portal/")
        assert pages.asset(reference.removeprefix("/portal/"), None) is not None, reference


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_imports_files_that_are_there_and_writes_no_markup(path: Path) -> None:
    text = path.read_text()
    for name in re.findall(r'from "([^"]+)"', text):
        assert name.startswith("./") and (STATIC / name).exists(), name
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text.replace("without innerHTML", "")
    )


def test_every_language_has_the_same_words_with_the_same_places_in_them() -> None:
    english = WORDS["en"]
    for language, words in WORDS.items():
        assert words["language"] == language
        assert words.keys() == english.keys(), words.keys() ^ english.keys()
        for key, text in words.items():
            assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", english[key])), (language, key)


def test_every_word_that_the_pages_ask_for_is_there() -> None:
    asked = {key for name in (SUBSCRIBER, STAFF) for key in Markup((STATIC / name).read_text()).keys}
    for path in SCRIPTS:
        asked |= set(re.findall(r'(?<![\w.])(?:t|message)\("([a-z0-9-]+)"', path.read_text()))
    asked |= {f"state-{state}" for state in State} | {f"state-{state}-text" for state in State}
    asked |= {f"mode-{mode}" for mode in SuspensionMode} | {f"scope-{scope}" for scope in Scope}
    assert len(asked) > 80
    assert asked - WORDS["en"].keys() == set()


def test_the_policy_has_room_for_nothing_but_this_origin() -> None:
    policy = dict(part.split(" ", 1) for part in SECURITY["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
    assert set(policy.values()) == {"'none'", "'self'", "'script'"}
    page = Pages().page(SUBSCRIBER)
    for name, value in (SECURITY | {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}).items():
        assert page.headers[name] == value


def test_a_file_that_the_browser_has_is_not_sent_again() -> None:
    pages = Pages()
    first = pages.asset("base.css", None)
    assert first is not None and first.status_code == 200 and first.body
    again = pages.asset("base.css", first.headers["ETag"])
    assert again is not None and again.status_code == 304 and not again.body
    assert pages.asset("base.css", '"another"').status_code == 200  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["../pages.py", "pages.py", "strings", "en.json", SUBSCRIBER, "", "nothing.css"])
def test_there_are_no_other_files(name: str) -> None:
    assert Pages().asset(name, None) is None


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr-FR, fr;q=0.9, de;q=0.4, en;q=0.5", "en"),
        ("fr, de;q=0.4", "de"),
        ("de;q=0, fr", "en"),
        ("DE", "de"),
        ("*;q=1", "en"),
        ("de;q=x, en", "en"),
        (",;q=,," + "de," * 2, "de"),
    ],
)
def test_the_reader_gets_the_language_that_they_like_best(accepted: str, language: str) -> None:
    assert choose(accepted, {"en": 0, "de": 0}) == language
    answer = Pages().strings(accepted, None)
    assert json.loads(answer.body)["language"] == language
    assert answer.headers["Vary"] == "Accept-Language"


def test_a_brand_replaces_looks_and_some_words_and_may_add_a_language(tmp_path: Path) -> None:
    (tmp_path / "brand.css").write_text(":root { --accent: #0a7a5c; }")
    (tmp_path / "en.json").write_text('{"provider": "Fjordnett"}')
    (tmp_path / "nb.json").write_text('{"provider": "Fjordnett", "reveal": "Vis oppsettet"}')
    # As a ConfigMap is mounted.
    (tmp_path / "..data").mkdir()
    pages = Pages(tmp_path)
    css = pages.asset("brand.css", None)
    assert css is not None and b"#0a7a5c" in bytes(css.body)
    english = json.loads(pages.strings("en", None).body)
    assert english["provider"] == "Fjordnett" and english["reveal"] == WORDS["en"]["reveal"]
    norwegian = json.loads(pages.strings("nb-NO", None).body)
    assert norwegian["language"] == "nb" and norwegian["reveal"] == "Vis oppsettet"
    assert norwegian["download"] == WORDS["en"]["download"], "what is not translated stands in English"
    assert pages.languages == {"en", "de", "nb"}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("subscriber.js", "", "a brand consists of files"),
        ("en.json", "{", "not JSON"),
        ("en.json", '["x"]', "one JSON object whose values are strings"),
        ("en.json", '{"provider": 1}', "one JSON object whose values are strings"),
    ],
)
def test_a_brand_that_cannot_be_used_is_refused_by_the_name_of_its_file(
    name: str, content: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BrandError, match=told) as refusal:
        Pages(tmp_path)
    assert name in str(refusal.value)


def test_a_brand_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrandError, match="is no folder"):
        Pages(tmp_path / "nothing")
