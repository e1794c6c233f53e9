import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from aegis_graph import RouterConfig

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PINNED = re.compile(r"^[a-z0-9.-]+==\S+", re.MULTILINE)


def test_the_images_configuration_is_read_and_names_keys_only_by_variable() -> None:
    config = RouterConfig.load(ROOT / "deploy/aegis.toml", environ={})

    assert [row.name for row in config.providers] == ["ollama", "dashscope", "openai"]
    passed = COMPOSE["services"]["server"]["environment"]
    assert {row.api_key_env for row in config.providers if row.api_key_env} <= passed.keys()
    assert "PGPASSWORD" in passed


def test_the_server_listens_where_the_image_and_compose_say() -> None:
    port = re.search(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    assert port is not None
    assert f'"--port", "{port[1]}"' in DOCKERFILE
    assert f"127.0.0.1:{port[1]}/healthz" in DOCKERFILE
    (published,) = COMPOSE["services"]["server"]["ports"]
    assert published.endswith(f":{port[1]}")
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    assert scraped["scrape_configs"][0]["static_configs"] == [{"targets": [f"server:{port[1]}"]}]


def test_nothing_is_published_beyond_this_machine() -> None:
    for service in COMPOSE["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def _mounted() -> list[str]:
    volumes = [v for service in COMPOSE["services"].values() for v in service.get("volumes", [])]
    return [volume.split(":")[0] for volume in volumes if volume.startswith("./")]


@pytest.mark.parametrize("path", _mounted())
def test_what_compose_mounts_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_image_copies_only_what_the_build_may_see() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for name in line.split()[:-1]
    ]
    assert copied
    assert {f"!{name}" for name in copied} == {name for name in ignored if name.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_has_the_versions_that_the_tests_ran_with() -> None:
    tested = set(PINNED.findall((ROOT / "requirements.txt").read_text()))
    shipped = set(PINNED.findall((ROOT / "deploy/requirements.txt").read_text()))

    assert shipped
    assert shipped <= tested


def test_the_images_example_of_variables_names_each_that_compose_reads() -> None:
    read = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "compose.yaml").read_text()))
    secret: Any = COMPOSE["secrets"]["metrics_key"]["environment"]
    given = re.findall(r"^([A-Z_]+)=", (ROOT / "deploy/env.example").read_text(), re.MULTILINE)

    assert {*given} == {name for name in {*read, secret} if not name.endswith("_PORT")}


def test_the_wheel_is_built_by_a_backend_that_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = (ROOT / "deploy/requirements.txt").read_text()

    assert all(f"\n{name}==" in locked for name in project["build-system"]["requires"])
