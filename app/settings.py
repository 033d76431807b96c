"""What a user can set: environment variables with the prefix HUBEL_, overridden by options.

Read by the command line and handed to `app.main`; nothing below them knows it.
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import DirectoryPath, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024


class Settings(BaseSettings):
    """The service's settings; frozen once read. The descriptions stand in the README's table."""

    model_config = SettingsConfigDict(env_prefix="HUBEL_", frozen=True, env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8000, description="Port; 0 takes any.")
    models: DirectoryPath | None = Field(
        None, description="Folder of model bundles; the built-in `imagenet` is always there."
    )
    default_model: str | None = Field(
        None,
        description="Model that serves when a request names none; "
        "unset: the only one in the models folder, else `imagenet`.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="Where models run. `cuda` fails at start without CUDA; `auto` falls back.",
    )
    api_key: SecretStr | None = Field(
        None,
        description="Key that every request must carry, probes, metrics and docs aside; "
        "unset: none is asked for.",
    )
    api_key_file: Path | None = Field(None, description="File that holds the API key.")
    admin_key: SecretStr | None = Field(
        None, description="Key with the admin scope (reload); unset: nobody has it."
    )
    admin_key_file: Path | None = Field(None, description="File that holds the admin key.")
    max_image_bytes: Annotated[int, Field(gt=0)] = Field(
        20 * MIB, description="Largest single image, in bytes."
    )
    max_body_bytes: Annotated[int, Field(gt=0)] = Field(
        64 * MIB, description="Largest request body (several images), in bytes."
    )
    max_pixels: Annotated[int, Field(gt=0)] = Field(
        50_000_000, description="Largest image, in pixels, told from its header."
    )
    max_files: Annotated[int, Field(gt=0)] = Field(64, description="Most files in one request.")
    max_buffered_bytes: Annotated[int, Field(gt=0)] = Field(
        256 * MIB, description="Most bytes of request bodies held at once; above it, 429."
    )
    body_timeout_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        30.0, description="Seconds in which a request's body must have arrived; else 408."
    )
    deadline_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        10.0, description="Seconds in which an answer must be given; sizes the queue; else 504."
    )
    drain_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        5.0, description="Seconds after SIGTERM in which requests are still answered."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged."
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for name in ("api_key", "admin_key"):
            if getattr(self, name) and getattr(self, f"{name}_file"):
                raise ValueError(f"set {name} or {name}_file, not both")
        _ = self.api_secret, self.admin_secret  # say now what is wrong with their files
        return self

    @cached_property
    def api_secret(self) -> str | None:
        """The API key, from wherever it was given.

        Raises:
            ValueError: its file can't be read, or is empty.
        """
        return _secret(self.api_key, self.api_key_file)

    @cached_property
    def admin_secret(self) -> str | None:
        """The admin key, from wherever it was given.

        Raises:
            ValueError: its file can't be read, or is empty.
        """
        return _secret(self.admin_key, self.admin_key_file)


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
        raise ValueError("A key must be ASCII: others don't arrive in a header as they were sent.")
    return key
