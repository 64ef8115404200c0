"""What the console sends: pages without a word of the story, a strict policy, and scripts that keep to it."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.console import files, markup
from service.flows import links
from tests.service.api_service import Api, Server, embedded, served

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "service" / "console" / files.FOLDER
SCRIPTS = sorted(ASSETS.glob("*.js"))
LINES_MAX = 400
HTML = {"accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
# What makes markup, code or an address of a text. `require-trusted-types-for` stops most of it as well.
FORBIDDEN = (
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|setHTML|srcdoc"
    r"|\beval\b|new Function|document\.cookie|localStorage|indexedDB|https?://(?!www\.w3\.org/2000/svg)|\bstyle="
)

server = pytest.fixture(scope="module")(
    lambda tmp_path_factory: (yield from embedded(tmp_path_factory.mktemp("console")))
)


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server) as found:
        yield found


async def signed(api: Api, handoff_id: str) -> str:
    key = await links.secret(api.running.store)
    return links.link("", key, api.tenant, handoff_id, 1_795_000_000_000)


async def test_a_browser_gets_a_page_and_everybody_else_the_api(api: Api) -> None:
    handoff_id = (await api.escalated(message="let me talk to a human, my PIN is 4711"))["handoff"]["id"]
    for path in (await signed(api, handoff_id), f"/console/handoffs/{handoff_id}", "/console"):
        page = await api.client.get(path, headers=HTML)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert page.headers["cache-control"] == "no-store"
        assert {name: page.headers[name] for name in markup.HEADERS} == markup.HEADERS
        assert not re.search(r"<script(?! type=\"module\" src=)|<style|\son\w+=|\sstyle=|https?://", page.text)
        assert not re.search("4711|talk to a human|asks-for-a-person|tier1", page.text)
    shown = await api.client.get(await signed(api, handoff_id), headers={"accept": "application/json"})
    assert shown.json()["now"] == "it waits for a person"
    # There the API has nothing, so whoever looks in is shown the page.
    assert (await api.client.get("/console")).headers["content-type"].startswith("text/html")


async def test_what_a_policy_must_hold_stands_in_it() -> None:
    rules = dict(each.split(" ", 1) for each in markup.CONTENT_SECURITY_POLICY.split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["require-trusted-types-for"] == "'script'"
    assert markup.HEADERS["referrer-policy"] == "no-referrer"


async def test_a_link_that_opens_nothing_is_a_page_that_says_so(api: Api) -> None:
    handoff_id = (await api.escalated())["handoff"]["id"]
    good = await signed(api, handoff_id)
    for path, status, said in (
        (f"/open/{handoff_id}", 403, "the link was not signed here."),
        (good.replace("sig=", "sig=0"), 403, "the link was not signed here."),
        (good.replace("exp=1", "exp=x"), 403, "the link was not signed here."),
        (good.replace("exp=1", "exp=" + "9" * 40), 403, "the link was not signed here."),
    ):
        refused = await api.client.get(path, headers=HTML)
        assert (refused.status_code, refused.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert said in refused.text
        assert refused.headers["content-security-policy"] == markup.CONTENT_SECURITY_POLICY
        assert "waits" not in refused.text
    old = links.link("", await links.secret(api.running.store), api.tenant, handoff_id, 1_600_000_000_000)
    expired = await api.client.get(old, headers=HTML)
    assert (expired.status_code, "the link is older than 7 days." in expired.text) == (410, True)


async def test_what_stands_in_an_address_stays_text(api: Api) -> None:
    page = await api.client.get("/console/handoffs/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E", headers=HTML)
    assert "<script>alert" not in page.text
    assert page.status_code in (200, 404)


async def test_files_are_kept_by_browsers_for_as_long_as_they_are_the_same(api: Api) -> None:
    for name, asset in files.assets().items():
        found = await api.client.get(f"/console/static/{files.version()}/{name}")
        assert (found.status_code, found.headers["content-type"]) == (200, asset.media_type)
        assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert found.headers["x-content-type-options"] == "nosniff"
    old = await api.client.get("/console/static/000000000000/start.js")
    assert (old.status_code, old.headers["cache-control"]) == (200, "no-store")
    for name in ("../pages.py", "..%2Fpages.py", "pages.py", "start.py", ""):
        assert (await api.client.get(f"/console/static/{files.version()}/{name}")).status_code == 404


async def test_a_key_learns_whose_it_is(api: Api) -> None:
    for role in ("agent", "operator", "manager", "admin"):
        found = (await api.get("/me", role)).json()
        assert (found["role"], found["tenant"]) == (role, api.tenant)
        assert found["name"]


@pytest.mark.parametrize(
    ("asked", "language"),
    [("es-MX,es;q=0.9,en;q=0.8", "es"), ("de-DE,de", "en"), ("de,es;q=0.5", "es"), ("", "en"), ("*" * 9000, "en")],
)
def test_the_first_language_that_we_speak_is_spoken(asked: str, language: str) -> None:
    assert markup.language_of(asked) == language


@pytest.mark.parametrize("path", sorted(ASSETS.iterdir()), ids=lambda path: path.name)
def test_a_file_of_the_console_is_short_ours_and_makes_no_markup_of_text(path: Path) -> None:
    text = path.read_text()
    assert path.name in files.assets()
    assert len(text.splitlines()) <= LINES_MAX
    assert re.findall(FORBIDDEN, text) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_opens_with_what_it_holds_and_imports_what_there_is(path: Path) -> None:
    text = path.read_text()
    assert re.match(r"// [A-Z].*[.:,]?\n", text)
    for names, module in re.findall(r"^import (.+?) from \"\./(.+?)\";$", text, re.MULTILINE):
        other = (ASSETS / module).read_text()
        for name in re.findall(r"\{(.+)\}", names):
            for each in (each.strip() for each in name.split(",")):
                assert re.search(rf"^export (?:async )?(?:function|const|class) {each}\b", other, re.MULTILINE), each
                assert len(re.findall(rf"\b{each}\b", text)) > 1, f"{each} is imported and not used"


def told(language: str) -> dict[str, str]:
    block = re.search(
        rf"^const {language} = \{{(.*?)^\}};", (ASSETS / "words.js").read_text(), re.MULTILINE | re.DOTALL
    )
    assert block is not None
    return dict(re.findall(r'"([a-z_.]+)": "((?:[^"\\]|\\.)*)"', block[1]))


def test_both_languages_say_everything_with_the_same_values() -> None:
    english, spanish = told("EN"), told("ES")
    assert sorted(english) == sorted(spanish)
    for name, sentence in english.items():
        assert sorted(re.findall(r"\{\w+\}", sentence)) == sorted(re.findall(r"\{\w+\}", spanish[name])), name


def test_every_word_that_is_said_is_there_and_every_one_there_is_said() -> None:
    text = "\n".join(path.read_text() for path in SCRIPTS if path.name != "words.js")
    english = told("EN")
    quoted = set(re.findall(r'"([a-z_]+(?:\.[a-z_]+)*)"', text))
    begun = set(re.findall(r"`([a-z_]+\.)\$\{", text))
    unsaid = {name for name in english if name not in quoted and not any(name.startswith(each) for each in begun)}
    assert unsaid == set()
    assert {name for name in re.findall(r'\bsay\("([^"]+)"', text) if name not in english} == set()


def test_the_wheel_holds_the_pages(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {f"service/console/{files.FOLDER}/{path.name}" for path in ASSETS.iterdir()} <= held
    assert "service/console/pages.py" in held
