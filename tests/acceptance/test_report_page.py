"""The page on all runs, in a headless Chromium: what is in it, and what can be done with it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
needs_browser = pytest.mark.skipif(not BROWSER, reason="needs a Chromium on PATH (Debian: apt-get install chromium)")
# Three processes with 40 handlers.
SUITE = """
PROGRAM = '''
import atexit, os, sys, time
def close(number, name="</script><b id=bad>"): time.sleep(number / 1000)
def flush(host, *, retries=3): raise OSError("disk full </script>")
def stuck(): os._exit(3)
def stop_workers(): time.sleep(0.02)
for number in range(12):
    atexit.register(close, number)
for last, args in ((stuck, ()), (flush, ("a.example",))):
    pid = os.fork()
    if pid == 0:
        atexit.register(last, *args)
        sys.exit(0)
    os.waitpid(pid, 0)
atexit.register(flush, "b.example", retries=1)
atexit.register(stop_workers)
'''

def test_three_processes(capexit):
    capexit.run(PROGRAM, allow_failures=True)

def test_quiet(capexit):
    capexit.run("import atexit; atexit.register(print)")
"""
SHOWN = "articles.filter(each => !each.hidden).map(each => each.querySelector('h2').textContent.split('::')[1])"
TIP = "byId('tip').hidden ? null : byId('tip').textContent.split('\\n')"
STATES = ("ran", "failed", "unfinished", "skipped")
WIDE = 1200
PHONE = 390


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, loading: Callable[..., dict[str, str]]) -> Path:
    """The page of a session with two runs, made once."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "test_it.py").write_text(SUITE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "--atexit-report=exits.html"]
    subprocess.run(command, cwd=folder, env={**os.environ, **loading()}, check=True, stdout=subprocess.DEVNULL)
    return folder / "exits.html"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for all tests of this file."""
    window = Browser(BROWSER, tmp_path_factory.mktemp("profile"))
    yield window
    window.close()


@pytest.fixture
def browser(window: Browser) -> Iterator[Browser]:
    """The browser, in which nothing may go wrong."""
    yield window
    errors, window.errors = window.errors, []
    assert errors == []


def read_run(browser: Browser, page: Path, **look: Any) -> None:
    """Open the page, and in it the run with three processes."""
    browser.open(page, **{"width": WIDE, **look})
    browser.point("summary", click=True)
    assert browser.see("document.querySelectorAll('g.bar[data-tip]').length") == 40


def test_it_is_one_file_with_all_runs(page: Path) -> None:
    """It fetches nothing, and what a program puts into its names can't leave the data."""
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](?!data:)|@import|url\((?!#)|fetch\(""", text)
    assert text.count("</script>") == 1
    data = json.loads(re.search(r"const report = (.*);\n", text)[1])
    assert data["summary"] == {"runs": 2, "ran": 29, "failed": 2, "unfinished": 1, "skipped": 12}


@pytest.mark.slow
@needs_browser
def test_runs_are_found_by_test_and_state(browser: Browser, page: Path) -> None:
    """By what is typed, a test or a handler, and by what went wrong; how many are shown is said."""
    browser.open(page, width=WIDE)
    assert browser.see("byId('counts').textContent") == "2 runs: 29 handlers ran, 2 failed, 1 unfinished, 12 skipped"
    assert browser.see(SHOWN) == ["test_three_processes", "test_quiet"]
    for typed, shown in {"QUIET": ["test_quiet"], "stuck": ["test_three_processes"], "nothing": []}.items():
        browser.see("byId('text').value = ''")
        browser.point("#text", click=True)
        browser.type(typed)
        assert browser.see(SHOWN) == shown
        assert browser.see("byId('shown').textContent").startswith(f"{len(shown)} of 2 runs")
    browser.see("(byId('text').value = '', apply())")
    for state in STATES[1:]:
        browser.point(f"input[value={state}]", click=True)
        assert browser.see(SHOWN) == ["test_three_processes"]
        browser.point(f"input[value={state}]", click=True)
    assert len(browser.see(SHOWN)) == 2


@pytest.mark.slow
@needs_browser
def test_states_are_told_apart_without_colour(browser: Browser, page: Path) -> None:
    """By the form of the bar, by a sign before the name, and in words."""
    read_run(browser, page)
    count = "Object.fromEntries({}.map(each => [each, document.querySelectorAll(`g.bar.${{each}}[data-tip]`).length]))"
    assert browser.see(count.format([*STATES])) == {"ran": 25, "failed": 2, "unfinished": 1, "skipped": 12}
    look = """STATES.map(state => document.querySelector(`g.bar.${state}[data-tip] rect`)).map(getComputedStyle)
        .map(style => (style.fill.startsWith("rgb") ? "full" : style.fill) + style.strokeDasharray)"""
    assert len({*browser.see(look.replace("STATES", str([*STATES])))}) == 4
    signs = "STATES.map(state => document.querySelector(`g.bar.${state}[data-tip] text`).textContent)"
    assert len({*browser.see(signs.replace("STATES", str([*STATES])))}) == 4
    width = "document.querySelector('g.bar.unfinished[data-tip] rect').getBoundingClientRect().width"
    assert browser.see(width) <= 40  # its end isn't known, so it claims no duration
    assert browser.see("document.getElementById('bad')") is None


@pytest.mark.slow
@needs_browser
def test_the_mouse_shows_arguments_and_site(browser: Browser, page: Path) -> None:
    """And what was raised; it goes when the mouse goes."""
    read_run(browser, page)
    browser.point("g.bar.failed[data-tip] rect")
    first, site, *rest = browser.see(TIP)
    assert first == "✗ failed: flush('b.example', retries=1)"
    assert site == "registered at program.py:15"
    assert rest[-1] == "OSError: disk full </script>"
    browser.point("h1")
    assert browser.see(TIP) is None


@pytest.mark.slow
@needs_browser
def test_the_keyboard_reaches_everything(browser: Browser, page: Path) -> None:
    """Tab goes from filter to run to timeline, arrow keys go through it, and each handler is told."""
    browser.open(page, width=WIDE)
    browser.press("Tab")
    browser.type("three")
    browser.press("Tab", " ")
    assert browser.see("document.querySelector(':checked').value") == "failed"
    browser.press("Tab", "Tab", "Tab", "Enter")
    assert browser.see("document.activeElement.textContent").startswith("test_it.py::test_three_processes")
    browser.press("Tab")
    if browser.see("document.activeElement.className") == "scroll":  # what scrolls is a stop, where there is need
        browser.press("Tab")
    told = [browser.see(TIP)[0]]
    for key in ("ArrowDown", "End", "ArrowUp", "Home"):
        browser.press(key)
        told.append(browser.see(TIP)[0])
        assert browser.see("(box => box.top >= 0 && box.bottom <= innerHeight)(byId('tip').getBoundingClientRect())")
    assert told[:2] == ["✓ ran: stop_workers()", "✗ failed: flush('b.example', retries=1)"]
    assert told[0] == told[4]
    assert len({*told}) == 4
    browser.press("Escape")
    assert browser.see(TIP) is None


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_a_phone(browser: Browser, page: Path, dark: bool) -> None:
    """Nothing is wider than the window, timelines and what is told of a handler included."""
    read_run(browser, page, width=PHONE, height=844, is_phone=True, dark=dark)
    browser.point("g.bar.failed[data-tip] rect")
    assert browser.see(TIP)
    assert browser.see("innerWidth") == PHONE
    assert browser.see("document.documentElement.scrollWidth") <= PHONE
    assert browser.see("document.querySelector('.scroll').scrollWidth") <= PHONE
    assert browser.see("(box => box.left >= 0 && box.right <= innerWidth)(byId('tip').getBoundingClientRect())")


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_is_readable_in_both_looks(browser: Browser, page: Path, dark: bool) -> None:
    """Each colour of text has a contrast of 4.5 at least, as WCAG 2 asks, and the background follows the system."""
    read_run(browser, page, dark=dark)
    contrasts = """(() => {
      const light = colour => (([r, g, b]) => .2126 * r + .7152 * g + .0722 * b)(colour.match(/[\\d.]+/g).slice(0, 3)
        .map(part => part / 255).map(part => part <= .03928 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4));
      const back = light(getComputedStyle(document.body).backgroundColor);
      const texts = [...document.querySelectorAll("body, legend, label, .states, span.failed, span.unfinished, text")];
      const lights = texts.map(each => light(each.ownerSVGElement ? getComputedStyle(each).fill
        : getComputedStyle(each).color));
      return [back, Math.min(...lights.map(l => (Math.max(l, back) + .05) / (Math.min(l, back) + .05)))];
    })()"""
    back, least = browser.see(contrasts)
    assert back < 0.05 if dark else back > 0.9
    assert least >= 4.5
