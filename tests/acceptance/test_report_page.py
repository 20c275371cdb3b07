"""The page on all runs, in a headless Chromium: what is in it, and what can be done with it."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Inner = Callable[..., pytest.RunResult]

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(not BROWSER, reason="needs a Chromium on PATH (Debian: apt-get install chromium)")
SUITE = """
PROGRAM = '''
import atexit, os, sys
def close(number, name="</script><b id=bad>"): pass
def flush(): raise OSError("disk full </script>")
def stuck(): os._exit(3)
for number in range(18):
    atexit.register(close, number)
for last in (stuck, flush):
    pid = os.fork()
    if pid == 0:
        atexit.register(last)
        sys.exit(0)
    os.waitpid(pid, 0)
atexit.register(flush)
'''

def test_three_processes(capexit):
    capexit.run(PROGRAM, allow_failures=True)

def test_quiet(capexit):
    capexit.run("import atexit; atexit.register(print)")
"""
# What a reader does: opens the first run, filters, and moves with the keyboard. What the page shows then is its title.
READER = """
<script>
const seen = {errors: []};
addEventListener("error", event => seen.errors.push(String(event.message)));
const name = article => article.querySelector("h2").textContent.split("::")[1];
const visible = () => articles.filter(each => !each.hidden).map(name);
const key = name => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true}));
const type = (id, text) => { byId(id).value = text; byId(id).dispatchEvent(new Event("input", {bubbles: true})); };
setTimeout(() => {
  try {
    seen.counts = byId("counts").textContent;
    seen.all = visible();
    type("text", "QUIET"); seen.byTest = visible();
    type("text", "stuck"); seen.byHandler = visible();
    type("text", "");
    for (const box of byId("states").querySelectorAll("input")) {
      box.click(); seen[box.value] = visible(); box.click();
    }
    const run = articles.find(each => each.textContent.includes("three_processes"));
    run.querySelector("summary").click();
    fill(run.run, run.querySelector(".body"));
    const bars = [...run.querySelectorAll("g.bar")];
    seen.bars = {};
    for (const state of ["ran", "failed", "unfinished", "skipped"])
      seen.bars[state] = run.querySelectorAll("g.bar." + state).length;
    seen.looks = ["ran", "failed", "unfinished", "skipped"].map(state => {
      const style = getComputedStyle(run.querySelector(`g.bar.${state} rect`));
      return [style.fill.startsWith("url") ? "hatched" : style.fill === "none" ? "empty" : "full",
        style.strokeDasharray === "none" ? "solid" : style.strokeDasharray].join(" ");
    });
    seen.reachable = bars.filter(bar => bar.tabIndex === 0).length;
    bars[0].focus();
    seen.tip = [byId("tip").hidden, byId("tip").textContent.split("\\n").slice(0, 2)];
    key("ArrowDown"); seen.second = document.activeElement === bars[1];
    key("End"); seen.last = document.activeElement === bars.at(-1);
    key("Escape"); seen.closed = byId("tip").hidden;
    seen.overflow = document.documentElement.scrollWidth - innerWidth;
    seen.width = innerWidth;
    seen.back = getComputedStyle(document.body).backgroundColor;
    seen.text = getComputedStyle(document.body).color;
    seen.injected = !!document.getElementById("bad");
  } catch (error) { seen.errors.push(String(error.stack)); }
  document.title = JSON.stringify(seen);
}, 0);
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, loading: Callable[..., dict[str, str]]) -> Path:
    """The page of a session with two runs, made once."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "test_it.py").write_text(SUITE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "--atexit-report=exits.html"]
    subprocess.run(command, cwd=folder, env={**os.environ, **loading()}, check=True, stdout=subprocess.DEVNULL)
    return folder / "exits.html"


def seen(page: Path, *options: str) -> dict[str, object]:
    """Returns what a reader saw who used the page."""
    read = page.with_name("read.html")
    read.write_text(page.read_text(encoding="utf-8").replace("</body>", READER + "</body>"), encoding="utf-8")
    profile = page.with_name("profile")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", *options]
    command += ["--virtual-time-budget=5000", "--dump-dom", read.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50).stdout
    found = re.search(r"<title>(\{.*?\})</title>", dom, re.DOTALL)
    assert found, dom[-2000:]
    return json.loads(html.unescape(found[1]))


def test_it_is_one_file_with_all_runs(page: Path) -> None:
    """It fetches nothing, and what a program puts into its names can't leave the data."""
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](?!data:)|@import|url\((?!#)|fetch\(""", text)
    assert text.count("</script>") == 1
    data = json.loads(re.search(r"const report = (.*);\n", text)[1])
    assert data["summary"] == {"runs": 2, "ran": 40, "failed": 2, "unfinished": 1, "skipped": 18}


@pytest.mark.slow
@needs_browser
def test_a_reader_finds_what_went_wrong(page: Path) -> None:
    """Runs are filtered by test, handler and state; bars are told apart without colour and reached by the keyboard."""
    shown = seen(page, "--window-size=1200,900")
    assert shown.pop("errors") == []
    assert shown["counts"] == "2 runs: 40 handlers ran, 2 failed, 1 unfinished, 18 skipped"
    assert shown["all"] == ["test_three_processes", "test_quiet"]
    assert shown["byTest"] == ["test_quiet"]
    assert shown["byHandler"] == shown["failed"] == shown["unfinished"] == shown["skipped"] == ["test_three_processes"]
    assert shown["bars"] == {"ran": 36, "failed": 2, "unfinished": 1, "skipped": 18}
    assert len(set(shown["looks"])) == 4
    assert shown["reachable"] == 1
    assert shown["tip"] == [False, ["✗ failed: flush()", "registered at program.py:14"]]
    assert (shown["second"], shown["last"], shown["closed"], shown["injected"]) == (True, True, True, False)


@pytest.mark.slow
@needs_browser
def test_it_fits_a_phone_and_the_dark(page: Path) -> None:
    """Nothing is wider than the window, and colours follow the system's."""
    light = seen(page, "--window-size=390,800")
    assert light["errors"] == []
    assert light["width"] <= 500
    assert light["overflow"] <= 0
    dark = seen(page, "--window-size=390,800", "--blink-settings=preferredColorScheme=0")
    assert (light["back"], dark["back"]) == ("rgb(255, 255, 255)", "rgb(21, 24, 27)")
    assert dark["text"] == "rgb(230, 233, 236)"
