"""`hubel serve` and `hubel health` with a certificate."""

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.e2e

CERTIFICATES = Path(__file__).parents[1] / "server" / "certificates"
TLS = {
    "HUBEL_TLS_CERT": str(CERTIFICATES / "one.pem"),
    "HUBEL_TLS_KEY": str(CERTIFICATES / "one.key"),
}


def test_https_is_served_logged_and_healthy(start, photo):
    server = start(**TLS)
    url = f"https://127.0.0.1:{server.port}"
    trusting = ssl.create_default_context(cafile=TLS["HUBEL_TLS_CERT"])
    with httpx.Client(base_url=url, verify=trusting, timeout=60) as client:
        response = client.post("/api/v1/classify", content=photo("red"))
        assert response.status_code == 200
        assert response.headers["strict-transport-security"] == "max-age=31536000"
        too_large = client.post("/api/v1/classify", content=bytes(21 * 1024 * 1024))
        assert (too_large.status_code, too_large.json()["code"]) == (413, "too_many_bytes")
    messages = [str(line["message"]) for line in server.log()]
    assert (
        sum(
            message.startswith(("Hubel starts at https:", "Hubel answers at https:"))
            for message in messages
        )
        == 2
    )
    health = subprocess.run(
        [Path(sys.executable).with_name("hubel"), "health"],
        env={**os.environ, **TLS, "HUBEL_PORT": str(server.port)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert json.loads(health.stdout)["status"] == "ready"
    server.terminate()
    assert server.wait() == 0
