"""Text recognition, for real: the models in the wheel read pictures that are drawn here."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from PIL import Image, ImageDraw

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import InvalidRequestError
from aegis_graph.providers.ocr.chat_model import MARKER, NO_TEXT, ChatOcr
from aegis_graph.providers.ocr.engine import INSTALL, REINSTALL, TextLine, as_text
from aegis_graph.providers.ocr.provider import OcrProvider
from aegis_graph.request.image_files import image_part
from tests.flow.support import drawn

ROOT = Path(__file__).parents[2]
HELLO = drawn(420, 90, text="Invoice 2024-0815")
ASKED = HumanMessage([{"type": "text", "text": "What is this?"}, image_part(HELLO)])
SAME = HumanMessage([image_part(drawn(420, 420, text="Invoice 2024-0815"))])
"""As good and read sooner: the engine enlarges a picture until its shorter side has 736 pixels."""
SPEC = ProviderSpec(
    name="ocr", kind="ocr", model="rapidocr", location="local", tasks=("vision",), images=True
)


@pytest.fixture(scope="module")
def model() -> ChatOcr:
    return ChatOcr()


def test_it_reads_and_says_where_and_that_it_is_ocr(model: ChatOcr) -> None:
    answer = model.invoke([ASKED])
    assert answer.text == f"Invoice 2024-0815\n\n{MARKER}"
    facts = answer.response_metadata
    assert (facts["ocr"], facts["text"], facts["finish_reason"]) == (
        True,
        "Invoice 2024-0815",
        "stop",
    )
    first, second = facts["lines"]
    assert (first["text"], second["text"]) == ("Invoice", "2024-0815")
    assert min(first["score"], second["score"]) > 0.8
    # Drawn at (20, 20), 32 pixels high.
    (left, top), _, (right, bottom), _ = first["box"]
    assert 10 < left < 30 < 100 < right < second["box"][2][0]
    assert 10 < top < 30 < 45 < bottom < 65


async def test_every_way_to_ask_gives_the_same_answer(model: ChatOcr) -> None:
    whole = await model.ainvoke([SAME])
    pieces = [chunk async for chunk in model.astream([SAME])]
    assert "".join(chunk.text for chunk in pieces) == whole.text
    many = await asyncio.gather(*(model.ainvoke([SAME]) for _ in range(3)))
    assert {answer.text for answer in many} == {whole.text}
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 2


@pytest.mark.parametrize(
    "turn", [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270]
)
def test_a_picture_on_its_side_or_head_is_read_and_its_lines_are_where_they_are(
    model: ChatOcr, turn: Image.Transpose
) -> None:
    upright = Image.new("RGB", (700, 200), "white")
    for number, text in enumerate(["Invoice of November", "Paid in full"]):
        ImageDraw.Draw(upright).text((20, 20 + 80 * number), text, fill="black", font_size=40)
    turned = upright.transpose(turn)
    stream = io.BytesIO()
    turned.save(stream, "PNG")
    facts = model.invoke([HumanMessage([image_part(stream.getvalue())])]).response_metadata
    assert facts["text"] == "Invoice of November\nPaid in full"
    for line in facts["lines"]:
        xs, ys = zip(*line["box"], strict=True)
        place = (round(min(xs)), round(min(ys)), round(max(xs)), round(max(ys)))
        inside = turned.crop(place).convert("L")
        assert min(inside.tobytes()) < 60, "there is ink in the box"
    (x, y), *_ = facts["lines"][0]["box"]
    corner = {
        Image.Transpose.ROTATE_90: (20, 680),
        Image.Transpose.ROTATE_180: (680, 180),
        Image.Transpose.ROTATE_270: (180, 20),
    }[turn]
    assert abs(x - corner[0]) < 20
    assert abs(y - corner[1]) < 20


def test_a_picture_without_text_is_said_to_have_none(model: ChatOcr) -> None:
    answer = model.invoke([HumanMessage([image_part(drawn())])])
    assert answer.text == f"{NO_TEXT}\n\n{MARKER}"
    assert (answer.response_metadata["text"], answer.response_metadata["lines"]) == ("", [])


def test_the_cap_is_kept_and_told(model: ChatOcr) -> None:
    answer = model.invoke([SAME], max_tokens=1)
    assert answer.text == f"Invoice\n\n{MARKER}"
    assert answer.response_metadata["finish_reason"] == "length"


def test_the_text_ends_at_a_stop_word(model: ChatOcr) -> None:
    whole = model.invoke([SAME])
    second = whole.response_metadata["text"].split()[1]
    answer = model.invoke([SAME], stop=[second])
    assert answer.text == f"{whole.text.partition(second)[0]}\n\n{MARKER}"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("What is this?", "no image to read"),
        ([{"type": "image", "url": "https://example.com/a.png"}], "fetches no image"),
        ([{"image": "data:image/png;base64,aGVsbG8="}], "not an image"),
        ([image_part(HELLO[:200])], "broken or cut off"),
    ],
)
def test_what_cannot_be_read_is_refused(model: ChatOcr, content: Any, complaint: str) -> None:
    with pytest.raises(InvalidRequestError, match=complaint):
        model.invoke([HumanMessage(content)])


def line(text: str, left: float, top: float, *, width: float = 50, height: float = 20) -> TextLine:
    right, bottom = left + width, top + height
    return TextLine(text, ((left, top), (right, top), (right, bottom), (left, bottom)), 1.0)


def test_lines_are_joined_as_they_stand() -> None:
    lines = [
        line("12.50", 300, 41),
        line("Total", 10, 40),
        line("world", 65, 2),
        line("Hello", 10, 0),
        line("a heading", 10, 100, height=40),
    ]
    assert as_text(lines) == "Hello world\nTotal\t12.50\na heading"


@pytest.mark.parametrize(
    ("before", "line_to_run"),
    [
        ("sys.modules['rapidocr'] = None", INSTALL),
        # A package without its models is found first on the path.
        ("sys.path.insert(0, '.')", REINSTALL),
    ],
)
def test_a_missing_extra_and_missing_models_have_a_line_each(
    tmp_path: Path, before: str, line_to_run: str
) -> None:
    (tmp_path / "rapidocr").mkdir()
    (tmp_path / "rapidocr" / "__init__.py").touch()
    program = (
        f"import sys\n{before}\n"
        "from aegis_graph.providers.ocr.engine import OcrEngine, missing_package\n"
        "print(missing_package())\n"
        "try:\n    OcrEngine()\n"
        "except ModuleNotFoundError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [line_to_run, f"text recognition needs: {line_to_run}"]


OPEN_TWICE = """
from aegis_graph.errors import ConfigError
from aegis_graph.providers.ocr.engine import OcrEngine
for _ in range(2):
    try:
        OcrEngine()
    except ConfigError as error:
        print(error)
    else:
        print("open", os.environ["ORT_DISABLE_TELEMETRY"])
"""

ASK_THE_ROUTER = """
from langchain_core.messages import HumanMessage
from aegis_graph import RouterConfig, create_router, image_part
chain = [{"name": "ocr", "kind": "ocr", "model": "rapidocr", "location": "local", "images": True}]
router = create_router(RouterConfig(providers=chain, budgets=[]))
asked = [HumanMessage([image_part(sys.stdin.buffer.read())])]
try:
    router.invoke({"messages": asked, "sensitivity": "pii"})
except Exception as error:
    print(type(error).__name__, error)
"""


def run(program: str, folder: Path) -> list[str]:
    """Lines that a program prints where onnxruntime would report, but finds a closed port."""
    closed = "http://127.0.0.1:1"
    done = subprocess.run(
        [sys.executable, "-c", f"import os, sys\n{program}"],
        cwd=folder,
        # Nothing of the tests' own environment: onnxruntime is silent where it finds ``CI``.
        env={"HOME": str(folder), "PYTHONPATH": str(ROOT), "HTTPS_PROXY": closed},
        input=HELLO,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize(
    "before",
    [
        "",
        "os.environ['ORT_DISABLE_TELEMETRY'] = '0'",
        "os.environ['ORT_DISABLE_TELEMETRY'] = 'Yes'; import onnxruntime",
        # No release before 1.29 has any.
        "import onnxruntime; onnxruntime.__version__ = '1.28.0'",
    ],
)
def test_the_telemetry_of_its_runtime_is_off_in_this_process_and_those_it_starts(
    tmp_path: Path, before: str
) -> None:
    assert run(f"{before}\n{OPEN_TWICE}", tmp_path) == ["open 1", "open 1"]


@pytest.mark.parametrize(
    "before",
    [
        "import onnxruntime",
        "os.environ['ORT_DISABLE_TELEMETRY'] = '0'; import onnxruntime",
        "import onnxruntime; onnxruntime.__version__ = 'nightly'",
        pytest.param(
            "import onnxruntime; os.environ['ORT_DISABLE_TELEMETRY'] = '1'",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="lists no open files"),
        ),
    ],
)
def test_it_stays_shut_where_the_telemetry_is_on_and_says_what_to_do(
    tmp_path: Path, before: str
) -> None:
    (first, second) = run(f"{before}\n{OPEN_TWICE}", tmp_path)

    assert "ORT_DISABLE_TELEMETRY: onnxruntime was imported before" in first
    assert "set this variable to 1 before the import" in first
    assert second == first, "setting it now is too late"


def test_the_router_passes_on_why_it_stays_shut(tmp_path: Path) -> None:
    (line,) = run(f"import onnxruntime\n{ASK_THE_ROUTER}", tmp_path)

    assert line.startswith("AllProvidersFailedError")
    assert "set this variable to 1 before the import" in line


async def test_it_opens_no_connection_and_writes_nothing() -> None:
    program = (
        "import sys\n"
        "def refuse(event, args):\n"
        "    writes = event == 'open' and set(args[1] or '') & set('wax+')\n"
        "    if writes or event in {'socket.connect', 'socket.getaddrinfo'}:\n"
        "        raise RuntimeError(f'{event}: {args}')\n"
        "sys.dont_write_bytecode = True\n"
        "from aegis_graph.providers.ocr.engine import OcrEngine\n"
        "data = sys.stdin.buffer.read()\n"
        "sys.addaudithook(refuse)\n"
        "print([line.text for line in OcrEngine().read(data).lines])"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-W", "error", "-c", program], input=HELLO,
        capture_output=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (b"['Invoice', '2024-0815']\n", b"")


async def test_the_provider_is_probed_for_free() -> None:
    probe = await OcrProvider(SPEC).probe()
    assert (probe.reachable, probe.model_there, probe.detail) == (True, True, "")
    other = await OcrProvider(SPEC.model_copy(update={"model": "x"})).probe()
    assert (other.model_there, other.detail) == (
        False,
        "the only model of this kind is 'rapidocr'",
    )
