"""Settings, secrets, and where the config file is."""

from __future__ import annotations

import os

from litestream.errors import ConfigNotFoundError, ConfigurationError

__all__ = [
    "check",
    "configure",
    "create",
    "find_config",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Final

    from litestream._check.probe import Step
    from litestream.rows import FindingRow

VARIABLES: Final = {
    "replica_bucket": "LITESTREAM_REPLICA_BUCKET",
    "replica_region": "LITESTREAM_REPLICA_REGION",
    "replica_endpoint": "LITESTREAM_REPLICA_ENDPOINT",
    "replica_key_id": "LITESTREAM_ACCESS_KEY_ID",
    "replica_access_key": "LITESTREAM_SECRET_ACCESS_KEY",
}
SECRET_VARIABLES: Final = (
    "LITESTREAM_ACCESS_KEY_ID",
    "LITESTREAM_SECRET_ACCESS_KEY",
    "LITESTREAM_AZURE_ACCOUNT_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
_PLACES: Final = ("litestream.yml", os.path.join("config", "litestream.yml"), "/etc/litestream.yml")
_KEEP: Final = "\0"
_BY_NAME: Final = "$"
"""Before the name of a variable, in the settings."""
_OPEN: Final = (
    *("ACCOUNT", "BUCKET", "CREDENTIALS", "ENDPOINT", "HOST", "NAME", "PATH", "REGION", "USER"),
)
"""How the name of a variable ends that holds no secret."""
_MASK: Final = "***"


class Text(str):
    """The text of a config, whose `repr` a traceback with locals may show: it holds secrets."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<the text of a config>"


class Content(dict):  # type: ignore[type-arg]  # dict[str, Any]() costs more at import
    """A mapping of a config, or an environment: secrets, which its `repr` does not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<a mapping of {len(self)} keys>"


_settings: dict[str, str | None] = Content()


def configure(
    *,
    replica_bucket: str | None = _KEEP,
    replica_region: str | None = _KEEP,
    replica_endpoint: str | None = _KEEP,
    replica_key_id: str | None = _KEEP,
    replica_access_key: str | None = _KEEP,
    config_path: str | os.PathLike[str] | None = _KEEP,
    variables: Mapping[str, str | None] | None = None,
) -> None:
    """Set the credentials that the config refers to, and where the config is.

    What is given replaces what was set before; what is not given stays; None forgets it. The
    values reach Litestream only, as environment variables of each process that this library
    starts; ``os.environ`` is never written, and a variable that is already set there wins.

    ==================== ================================
    setting              environment variable
    ==================== ================================
    replica_bucket       ``LITESTREAM_REPLICA_BUCKET``
    replica_region       ``LITESTREAM_REPLICA_REGION``
    replica_endpoint     ``LITESTREAM_REPLICA_ENDPOINT``
    replica_key_id       ``LITESTREAM_ACCESS_KEY_ID``
    replica_access_key   ``LITESTREAM_SECRET_ACCESS_KEY``
    ==================== ================================

    ``variables`` are others by their names: those that the config refers to, such as
    ``SFTP_PASSWORD`` or ``NATS_TOKEN``, or that Litestream reads by itself, such as
    ``LITESTREAM_AZURE_ACCOUNT_KEY``, ``GOOGLE_APPLICATION_CREDENTIALS`` or ``AWS_SESSION_TOKEN``.
    Each that is named replaces what was set for it, and None forgets it. Their values count as
    secrets, unless the name says otherwise (``…_BUCKET``, ``…_HOST``, ``…_PATH``).

    Raises:
        TypeError: an unknown setting, or a value that is no text.
        ConfigurationError: a name that is none of a variable.

    """
    _set_variables(variables or {})
    given: dict[str, object] = {
        "replica_bucket": replica_bucket,
        "replica_region": replica_region,
        "replica_endpoint": replica_endpoint,
        "replica_key_id": replica_key_id,
        "replica_access_key": replica_access_key,
        "config_path": os.fspath(config_path) if config_path is not None else None,
    }
    changed = {name: value for name, value in given.items() if value != _KEEP}
    for name, value in changed.items():
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be text or None, not {type(value).__name__}")
        _settings[name] = value


def _set_variables(given: Mapping[str, str | None]) -> None:
    for name, value in given.items():
        if not name.isidentifier() or not name.isascii():
            raise ConfigurationError(f"{name!r} cannot be the name of an environment variable")
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be text or None, not {type(value).__name__}")
    own = {variable: setting for setting, variable in VARIABLES.items()}
    for name, value in given.items():
        _settings[own.get(name, f"{_BY_NAME}{name}")] = value


def variables() -> dict[str, str]:
    """Return the environment variables of settings, from ``os.environ`` where it has them."""
    found = Content()
    names = dict(VARIABLES)
    names |= {key: key.removeprefix(_BY_NAME) for key in _settings if key.startswith(_BY_NAME)}
    for setting, variable in names.items():
        value = os.environ.get(variable, _settings.get(setting))
        if value is not None:
            found[variable] = value
    return found


def is_secret(variable: str) -> bool:
    """Tell whether a variable's value is not to be shown."""
    if variable in SECRET_VARIABLES:
        return True
    if f"{_BY_NAME}{variable}" not in _settings:
        return False
    return variable.rpartition("_")[2] not in _OPEN


def environment() -> dict[str, str]:
    """Return the environment of a child: ours, and the settings that it does not have yet."""
    return Content({**os.environ, **variables()})


def masked(text: str) -> str:
    """Return ``text`` without the secrets that this process knows and without URL passwords.

    A value that stands at a wrong place in a config may be a secret: Litestream's YAML parser shows
    the beginning of it.
    """
    import re

    known = environment()
    for variable in {*SECRET_VARIABLES, *filter(is_secret, variables())}:
        value = known.get(variable, "")
        if len(value) >= 4:  # a shorter one would mask ordinary words
            text = text.replace(value, _MASK)
    text = re.sub(r"(cannot unmarshal !!\w+ `)[^`]*`", rf"\1{_MASK}`", text)
    return re.sub(r"(\w://[^\s/:@]*):[^\s/@]+@", rf"\1:{_MASK}@", text)


def find_config(config: str | os.PathLike[str] | None = None) -> str:
    """Return the absolute path of the config.

    Looked for in: ``config``, ``configure(config_path=…)``, ``LITESTREAM_CONFIG``,
    ``./litestream.yml``, ``./config/litestream.yml``, ``/etc/litestream.yml``. The first three
    name a file, which must exist; of the last three the first that exists is taken. One that is
    found in the working directory must be of this user or of root: it may name programs to run.

    Raises:
        ConfigNotFoundError: there is none; the message lists the places.
        ConfigurationError: the one in the working directory may be a stranger's.

    """
    for origin, path in (
        ("the argument", config),
        ("configure(config_path=…)", _settings.get("config_path")),
        ("LITESTREAM_CONFIG", os.environ.get("LITESTREAM_CONFIG") or None),
    ):
        if path is not None:
            named = os.path.abspath(os.path.expanduser(os.fspath(path)))
            if not os.path.exists(named):
                raise ConfigNotFoundError(
                    f"There is no config {named!r} (named by {origin}). Create it, or name another"
                )
            return named
    for place in _PLACES:
        if os.path.isfile(place):
            if not os.path.isabs(place):
                _refuse_strangers(os.path.abspath(place))
            return os.path.abspath(place)
    places = ", ".join(os.path.abspath(place) for place in _PLACES)
    raise ConfigNotFoundError(
        f"There is no config: none of {places} exists. Create one, or name it by config=, "
        "litestream.configure(config_path=…) or LITESTREAM_CONFIG"
    )


def _refuse_strangers(path: str) -> None:
    found = os.stat(path)
    if found.st_uid in (0, os.geteuid()) and not found.st_mode & 0o002:
        return
    because = (
        "everybody may write to it" if found.st_mode & 0o002 else f"user {found.st_uid} owns it"
    )
    raise ConfigurationError(
        f"The config {path!r} was found in the working directory, and {because}: it could make "
        "this user run any program. If it is yours all the same, name it: config=, --config or "
        "LITESTREAM_CONFIG; else change its owner or mode"
    )


def check(
    config: str | os.PathLike[str] | None = None,
    *,
    series: str | None = None,
    online: bool = False,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    progress: Callable[[Step], object] | None = None,
) -> list[FindingRow]:
    """Return what is wrong with the config, as the executable reads it; nothing is opened but it.

    With ``online=True``, and no error in what is written, it is tried for real: databases are
    opened to read, and an object of our own is written to the replica, listed, read and deleted.
    Each step takes 15 seconds at most; ``progress`` is called with each.

    A row has ``path``, ``line`` and ``column`` (from 1), ``id``, ``level`` (``"error"``: the config
    does not do what it says; ``"warning"``), ``message`` and ``hint``. No row shows a value.
    ``series``, ``"0.3"`` or ``"0.5"``, is by default the executable's own. ``select`` and
    ``ignore`` are ids of findings.

    Raises:
        ConfigNotFoundError: There is no config; the message lists the places.
        ConfigurationError: No finding has that id.

    """
    from litestream._check import keys
    from litestream._check.check import chosen, load
    from litestream._executable.find import find as find_executable
    from litestream._executable.series import version as version_of

    if series is None:
        version = version_of(find_executable())
    elif series in keys.VERSIONS:
        version = keys.VERSIONS[series]
    else:
        raise ConfigurationError(f"There is no series {series!r}: it is '0.3' or '0.5'")
    report, databases = load(find_config(config), version)
    if online and not any(row["level"] == "error" for row in report.rows):
        from litestream._check import probe

        told = progress or (lambda _step: None)
        probe.probe(report, databases, find_executable(), told)
    return chosen(report.sorted(), select, ignore)


def create(
    databases: Iterable[str | os.PathLike[str]] = (),
    *,
    to: str = "s3",
    directory: str | os.PathLike[str] = ".",
    relative: bool = False,
    series: str | None = None,
) -> str:
    """Return the text of a config for databases; nothing is written.

    For those that are given, else for those of the project in ``directory``: Django's
    ``DATABASES``, a SQLite URL in ``DATABASE_URL``, else the SQLite files below it that are not
    tests', caches' or tools'. ``to`` is a kind of replica: ``s3``, ``r2``, ``b2``, ``minio``,
    ``spaces``, ``tigris``, ``hetzner``, ``sftp``, ``abs``, ``gs``, ``webdav``, ``nats`` or
    ``file``. The text holds no secret: it refers to variables, and lists them.

    Raises:
        ConfigurationError: There is no database, or the series has no such replica.

    """
    from litestream._executable.series import series as series_of
    from litestream._setup.create import plan as create_plan
    from litestream._setup.create import text as create_text

    line = series or series_of()
    plan = create_plan(databases, os.fspath(directory), line)
    return create_text(plan, to, line, relative=relative)
