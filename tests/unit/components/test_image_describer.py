"""The parts of the image describer: finding images, reading answers, counting colours, keeping."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from PIL import Image
from pypdf import PdfWriter
from pypdf.generic import NameObject

from aegis_graph import RouterConfig, image_part
from aegis_graph.components.image_describer.colors import (
    NAMES,
    Colour,
    dominant_colours,
    nearest_name,
)
from aegis_graph.components.image_describer.results import (
    CUT,
    NOT_STRUCTURED,
    ONLY_OCR,
    read_answer,
)
from aegis_graph.components.image_describer.sources import find_images, load_image
from aegis_graph.components.image_describer.store import (
    DEGRADED_S,
    ImageStore,
    create_image_store,
)
from aegis_graph.components.prompts import prompts
from aegis_graph.config.ledger_spec import data_folder
from aegis_graph.errors import DocumentError, StoreError
from aegis_graph.text.words import LANGUAGES
from aegis_graph.types import LOCAL_ONLY, ResultKind
from tests.flow.support import drawn

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def pdf(path: Path, *images: Image.Image) -> Path:
    images[0].save(path, "PDF", save_all=True, append_images=images[1:])
    return path


def sources(found: list[Any]) -> list[tuple[str, str]]:
    return [(Path(one["source"]).name, one.get("error", "")) for one in found]


def test_an_image_whose_name_is_no_text_is_named_with_its_bytes(tmp_path: Path) -> None:
    name = tmp_path / os.fsdecode(b"caf\xe9.png")
    Image.new("RGB", (40, 40), "red").save(name)
    (tmp_path / os.fsdecode(b"b\xe9.png")).write_bytes(b"")
    broken, found = find_images([tmp_path])
    assert broken["source"] == str(tmp_path / r"b\xe9.png")
    assert found["source"] == str(tmp_path / r"caf\xe9.png")
    assert "sha256" in found
    assert load_image(found) == name.read_bytes()


def test_a_folder_is_read_in_order_and_what_cannot_be_used_says_why(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "sub/a.JPG", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(drawn())
    (tmp_path / "c.png").touch()
    pdf(tmp_path / "d.pdf", Image.new("RGB", (60, 60), "red"), Image.new("RGB", (60, 60), "blue"))
    (tmp_path / "e.pdf").write_bytes(b"%PDF-1.4 rubbish")
    found: list[Any] = list(find_images([tmp_path, tmp_path / "notes.txt", tmp_path / "gone"]))
    assert sources(found) == [
        ("b.png", ""),
        ("c.png", "an empty file, not an image"),
        ("d.pdf, page 1, image 1", ""),
        ("d.pdf, page 2, image 1", ""),
        ("e.pdf", found[4]["error"]),
        ("a.JPG", ""),
        ("notes.txt", ""),
        ("gone", "no such file or folder; check the path"),
    ]
    assert "not a readable PDF" in found[4]["error"]


def test_what_was_found_is_what_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(drawn())
    pdf(tmp_path / "b.pdf", Image.new("RGB", (60, 60), "red"))
    parts = [image_part(drawn(50, 50)), image_part(drawn(70, 50))]
    for ref in find_images([tmp_path], parts):
        assert "sha256" in ref
        data = load_image(ref, parts)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (ref["size"], ref["sha256"])


def test_a_file_that_changed_meanwhile_is_not_taken_for_the_other(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(drawn())
    (ref,) = find_images([path])
    assert "sha256" in ref
    path.write_bytes(drawn(50, 50))
    with pytest.raises(DocumentError, match="has changed"):
        load_image(ref)


def test_paths_stay_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("in/a.png", "out.png"):
        (tmp_path / name).write_bytes(drawn())
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "out.png")
    root = tmp_path / "in"
    outside = "outside of the folder that images may be in"
    named = [root / "a.png", root / ".." / "out.png", root / "link.png"]
    assert sources(find_images(named, root=root)) == [
        ("a.png", ""),
        ("out.png", outside),
        ("link.png", outside),
    ]
    assert sources(find_images([root], root=root)) == [("a.png", ""), ("link.png", outside)]


def three_pictures(path: Path) -> Path:
    """A page with three pictures, of which the second is broken, and a page with one."""
    colours = ("red", "green", "blue", "white")
    pages = PdfWriter(pdf(path, *(Image.new("RGB", (60, 60), colour) for colour in colours)))
    first, *others = (page["/Resources"]["/XObject"] for page in pages.pages)  # type: ignore[index]
    for number, other in enumerate(others[:2]):
        first[NameObject(f"/more{number}")] = other.raw_get(next(iter(other)))
    broken = first["/more0"]
    broken[NameObject("/Filter")] = NameObject("/FlateDecode")
    broken._data = b"no picture"
    writer = PdfWriter()
    writer.add_page(pages.pages[0])
    writer.add_page(pages.pages[3])
    writer.write(path)
    return path


def test_a_broken_picture_of_a_pdf_costs_only_itself(tmp_path: Path) -> None:
    path = three_pictures(tmp_path / "a.pdf")
    found: list[Any] = list(find_images([path]))
    names = [(name, error.partition(" (")[0]) for name, error in sources(found)]
    assert names == [
        ("a.pdf, page 1, image 1", ""),
        ("a.pdf, page 1, image 2", "a picture that cannot be read"),
        ("a.pdf, page 1, image 3", ""),
        ("a.pdf, page 2, image 1", ""),
    ]
    for ref in (found[0], *found[2:]):
        assert hashlib.sha256(load_image(ref)).hexdigest() == ref["sha256"]


def test_a_name_that_is_not_text_is_shown_and_read(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"gr\xfcn")
    folder.mkdir()
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(drawn())
    (folder / os.fsdecode(b"no\xe9.png")).touch()
    written = pdf(tmp_path / "a.pdf", Image.new("RGB", (60, 60), "red"))
    written.rename(folder / os.fsdecode(b"\xe9.pdf"))
    found: list[Any] = list(find_images([folder, folder / os.fsdecode(b"gone\xe9")]))
    assert sources(found) == [
        ("caf\\xe9.png", ""),
        ("no\\xe9.png", "an empty file, not an image"),
        ("\\xe9.pdf, page 1, image 1", ""),
        ("gone\\xe9", "no such file or folder; check the path"),
    ]
    for one in found:
        assert one["source"].encode()
    assert load_image(found[0]) == drawn()
    assert load_image(found[2])


def test_pictures_that_are_not_read_are_found_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\x00\x00\x00\x18ftypheic")
    (tmp_path / "b.HEIF").write_bytes(b"\x00\x00\x00\x18ftypmif1")
    (tmp_path / "c.jfif").write_bytes(drawn(kind="JPEG"))
    assert [name for name, _ in sources(find_images([tmp_path]))] == ["a.heic", "b.HEIF", "c.jfif"]


def test_a_pdf_without_images_and_a_locked_one_say_so(tmp_path: Path) -> None:
    for name, password in (("plain.pdf", ""), ("locked.pdf", "secret")):
        writer = PdfWriter()
        writer.add_blank_page(200, 200)
        if password:
            writer.encrypt(password, algorithm="RC4-40")
        writer.write(tmp_path / name)
    pdf(tmp_path / "tiny.pdf", Image.new("RGB", (20, 200), "red"))
    named = [tmp_path / name for name in ("plain.pdf", "tiny.pdf", "locked.pdf")]
    plain, tiny, locked = (error for _, error in sources(find_images(named)))
    assert plain == tiny == "a PDF without images; its text is for `aegis ask`"
    assert "encrypted" in locked


def test_parts_are_checked(tmp_path: Path) -> None:
    parts = [
        image_part(drawn()),
        {"type": "text", "text": "hi"},
        {"type": "image", "url": "https://example.com/a.png"},
        {"image": "data:image/png;base64,!"},
    ]
    assert sources(find_images([], parts)) == [
        ("image 1", ""),
        ("image 2", "not an image part; make it with image_part"),
        ("image 3", "an image at an address; give its data"),
        ("image 4", "the image is not valid base64"),
    ]
    with pytest.raises(DocumentError, match="name at least one"):
        find_images([])


def read(said: str, kind: ResultKind = "description", **facts: Any) -> Any:
    counted = [Colour(name="red", hex="#ff0000", share=1.0)]
    answer = AIMessage(said, response_metadata={"provider": "p", "model": "m", **facts})
    return read_answer(answer, kind, source="a.png", sha256="0", counted=counted)


def test_json_becomes_a_structured_result() -> None:
    text = '{"description": "A cat.", "text": "", "objects": ["cat", "cat"], "colours": ["grey"]}'
    for written in (text, f"```json\n{text}\n```", f"Here it is: {text}", f"[{text}]"):
        result = read(written)
        assert (result["description"], result["objects"]) == ("A cat.", ["cat"])
        assert result["colours"] == [{"name": "grey", "hex": None, "share": None}]
        assert (result["colours_by"], result["method"], result["degraded"]) == (
            "model",
            "model",
            False,
        )
        assert (result["provider"], result["model"], result["error"]) == ("p", "m", None)


@pytest.mark.parametrize("text", ["A cat.", "{}", '{"cat": 1}', "[1, 2]", ""])
def test_an_answer_that_is_no_json_is_kept_as_it_is_and_said_to_be_so(text: str) -> None:
    result = read(text)
    assert (result["description"], result["degraded_reason"]) == (text, NOT_STRUCTURED)
    assert (result["colours"][0]["name"], result["colours_by"]) == ("red", "computed")


@pytest.mark.parametrize("odd", [5, None, {"a": 1}, [1, None, {"name": "cat"}, "dog"], "cat"])
def test_odd_fields_never_raise(odd: Any) -> None:
    found = {"description": odd, "text": odd, "objects": odd, "colours": odd}
    result = read(json.dumps(found))
    assert all(isinstance(one, str) for one in result["objects"])
    assert isinstance(result["description"], str)
    assert isinstance(result["text"], str)


def test_transcriptions_are_taken_as_they_are() -> None:
    assert read('Line {"one"}\nTwo', "text")["text"] == 'Line {"one"}\nTwo'
    table = "| a | b |\n|---|---|"
    assert read(f"```markdown\n{table}\n```", "table")["text"] == table


def test_a_cut_answer_is_said_to_be_cut() -> None:
    result = read("Half of it", "text", finish_reason="length")
    assert (result["text"], result["degraded_reason"]) == ("Half of it", CUT)


def test_text_recognition_is_never_taken_for_a_model() -> None:
    lines = [{"text": "Hi", "box": [[0, 0]] * 4, "score": 1.0, "image": 0}]
    result = read("Hi\n\n(Text recognition ...)", ocr=True, text="Hi", lines=lines)
    assert (result["method"], result["text"], result["lines"]) == ("ocr", "Hi", lines)
    assert (result["description"], result["degraded_reason"]) == ("", ONLY_OCR)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_nearest_to_its_own_value(name: str) -> None:
    assert nearest_name(NAMES[name]) == name


def test_colours_are_counted_by_area_and_specks_left_out() -> None:
    picture = Image.new("RGB", (100, 100), (250, 230, 30))
    picture.paste((220, 30, 30), (0, 0, 100, 30))
    picture.paste((30, 70, 220), (0, 0, 10, 10))
    picture.putpixel((99, 99), (0, 0, 0))
    assert [(one["name"], one["hex"]) for one in dominant_colours(picture)] == [
        ("yellow", "#fae61e"),
        ("red", "#dc1e1e"),
    ]
    assert dominant_colours(picture)[1]["share"] == 0.29


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_colours_of_odd_shapes(size: tuple[int, int]) -> None:
    assert [one["name"] for one in dominant_colours(Image.new("RGB", size, "white"))] == ["white"]


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def key(store: ImageStore, **changes: Any) -> str | None:
    parts: dict[str, Any] = {"sha256": "1", "prompt": "p", "sensitivity": "internal"}
    return store.key(**{**parts, "max_output_tokens": None, "chain": ["a model"], **changes})


def test_a_result_is_kept_in_a_file_of_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "r.db"
    store = ImageStore(path, clock=Clock())
    name = key(store)
    assert name is not None
    assert store.get(name) is None
    assert not path.exists(), "looking something up makes no file"
    store.put(name, {"text": "Größe"}, degraded=False)
    assert ImageStore(path, clock=Clock()).get(name) == {"text": "Größe"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_many_threads_and_instances_share_one_file(tmp_path: Path) -> None:
    def work(number: int) -> None:
        store = ImageStore(tmp_path / "r.db", clock=Clock())
        for count in range(5):
            name = f"{number}-{count}"
            store.put(name, {"n": name}, degraded=False)
            assert store.get(name) == {"n": name}

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(16)))
    assert [path.name for path in tmp_path.iterdir()] == ["r.db"]
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection:
        assert connection.execute("SELECT count(*) FROM results").fetchone() == (80,)


def test_a_result_never_crosses_what_decides_it(tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "r.db", clock=Clock())
    others = [
        key(store, sha256="2"),
        key(store, prompt="q"),
        key(store, sensitivity="public"),
        key(store, max_output_tokens=5),
        key(store, chain=["another model"]),
    ]
    assert len({key(store), *others}) == 6


@pytest.mark.parametrize("sensitivity", sorted(LOCAL_ONLY))
def test_sensitive_results_have_no_name_to_be_kept_under(tmp_path: Path, sensitivity: str) -> None:
    assert key(ImageStore(tmp_path / "r.db"), sensitivity=sensitivity) is None


def test_a_degraded_result_is_good_for_an_hour(tmp_path: Path) -> None:
    clock = Clock()
    store = ImageStore(tmp_path / "r.db", clock=clock)
    name, whole = key(store) or "", key(store, sha256="2") or ""
    store.put(name, {"text": "ocr"}, degraded=True)
    store.put(whole, {"text": "all"}, degraded=False)
    clock.now += timedelta(seconds=DEGRADED_S - 1)
    assert store.get(name) == {"text": "ocr"}
    clock.now += timedelta(seconds=1)
    assert store.get(name) is None
    assert store.get(whole) == {"text": "all"}


def test_a_broken_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "r.db").write_bytes(b"not a database, but long enough to be looked at" * 20)
    with pytest.raises(StoreError, match=r"r\.db: .*delete the file"):
        ImageStore(tmp_path / "r.db").get("k")


def test_the_file_is_beside_the_ledger() -> None:
    config = RouterConfig.load_vision(environ={})
    assert create_image_store(config).path == data_folder() / "image_results.db"


@pytest.mark.parametrize("kind", ["description", "text", "table", "chart"])
def test_every_prompt_is_there_in_both_languages(kind: str) -> None:
    wording = prompts(f"image_{kind}")
    assert set(wording) == set(LANGUAGES)
    for template in wording.values():
        text = template.substitute()
        assert len(text) > 200
        assert ('"colours"' in text) == (kind in {"description", "chart"})


def test_base64_of_a_part_is_its_file() -> None:
    stream = io.BytesIO(base64.b64decode(image_part(drawn())["base64"]))
    assert Image.open(stream).size == (320, 120)
