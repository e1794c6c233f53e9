"""Whether an address is on this machine or in a network of the operator's own.

Decided by the address alone: what a name server answers today says nothing about tomorrow.
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

PRIVATE_SUFFIXES = (
    ".corp",
    ".home",
    ".home.arpa",
    ".internal",
    ".intranet",
    ".lan",
    ".local",
    ".localdomain",
    ".localhost",
    ".private",
    ".svc",
)
"""Ends of names that no public name server knows: RFC 6762 and RFC 8375, ICANN's ``.internal``, and
what routers, companies and Kubernetes use. ``host.docker.internal`` is one."""

_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def host_of(address: str) -> str:
    """The host of an ``http`` address in lower case, without port; empty where none is certain."""
    # Browsers take a backslash for a slash, and what stands behind it for no host.
    if "\\" in address:
        return ""
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_private_address(address: str) -> bool:
    """Whether a call to an address stays on this machine or in a private network.

    Example:
        >>> is_private_address("http://gpu-box:8000/v1"), is_private_address("http://10.0.0.5")
        (True, True)
        >>> is_private_address("https://api.openai.com/v1"), is_private_address("http://8.8.8.8")
        (False, False)
    """
    host = host_of(address)
    literal = _ip_address(host)
    if literal is not None:
        mapped = literal.ipv4_mapped if isinstance(literal, IPv6Address) else None
        known = mapped or literal
        return not known.is_global and not known.is_multicast
    # Clients disagree about other characters: some read a full stop, or another host, in them.
    if not _HOST.fullmatch(host):
        return False
    # A name without a dot is one of a network's own, such as a service of Docker Compose.
    return "." not in host or host.endswith(PRIVATE_SUFFIXES)


def is_loopback(address: str) -> bool:
    """Whether a call to an address stays on this machine."""
    host = host_of(address)
    literal = _ip_address(host)
    return host == "localhost" if literal is None else literal.is_loopback


def webhook_fault(address: str) -> str | None:
    """Why nothing is posted to an address, without repeating it: it may be a secret itself.

    Example:
        >>> webhook_fault("https://hooks.example.com/services/T0/B0")
        >>> webhook_fault("http://hooks.example.com")
        'must begin with https://, or with http:// on this machine'
    """
    scheme = address.partition("://")[0].lower()
    host = host_of(address)
    if not host or any(not character.isprintable() or character == " " for character in address):
        return "must be a complete address without spaces"
    if scheme != "https" and not (scheme == "http" and is_loopback(address)):
        return "must begin with https://, or with http:// on this machine"
    if "@" in urlsplit(address).netloc:
        return "names a user, which is not sent; the path may have the secret"
    return None


def _ip_address(host: str) -> IPv4Address | IPv6Address | None:
    with suppress(ValueError):
        return ip_address(host.partition("%")[0])
    try:
        # Resolvers also take 127.1, 0x7f000001 and 134744072 for addresses.
        return IPv4Address(socket.inet_aton(host)) if re.fullmatch(r"[0-9a-fx.]+", host) else None
    except OSError:
        return None
