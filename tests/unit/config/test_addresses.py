"""Which addresses are private is read from the address alone."""

from __future__ import annotations

import pytest

from aegis_graph.config.addresses import is_private_address

PRIVATE = (
    "http://localhost:11434",
    "http://LOCALHOST./v1",
    "http://app.localhost",
    "http://127.0.0.1:8000/v1",
    "http://127.1:8000",
    "http://0x7f000001",
    "http://2130706433",
    "http://0.0.0.0:11434",
    "http://[::1]:11434",
    "http://[::ffff:10.0.0.5]",
    "http://[fd00::5]",
    "http://[fe80::1%25eth0]",
    "http://10.1.2.3",
    "http://172.16.0.9",
    "http://192.168.1.20:1234/v1",
    "http://169.254.3.4",
    "http://100.64.0.7",
    "http://ollama:11434",
    "http://gpu_box",
    "http://host.docker.internal:11434",
    "http://gpu.lan",
    "http://nas.local",
    "http://vllm.ai.svc.cluster.local",
    "http://vllm.ai.svc",
    "http://user:password@gpu.internal/v1",
)
PUBLIC = (
    "https://api.openai.com/v1",
    "https://API.OPENAI.COM./v1",
    "https://ollama.com",
    "http://8.8.8.8",
    "http://134744072",
    "http://0x08080808",
    "http://8.8.2056",
    "http://[2001:4860:4860::8888]",
    "http://[::ffff:8.8.8.8]",
    "http://[64:ff9b::808:808]",
    "http://224.0.0.1",
    "http://172.32.0.1",
    "http://localhost@api.openai.com",
    "http://localhost:1@8.8.8.8/v1",
    "http://localhost.example.com",
    "http://local.com",
    "http://api\N{IDEOGRAPHIC FULL STOP}openai\N{IDEOGRAPHIC FULL STOP}com",
    "http://api%2Eopenai%2Ecom",
    "http://api.openai.com\\@localhost",
    "http://",
    "http://[::1",
)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_known(address: str) -> None:
    assert is_private_address(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_any_other_address_is_public(address: str) -> None:
    assert not is_private_address(address)
