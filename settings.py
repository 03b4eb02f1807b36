"""The settings of every process: `TRIPOINT_*` in the environment. `tripoint doctor` explains them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import SetupError

MEBIBYTE = 1024 * 1024
ROOMS = ("collector", "api", "web")
"""What `tripoint serve` can serve."""

LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    BeforeValidator(lambda given: given.lower() if isinstance(given, str) else given),
]


class Settings(BaseSettings):
    """Each field is the variable `TRIPOINT_` + its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="TRIPOINT_", env_ignore_empty=True, extra="ignore")

    data: Path = Field(Path(".tripoint"), description="folder for the embedded database, broker and logs")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(4318, ge=1, le=65535, description="port of OTLP/HTTP, the API and the pages")
    grpc_port: int = Field(4317, ge=0, le=65535, description="port of OTLP/gRPC; 0 turns it off")
    database_url: str | None = Field(
        None, description="PostgreSQL 15 or newer (postgresql://…); without it an embedded one is started"
    )
    owner_database_url: str | None = Field(
        None,
        description="login that owns the tables, for migrations; default: the one of TRIPOINT_DATABASE_URL",
    )
    broker_url: str | None = Field(
        None,
        description="Redis, Valkey or RabbitMQ (redis://…, amqp://…); without it an embedded one is started",
    )
    body_max_bytes: int = Field(
        64 * MEBIBYTE,
        ge=1024,
        le=1024 * MEBIBYTE,
        description="largest OTLP body, before and after decompression",
    )
    queue_max_bytes: int = Field(
        128 * MEBIBYTE,
        ge=1024,
        le=65_536 * MEBIBYTE,
        description="bodies in work at one time; more are answered 503 with Retry-After",
    )
    past_days: int = Field(
        1500, ge=1, le=3900, description="spans that started longer ago are rejected as a wrong clock"
    )
    future_hours: int = Field(
        24, ge=0, le=720, description="spans that start later are rejected as a wrong clock"
    )
    quiet_seconds: float = Field(
        5,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description="a trace is settled when nothing came for this long",
    )
    settle_after_seconds: float = Field(
        300,
        ge=1,
        le=604_800,
        allow_inf_nan=False,
        description="a busy trace is settled after this long at the latest",
    )
    store_content: bool = Field(
        True, description="keep prompts and answers (compressed, apart from the numbers)"
    )
    judge_urls: str = Field(
        "",
        description="addresses, separated by commas, that judges may be asked at; any where empty",
    )
    secure_cookies: bool = Field(
        False, description="serve pages for https only: cookies Secure, Strict-Transport-Security"
    )
    trusted_proxies: str = Field(
        "",
        description="addresses or networks, separated by commas, of proxies whose X-Forwarded-For and"
        " X-Forwarded-Proto are believed; nobody's by default",
    )
    public_url: str | None = Field(
        None, description="where people reach the pages, for links in messages about alerts (https://…)"
    )
    private_webhooks: bool = Field(
        False, description="let webhooks of alerts lead to loopback, private and link-local addresses"
    )
    smtp_host: str | None = Field(None, description="server that takes e-mails about alerts")
    smtp_port: int = Field(587, ge=1, le=65535, description="its port")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="how the connection to it is encrypted: starttls, tls or none"
    )
    smtp_user: str | None = Field(None, description="name to sign in to it with")
    smtp_password: SecretStr | None = Field(None, description="password to sign in to it with")
    smtp_from: str | None = Field(None, description="address that e-mails are from")
    log_level: LogLevel = Field("info", description="debug, info, warning or error")

    def base_url(self) -> str:
        """Where this server answers, as a person on this machine writes it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{host_and_port(host, self.port)}"

    def owner_url(self) -> str | None:
        """The login for migrations, projects and keys; None where nobody named a database."""
        return self.owner_database_url or self.database_url

    def needed(self, name: Literal["database_url", "broker_url"]) -> str:
        """A setting that a process cannot do without; a SetupError says what to do where it is not set."""
        value: str | None = getattr(self, name)
        if value is None:
            raise SetupError(
                f"TRIPOINT_{name.upper()} is not set. Set it, or start everything with `tripoint up`."
            )
        return value


def host_and_port(host: str, port: int) -> str:
    """As a URL and gRPC write it, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
