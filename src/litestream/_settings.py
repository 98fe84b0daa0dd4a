"""Settings, secrets, and the place of the config file."""

from __future__ import annotations

import os

from litestream.errors import ConfigNotFoundError, ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

VARIABLES: Final = {
    "replica_bucket": "LITESTREAM_REPLICA_BUCKET",
    "replica_region": "LITESTREAM_REPLICA_REGION",
    "replica_endpoint": "LITESTREAM_REPLICA_ENDPOINT",
    "replica_key_id": "LITESTREAM_ACCESS_KEY_ID",
    "replica_access_key": "LITESTREAM_SECRET_ACCESS_KEY",
}
HISTORY: Final = "LITESTREAM_HISTORY"
SECRET_VARIABLES: Final = (
    "LITESTREAM_ACCESS_KEY_ID",
    "LITESTREAM_SECRET_ACCESS_KEY",
    "LITESTREAM_AZURE_ACCOUNT_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LITESTREAM_PING",
)
_PLACES: Final = ("litestream.yml", os.path.join("config", "litestream.yml"), "/etc/litestream.yml")
_BY_NAME: Final = "$"
"""Before the name of a variable, in the settings."""
_OPEN = ("ACCOUNT", "BUCKET", "CREDENTIALS", "ENDPOINT", "HOST", "NAME", "PATH", "REGION", "USER")
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


class _Kept(str):
    """What stands for a setting that is not given: help() shows its `repr`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<as it is>"


_KEEP: Final = _Kept("\0")
_settings: dict[str, Any] = Content()
_called: dict[str, str] = {}


def configure(
    *,
    replica_bucket: str | None = _KEEP,
    replica_region: str | None = _KEEP,
    replica_endpoint: str | None = _KEEP,
    replica_key_id: str | None = _KEEP,
    replica_access_key: str | None = _KEEP,
    variables: Mapping[str, str | None] | None = None,
    config: str | os.PathLike[str] | Mapping[Any, Any] | None = _KEEP,
    history: str | os.PathLike[str] | bool | None = _KEEP,
) -> None:
    """Set the credentials that the config refers to, and the config itself.

    A given value replaces the one before, and None removes it; other settings stay.

    ``config`` is the path of a ``litestream.yml``, or a mapping of each database's path to its
    replica: a URL, several URLs (0.3), or a mapping with the keys of a replica as in the file. A
    mapping is taken as it stands: nothing in it is expanded.

    The other values reach Litestream only, as environment variables of each process that this
    library starts; ``os.environ`` is never written, and a variable that is already set there wins.

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
    A value replaces the earlier value of the same variable; None removes it. The values count as
    secrets, unless the name says otherwise (``…_BUCKET``, ``…_HOST``, ``…_PATH``).

    ``history`` is a directory for the history of proofs, in place of a file beside each database;
    False keeps none. ``LITESTREAM_HISTORY`` (a directory, or ``off``) wins over it.

    Raises:
        TypeError: an unknown setting, or a value of another type.
        ConfigurationError: a name in ``variables`` is not that of a variable.

    """
    _set_variables(variables or {})
    given: dict[str, object] = {
        "replica_bucket": replica_bucket,
        "replica_region": replica_region,
        "replica_endpoint": replica_endpoint,
        "replica_key_id": replica_key_id,
        "replica_access_key": replica_access_key,
        "history": _history(history),
    }
    changed = {name: value for name, value in given.items() if value != _KEEP}
    for name, value in changed.items():
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be text or None, not {type(value).__name__}")
    if config != _KEEP:
        changed["config"] = _config_of(config)
    _settings.update(changed)


def _config_of(config: object) -> str | Mapping[Any, Any] | None:
    """Return a path as text, or a mapping as it is now."""
    if config is None or isinstance(config, str):
        return config
    if isinstance(config, os.PathLike):
        return str(os.fsdecode(config))
    from collections.abc import Mapping

    if isinstance(config, Mapping):
        return Content(config)
    raise TypeError(
        "config must be the path of a litestream.yml, or a mapping of each database's path to its "
        f"replica, not {type(config).__name__}"
    )


def _history(value: str | os.PathLike[str] | bool | None) -> str | None:
    if value is None or value is True:
        return None
    return "off" if value is False else os.fspath(value)


def history_place() -> str:
    """Return the directory for histories, "off" for none, "" for beside each database."""
    return os.environ.get(HISTORY) or _settings.get("history") or ""


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
    """Return the environment of a child: ours, and the settings that it does not have yet.

    Source: Go takes relative paths from ``PWD``, where a shell keeps the link that led to the
    directory; Python takes the directory itself.
    """
    found = Content({**os.environ, **variables()})
    if "PWD" in found:
        try:
            found["PWD"] = os.getcwd()
        except OSError:  # it was removed
            del found["PWD"]
    return found


def masked(text: str) -> str:
    """Return ``text`` without the secrets that this process knows and without URL passwords.

    A value at a wrong place in a config may be a secret: Litestream's YAML parser shows its
    beginning.
    """
    import re

    known = environment()
    for variable in {*SECRET_VARIABLES, *filter(is_secret, variables())}:
        value = known.get(variable, "")
        if len(value) >= 4:  # a shorter one would mask ordinary words
            text = text.replace(value, _MASK)
    text = re.sub(r"(cannot unmarshal !!\w+ `)[^`]*`", rf"\1{_MASK}`", text)
    return re.sub(r"(\w://[^\s/:@]*):[^\s/@]+@", rf"\1:{_MASK}@", text)


def chosen_config(config: object = None) -> str | Mapping[Any, Any]:
    """Return the chosen config: a mapping, or the path of a file as ``find_config`` does.

    Raises:
        ConfigNotFoundError: there is none; the message lists the places.
        ConfigurationError: the value is neither, or the file may be a stranger's.

    """
    try:
        given = _config_of(_settings.get("config") if config is None else config)
    except TypeError as error:
        raise ConfigurationError(str(error)) from None
    if given is not None and not isinstance(given, str):
        return given
    return find_config(given if config is not None else None)


def find_config(config: str | os.PathLike[str] | None = None) -> str:
    """Return the absolute path of the config.

    The places are ``config``, ``configure(config=…)``, ``LITESTREAM_CONFIG``,
    ``./litestream.yml``, ``./config/litestream.yml``, ``/etc/litestream.yml``. The first three
    name a file, which must exist; of the last three the first that exists is taken. A config in the
    working directory must belong to this user or to root: it may name programs to run.

    Raises:
        ConfigNotFoundError: there is none; the message lists the places.
        ConfigurationError: the one in the working directory may be a stranger's, or the config is
            a mapping.

    """
    configured = None if config is not None else _settings.get("config")
    if configured is not None and not isinstance(configured, str):
        raise ConfigurationError(
            "litestream.configure(config=…) was given a mapping, so there is no file. Name one"
        )
    for origin, path in (
        ("the argument", config),
        ("configure(config=…)", configured),
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
        f"There is no config: none of {places} exists. 'litestream init' writes one. "
        "Or name yours: --config, config=, litestream.configure(config=…) or LITESTREAM_CONFIG"
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


def called(path: str) -> str:
    """Return what messages call a config: its path, or the setting for which we wrote the file."""
    return _called.get(path, path)


def settings_called() -> list[str]:
    """Return the settings that messages name in place of a file."""
    return list(_called.values())


def call(path: str, setting: str | None) -> None:
    """Let messages name a setting in place of a file that we wrote for it; no longer with None."""
    if setting is None:
        _called.pop(path, None)
    else:
        _called[path] = setting


configure.__module__ = find_config.__module__ = "litestream.configuration"  # where they are public
