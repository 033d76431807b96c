"""The service's settings: environment variables with the prefix HUBEL_, overridden by options.

docker-compose.yml passes the keys of the shell on with the prefix HUBEL_SHELL_; they have the
lowest priority, so that those of hubel.env count first. The command line reads the settings and
passes them to `app.main`. No module below `app.main` imports this one.
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    DirectoryPath,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from app import setting_values
from app.captures.rule import CaptureRule

MIB = 1024 * 1024
PREFIX = "HUBEL_"
SHELL_PREFIX = "HUBEL_SHELL_"

ModelsLocation = Annotated[Path | str, BeforeValidator(setting_values.models)]
"""A folder of model bundles, or their address on S3."""


class Settings(BaseSettings):
    """The service's settings, frozen. docs/settings.md is made from the descriptions."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

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
    tls_cert: Path | None = Field(
        None,
        description="File with the certificate for HTTPS and those that it is issued by, as PEM. "
        "It is read again when it is renewed. Unset: HTTP.",
    )
    tls_key: Path | None = Field(
        None, description="File with the key of the certificate, as PEM, without a password."
    )
    cors_origins: str | None = Field(
        None,
        description="Origins whose pages may use the service in a browser, such as "
        "`https://shop.example`, separated by commas; `*`: all. Unset: none.",
    )
    trusted_proxies: str | None = Field(
        None,
        description="Addresses or networks of proxies, separated by commas, whose "
        "`X-Forwarded-For` and `X-Forwarded-Proto` tell the client; `*`: all. Unset: none.",
    )
    root_path: str | None = Field(
        None,
        description="Path below which a proxy serves the service, such as `/hubel`, whether the "
        "proxy removes it or not. Unset: none.",
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
    index: DirectoryPath | None = Field(
        None,
        description="Index of photos, made with `hubel index`, or a folder of indexes, in which "
        "similar photos are searched. Needs the extra `index`. Unset: none.",
    )
    data_dir: DirectoryPath | None = Field(
        None,
        description="Folder for photos that are kept for labelling, for datasets, for training "
        "jobs, and for choices of versions if the models folder is read-only. One service may use "
        "it at a time. Unset: no photo is stored.",
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
        description="Whether kept photos and those of datasets keep their metadata, such as the "
        "place where they were taken. By default only orientation and colour profile stay.",
    )
    dataset_max_bytes: Annotated[int, Field(gt=0)] = Field(
        10_240 * MIB, description="Maximum size of all datasets together, in bytes."
    )
    dataset_max_photos: Annotated[int, Field(gt=0)] = Field(
        100_000, description="Maximum number of photos in all datasets together."
    )
    upload_max_bytes: Annotated[int, Field(gt=0)] = Field(
        2048 * MIB, description="Maximum size of a zip with photos, or of a model, in bytes."
    )
    upload_keep_s: Annotated[float, Field(gt=0)] = Field(
        86_400.0,
        description="Time after which an ONNX file is removed that waits for an import, "
        "in seconds.",
    )
    zip_max_files: Annotated[int, Field(gt=0)] = Field(
        20_000, description="Maximum number of files in a zip."
    )
    zip_max_bytes: Annotated[int, Field(gt=0)] = Field(
        4096 * MIB, description="Maximum size of all files of a zip unpacked, in bytes."
    )
    zip_max_ratio: Annotated[float, Field(ge=1)] = Field(
        20.0,
        description="Maximum size of all files of a zip unpacked, as a multiple of its own size.",
    )
    upload_timeout_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        600.0,
        description="Time limit for photos of a dataset and for models to arrive, in seconds. "
        "After it, or without data for `HUBEL_BODY_TIMEOUT_S`: 408.",
    )
    feedback_bytes: Annotated[int, Field(ge=0)] = Field(
        32 * MIB,
        description="Maximum size of the last photos in memory, in bytes, about which feedback may "
        "come, and at most an eighth of the memory for requests. Only with `HUBEL_DATA_DIR`.",
    )
    job_memory_bytes: Annotated[int, Field(ge=512 * MIB)] = Field(
        2048 * MIB,
        description="Maximum memory of a training job, in bytes, and at most three quarters of the "
        "memory for requests, which have less while it runs. Only with `HUBEL_DATA_DIR`.",
    )
    job_promote: Literal["if_not_worse", "offer"] = Field(
        "if_not_worse",
        description="What becomes of a version that a job has trained. `if_not_worse`: it serves "
        "unless the comparison with the serving one says that it is worse. `offer`: it is held "
        "back until somebody promotes it.",
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
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError(
                "HUBEL_TLS_CERT and HUBEL_TLS_KEY belong together: set both, or neither"
            )
        _ = self.api_key_value, self.admin_key_value  # report broken key files at once
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where settings come from, the highest priority first."""
        of_the_shell = EnvSettingsSource(settings_cls, env_prefix=SHELL_PREFIX)
        return init_settings, env_settings, of_the_shell

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, text: str | None) -> str | None:
        return text and setting_values.root_path(text)

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, text: str | None) -> str | None:
        setting_values.origins(text or "")
        return text

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, text: str | None) -> str | None:
        setting_values.proxies(text or "")
        return text

    @cached_property
    def cors_origin_list(self) -> list[str]:
        """The origins whose pages may use the service."""
        return setting_values.origins(self.cors_origins or "")

    @cached_property
    def trusted_proxy_list(self) -> list[str]:
        """The proxies that tell the client."""
        return setting_values.proxies(self.trusted_proxies or "")

    @cached_property
    def api_key_value(self) -> str | None:
        """The API key, from the variable or the file.

        Raises:
            ValueError: its file can't be read or is empty.
        """
        return setting_values.secret(self.api_key, self.api_key_file)

    @cached_property
    def admin_key_value(self) -> str | None:
        """The admin key, from the variable or the file.

        Raises:
            ValueError: its file can't be read or is empty.
        """
        return setting_values.secret(self.admin_key, self.admin_key_file)
