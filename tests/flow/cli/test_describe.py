"""``aegis describe`` as a user runs it: what it prints, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.cli.command import aegis
from tests.flow.support import KEYS, drawn
from tests.unit.request.test_images import bomb

ANSWER = Reply('{"description": "A cat.", "text": "", "objects": ["cat"], "colours": ["grey"]}')


@pytest.fixture
def folder(tmp_path: Path, server: LoopbackServer) -> Path:
    (tmp_path / "aegis.toml").write_text(
        f"""
[[providers]]
name = "eye"
kind = "dashscope"
model = "qwen3-vl-30b-a3b-instruct"
base_url = "{server.dashscope_url}"
api_key_env = "LOOPBACK_KEY"
location = "cloud"
images = true
retry_wait_s = 0

[[budgets]]
scope = "provider:eye"
window = "month"
limit_usd = "1"
"""
    )
    (tmp_path / "cat.png").write_bytes(drawn())
    return tmp_path


def describe(folder: Path, *arguments: str, fresh: bool = False) -> CompletedProcess[str]:
    command = ("describe", *arguments, "--config", "aegis.toml")
    return aegis(*command, cwd=folder, environ=KEYS, fresh=fresh)


def test_it_shows_what_is_there_who_said_so_and_what_it_cost(
    folder: Path, server: LoopbackServer
) -> None:
    server.always("dashscope", ANSWER)
    done = describe(folder, "cat.png", fresh=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "cat.png",
        "  Description A cat.",
        "  Objects     cat",
        "  Colours     grey",
        "  By          eye (qwen3-vl-30b-a3b-instruct), $0.000006",
        "",
        "Route",
        "  eye  1 answered",
        "",
        "Images  1 of 1 answered",
        "Cost    $0.000006",
        "Budget  provider:eye per month: $0.999994 left of $1",
        f"Ledger  {folder}/.local/share/aegis-graph/cost_tracking.db",
    ]
    again = describe(folder, "cat.png", "--json")
    (one,) = json.loads(again.stdout)["results"]
    assert (one["description"], one["kept"], one["cost_usd"]) == ("A cat.", True, "0")
    assert len(server.calls()) == 1


def test_each_bad_file_has_one_line_and_the_others_go_on(
    folder: Path, server: LoopbackServer
) -> None:
    server.always("dashscope", ANSWER)
    whole = drawn(600, 600, kind="JPEG")
    bad = {
        "bomb.png": (bomb(), "the image has more than 89,478,485 pixels; send a smaller one"),
        "big.png": (bomb(9_500), "the image has more than 89,478,485 pixels; send a smaller one"),
        "cut.jpg": (whole[: len(whole) // 2], "the image is broken or cut off"),
        "empty.png": (b"", "an empty file, not an image"),
        "page.html": (b"<html>", "not an image that can be read"),
    }
    for name, (data, _) in bad.items():
        (folder / name).write_bytes(data)
    done = describe(folder, *bad, "gone.png", "cat.png")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        # A reason stands once, with all that it is about.
        f"aegis: bomb.png, big.png: {bad['bomb.png'][1]}",
        *(f"aegis: {name}: {bad[name][1]}" for name in ("cut.jpg", "empty.png", "page.html")),
        "aegis: gone.png: no such file or folder; check the path",
    ]
    assert "1 of 7 answered, 6 without an answer" in done.stdout
    assert len(server.calls()) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        # The file names a cloud only.
        (["cat.png", "--sensitivity", "pii"], 3, "pii data stays on local providers"),
        (["cat.png", "--kind", "poem"], 2, "invalid choice: 'poem'"),
        ([], 2, "PATH"),
    ],
)
def test_wrong_usage_and_privacy_have_their_own_status(
    folder: Path, server: LoopbackServer, arguments: list[str], status: int, said: str
) -> None:
    done = describe(folder, *arguments)
    assert done.returncode == status
    assert said in done.stderr
    assert server.journal == ()


def test_when_everybody_failed_the_status_says_so(folder: Path, server: LoopbackServer) -> None:
    server.always("dashscope", Fault.status(503))
    done = describe(folder, "cat.png")
    assert done.returncode == 4
    assert "ModelUnavailable" in done.stderr
    assert "No answer" in done.stdout
