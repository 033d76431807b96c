"""A service on a read-only file system, or a full disk, serves and changes its models."""

import json
import os
import shutil

import httpx
import pytest

from app.runtime.host import available_cores
from tests.hardening.disks import fill, read_only_command, small_disk

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ADMIN = {"Authorization": "Bearer secret"}


class Service:
    """A server of a models folder, as its administrator and its client see it."""

    def __init__(self, start, models, *under, **environment):
        self.server = start(
            *under,
            HUBEL_MODELS=str(models),
            HUBEL_ADMIN_KEY="secret",
            HUBEL_DRAIN_S="0",
            **environment,
        )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.server.port}", timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.server.terminate()
        assert self.server.wait() == 0

    def version(self, photo):
        """Return the version that classifies a photo, and check its label."""
        fields = self.client.post("/api/v1/classify?model=bees", content=photo("red")).json()
        assert fields["predictions"][0]["label"] == "red"
        return fields["version"]

    def change(self, request):
        return self.client.post(f"/api/v1/models/{request}", headers=ADMIN)

    def warnings(self):
        lines = [line for line in self.server.log() if line["level"] == "warning"]
        return " ".join(str(line["message"]) for line in lines)


@pytest.fixture
def add(make_bundle, tmp_path):
    """Make a version of the model `bees` in its own folder."""
    return lambda models, version: make_bundle(
        name="bees", version=version, folder=models / f"bees/{version}"
    )


@pytest.fixture
def models(tmp_path, add):
    for version in (1, 2):
        add(tmp_path / "models", version)
    return tmp_path / "models"


def test_a_service_on_a_read_only_file_system_serves_and_changes_its_models(
    start, models, add, photo
):
    pins = {"schema_version": 1, "models": {"bees": {"serving": 1}}}
    (models / "pins.json").write_text(json.dumps(pins))
    under = read_only_command(models) or ()
    if not under and os.geteuid() == 0:
        pytest.skip("root ignores the modes of folders, and this process may not mount any")
    if not under:
        models.chmod(0o555)  # the temporary folder stays writable
    try:
        with Service(start, models, *under) as service:
            assert service.client.get("/readyz").status_code == 200
            assert service.version(photo) == 1  # as the pin file says
            explained = service.client.post("/api/v1/explain?model=imagenet", content=photo("red"))
            assert explained.status_code == 200
            if under and available_cores() > 1:
                assert "takes twice the memory" in service.warnings()
            warning = service.change("bees/reload").json()["warning"]
            assert warning.startswith("This choice ends with the process: ")
            assert service.version(photo) == 2
            assert service.change("bees/reload?mode=rollback").status_code == 200
            assert service.version(photo) == 1
            add(models, 3)  # `models/bees` is writable: for others than the service
            assert service.change("bees/reload").status_code == 200
            assert service.version(photo) == 3
    finally:
        models.chmod(0o755)
    assert json.loads((models / "pins.json").read_text()) == pins
    assert sorted(os.listdir(models)) == ["bees", "pins.json"]


def test_a_promotion_on_a_full_disk_is_refused_or_works_and_leaves_the_pin_file_whole(
    start, models, add, imagenet, photo, tmp_path
):
    disk = tmp_path / "disk"
    disk.mkdir()
    whole = add(tmp_path / "elsewhere", 3).folder
    with small_disk(disk, 32 << 20) as is_mounted:
        if not is_mounted:
            pytest.skip("this process may not mount a disk")
        (disk / "temporary").mkdir()
        shutil.copytree(models, disk / "models")
        with Service(start, disk / "models", TMPDIR=str(disk / "temporary")) as service:
            assert service.change("bees/reload?version=2").json()["warning"] is None
            pins = (disk / "models/pins.json").read_bytes()
            fill(disk / "filling")
            # The choice is in force, though it can't be written.
            warning = service.change("bees/reload?mode=rollback").json()["warning"]
            assert "No space left on device" in warning
            assert service.version(photo) == 1
            assert (disk / "models/pins.json").read_bytes() == pins
            # A bundle that is cut short by the full disk is refused, and the model serves on.
            with pytest.raises(shutil.Error):
                shutil.copytree(whole, disk / "models/bees/3")
            refused = service.change("bees/reload")
            assert (refused.status_code, service.version(photo)) == (409, 1)
            # The built-in model's weights need the temporary folder, which is full.
            assert service.change("imagenet/reload").status_code == 200
            if available_cores() > 1:
                assert "takes twice the memory" in service.warnings()
            (disk / "filling").unlink()
            shutil.copytree(whole, disk / "models/bees/3", dirs_exist_ok=True)
            assert service.change("bees/reload").json()["warning"] is None
            assert service.version(photo) == 3
            assert os.listdir(disk / "temporary") == []
        assert sorted(os.listdir(disk / "models")) == ["bees", "pins.json"]
