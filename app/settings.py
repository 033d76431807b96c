"""The service's settings: environment variables with the prefix HUBEL_, overridden by options.

The command line reads them and passes them to `app.main`. No module below `app.main` imports this
one.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, DirectoryPath, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.captures.rule import CaptureRule

MIB = 1024 * 1024
_PREFIX = "HUBEL_"
_S3_ADDRESS = re.compile(r"s3://[^/\s]+(/\S*)?")
_NOT_OF_THE_SERVICE = re.compile(r"PHOTOS|TEST_PHOTOS|SERVICE_(HOST|PORT).*|PORT_\d+_.*")
"""Other variables that begin with the prefix: of docker-compose.yml, of the tests, and those that
Kubernetes sets for a Service named `hubel`."""


def _check_models(value: object) -> Path | str:
    """Return a folder, or an address on S3.

    Raises:
        ValueError: it is neither.
    """
    text = str(value)
    if text.startswith("s3:"):
        if not _S3_ADDRESS.fullmatch(text):
            raise ValueError("an address on S3 looks like s3://bucket/models")
        return text
    if not Path(text).is_dir():
        raise ValueError("Path does not point to a directory")
    return Path(text)


ModelsLocation = Annotated[Path | str, BeforeValidator(_check_models)]
"""A folder of model bundles, or their address on S3."""


class Settings(BaseSettings):
    """The service's settings, frozen. docs/settings.md is made from the descriptions."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8000, description="Port to listen on. 0: any free port."
    )
    models: ModelsLocation | None = Field(
        None,
        description="Folder of model bundles, or their address on S3, such as "
        "`s3://bucket/models`, in addition to the built-in `imagenet`. Unset: only the built-in "
        "one.",
    )
    models_cache: Path = Field(
        Path("~/.cache/hubel/models"),
        description="Folder for the copies of bundles, if `HUBEL_MODELS` is an address on S3.",
    )
    default_model: str | None = Field(
        None,
        description="Model for requests that name none. Unset: the only one in the models folder; "
        "`imagenet` if there is none; with several, such requests get 400.",
    )
    watch: bool = Field(
        False,
        description="Whether new bundles in the models folder are loaded without a request, a few "
        "seconds after they are complete.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="Device that runs the models. Without CUDA, `cuda` fails at start and `auto` "
        "uses the CPU.",
    )
    api_key: SecretStr | None = Field(
        None,
        description="API key for all requests except probes, metrics, docs and the page. "
        "Unset: no authentication.",
    )
    api_key_file: Path | None = Field(None, description="File with the API key.")
    admin_key: SecretStr | None = Field(
        None,
        description="Admin key, for reloading and unloading models. "
        "Unset: no access to these requests.",
    )
    admin_key_file: Path | None = Field(None, description="File with the admin key.")
    keys_file: Path | None = Field(
        None,
        description="File of named keys, made with `hubel keys add`. A change takes effect within "
        "about a second. With it, all requests need a key except probes, metrics, docs and the "
        "page. Unset: no named keys.",
    )
    max_image_bytes: Annotated[int, Field(gt=0)] = Field(
        20 * MIB, description="Maximum size of one image, in bytes."
    )
    max_body_bytes: Annotated[int, Field(gt=0)] = Field(
        64 * MIB, description="Maximum size of a request body (several images), in bytes."
    )
    max_pixels: Annotated[int, Field(gt=0)] = Field(
        50_000_000, description="Maximum number of pixels of an image, according to its header."
    )
    max_side: Annotated[int, Field(gt=0)] = Field(
        65_535, description="Maximum width and height of an image, in pixels, by its header."
    )
    max_files: Annotated[int, Field(gt=0)] = Field(
        64, description="Maximum number of files in one request."
    )
    max_buffered_bytes: Annotated[int, Field(gt=0)] = Field(
        256 * MIB,
        description="Maximum size of all request bodies in memory, in bytes, and at most half of "
        "the memory for requests, which the limits of the process or container leave. Above it: "
        "429.",
    )
    body_timeout_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        30.0,
        description="Time limit for a request body to arrive, in seconds, at most "
        "`HUBEL_DEADLINE_S`. After it: 408.",
    )
    queue_wait_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        1.0,
        description="Time that a request may be expected to wait in the queue, in seconds. "
        "Above it: 429. A longer time absorbs larger bursts; under lasting load, accepted requests "
        "wait for about this time.",
    )
    deadline_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        10.0,
        description="Time limit for a response from the first byte of its request, in seconds. "
        "After it: 504.",
    )
    drain_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        5.0, description="Time after SIGTERM in which new requests are still accepted, in seconds."
    )
    data_dir: DirectoryPath | None = Field(
        None,
        description="Folder for photos that are kept for labelling. One service may use it at a "
        "time. Unset: no photo is stored.",
    )
    capture: str = Field(
        "",
        description="Which photos are kept, separated by commas: those with the decisions `unsure` "
        "and `unknown`, and a share of all others, such as `unsure,unknown,sample:0.01`. Needs "
        "`HUBEL_DATA_DIR`. Empty: only those with feedback.",
    )
    capture_max_bytes: Annotated[int, Field(gt=0)] = Field(
        2048 * MIB,
        description="Maximum size of all kept photos, in bytes. The oldest without a label make "
        "room; photos with a label stay.",
    )
    capture_max_photos: Annotated[int, Field(gt=0)] = Field(
        100_000, description="Maximum number of kept photos, likewise."
    )
    capture_max_days: Annotated[float, Field(gt=0, le=36_500)] = Field(
        90.0, description="Time after which a kept photo without a label is removed, in days."
    )
    capture_metadata: bool = Field(
        False,
        description="Whether kept photos keep their metadata, such as the place where they were "
        "taken. By default only orientation and colour profile stay.",
    )
    feedback_bytes: Annotated[int, Field(ge=0)] = Field(
        32 * MIB,
        description="Maximum size of the last photos in memory, in bytes, about which feedback may "
        "come, and at most an eighth of the memory for requests. Only with `HUBEL_DATA_DIR`.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level of messages that are logged."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto",
        description="Format of the log. `json`: one JSON object per line. `text`: readable lines, "
        "coloured on a terminal. `auto`: `text` on a terminal, else `json`.",
    )
    log_predictions: bool = Field(
        False,
        description="Whether the log line of a request has the most probable label of each image "
        "and its probability.",
    )

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        for name in ("api_key", "admin_key"):
            if getattr(self, name) and getattr(self, f"{name}_file"):
                raise ValueError(f"set {name} or {name}_file, not both")
        if self.capture and self.data_dir is None:
            raise ValueError("capture needs data_dir: name a folder in HUBEL_DATA_DIR")
        try:
            CaptureRule.parse(self.capture)
        except ValueError as err:
            raise ValueError(f"capture is {self.capture!r}. {err}") from err
        _ = self.api_key_value, self.admin_key_value  # report broken key files at once
        return self

    @cached_property
    def api_key_value(self) -> str | None:
        """The API key, from the variable or the file.

        Raises:
            ValueError: its file can't be read or is empty.
        """
        return _secret(self.api_key, self.api_key_file)

    @cached_property
    def admin_key_value(self) -> str | None:
        """The admin key, from the variable or the file.

        Raises:
            ValueError: its file can't be read or is empty.
        """
        return _secret(self.admin_key, self.admin_key_file)


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable that looks like a setting and is none.

    Args:
        environment: the values of variables by name.
    """
    known = [name.upper() for name in Settings.model_fields]
    sentences = []
    for variable, value in sorted(environment.items()):
        prefix, name = variable[: len(_PREFIX)].upper(), variable[len(_PREFIX) :].upper()
        if prefix != _PREFIX or not value or name in known or _NOT_OF_THE_SERVICE.fullmatch(name):
            continue
        nearest = get_close_matches(name, known, 1)
        advice = (
            f"Did you mean {_PREFIX}{nearest[0]}?"
            if nearest
            else "docs/settings.md lists them all."
        )
        sentences.append(f"{variable} is not a setting, so it has no effect. {advice}")
    return sentences


def _secret(value: SecretStr | None, file: Path | None) -> str | None:
    if file is None:
        return _ascii(value.get_secret_value()) if value else None
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError as err:
        raise ValueError(f"The key file {file} can't be read ({err.strerror}).") from err
    if not text:
        raise ValueError(f"The key file {file} is empty. Write the key into it.")
    return _ascii(text)


def _ascii(key: str) -> str:
    if not key.isascii():
        raise ValueError(
            "A key must be ASCII: HTTP headers change other characters. Choose another key."
        )
    return key
