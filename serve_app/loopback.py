"""Whether an address can be reached from this machine alone."""

import ipaddress

from serve_app.errors import ConfigurationError


def is_loopback(host: str) -> bool:
    """True for addresses and names of the loopback interface; a name that must be looked up is none."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refuse_open_port(host: str, auth_mode: str) -> None:
    """Without credentials only this machine may connect.

    Raises:
        ConfigurationError: others could.
    """
    if auth_mode == "none" and not is_loopback(host):
        raise ConfigurationError(open_port_fault(host))


def open_port_fault(host: str) -> str:
    return (
        f"Plumbline would listen on {host!r} without asking anyone who they are. Listen on 127.0.0.1, or set "
        "PLUMBLINE_AUTH_MODE to api_keys or jwt."
    )
