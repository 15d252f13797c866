import os

import pytest

from serve_app.cli.supervisor import StartFailed, claim_port

PORT = 61_017


def test_a_port_is_one_instance_s_alone() -> None:
    held = claim_port(PORT)
    try:
        with pytest.raises(StartFailed, match="port 61017; stop it, or choose another with PLUMBLINE_PORT"):
            claim_port(PORT)
        os.close(claim_port(PORT + 1))
    finally:
        os.close(held)
    os.close(claim_port(PORT))
