"""Settings: a flag, else the environment, else config.toml, else a default; and every wrong value named."""

import tomllib
from pathlib import Path

import pytest

from daemon.settings import (
    BASE_DIR,
    DTYPES,
    ERAS,
    FORMATS,
    MODEL_SETTINGS,
    SOURCES,
    TABLE,
    Settings,
    default_config_file,
    environment_of,
    load_settings,
    read_flags,
)
from daemon.version import PACKAGE_VERSION, PROTOCOL_VERSION
from nanochat import common, eras
from nanochat.checkpoints import base_dir, layouts
from nanochat.traces import formats
from protocol import methods
from protocol.errors import RpcError
from tests.daemon.running import private_environment

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config_file(tmp_path):
    return tmp_path / "config" / "config.toml"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_without_a_word_everything_is_a_default(config_file):
    settings, origins = load_settings(environment={}, config_file=config_file)
    assert set(origins.values()) == {"default"}
    assert set(origins) == set(vars(settings)) == set(TABLE)
    assert settings.traces_dir.name == "traces"
    assert settings.source is None
    assert settings.idle_timeout == 1800
    assert settings.queue_limit == 64
    assert settings.format == "json"
    assert not settings.tcp


def test_a_flag_beats_the_environment_and_that_the_file(config_file):
    write(config_file, "step = 1\nmodel_tag = 'file'\ndevice = 'cpu'\nera = 'A'\n")
    environment = {"NANOSCOPE_STEP": "2", "NANOSCOPE_MODEL_TAG": "environment", "NANOSCOPE_ERA": ""}
    settings, origins = load_settings({"step": "3", "dtype": None}, environment, config_file)
    assert (settings.step, settings.model_tag, settings.device, settings.era) == (3, "environment", "cpu", "A")
    assert origins["step"] == "flag"
    assert origins["model_tag"] == "environment NANOSCOPE_MODEL_TAG"
    assert origins["device"] == origins["era"] == str(config_file)
    assert origins["dtype"] == "default"


def test_the_config_file_is_the_platforms(monkeypatch):
    with private_environment() as (folder, environment):
        monkeypatch.setenv("XDG_CONFIG_HOME", environment["XDG_CONFIG_HOME"])
        assert default_config_file() == folder / "xdg_config_home" / "nanoscope" / "config.toml"


def test_relative_paths_are_taken_from_where_they_are_written(config_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    write(config_file, "traces_dir = 'here'\nlog_file = '~/log'\n")
    settings, _ = load_settings({"runtime_dir": "run", "source": "models/mine"}, {}, config_file)
    assert settings.traces_dir == config_file.parent / "here"
    assert settings.log_file == Path("/home/somebody/log")
    assert settings.runtime_dir == tmp_path / "run"
    assert settings.source == str(tmp_path / "models" / "mine")
    for source in SOURCES:
        assert load_settings({"source": source}, {}, config_file)[0].source == source


GOOD = [
    ("idle_timeout", "0", 0.0),
    ("idle_timeout", "2.5", 2.5),
    ("queue_limit", "1", 1),
    ("step", "0", 0),
    ("tcp", "TRUE", True),
    ("tcp", "off", False),
    ("polling", "1", True),
    ("device", "cuda:1", "cuda:1"),
    ("format", "safetensors", "safetensors"),
    ("era", "Ap", "Ap"),
    ("window_pattern", "sssl", "SSSL"),
]


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_texts_are_read_as_what_they_mean(config_file, name, text, value):
    settings, _ = load_settings({name: text}, {}, config_file)
    assert getattr(settings, name) == value
    assert type(getattr(settings, name)) is type(value)


def test_a_config_file_may_use_tomls_own_types(config_file):
    write(config_file, "idle_timeout = 60\nqueue_limit = 5\ntcp = true\nstep = 7\n")
    settings, _ = load_settings({}, {}, config_file)
    assert (settings.idle_timeout, settings.queue_limit, settings.tcp, settings.step) == (60.0, 5, True, 7)


BAD = [
    ("idle_timeout", "-1", "0 for never"),
    ("idle_timeout", "nan", "0 for never"),
    ("idle_timeout", "inf", "0 for never"),
    ("idle_timeout", "soon", "0 for never"),
    ("queue_limit", "0", "from 1 on"),
    ("queue_limit", "1.5", "from 1 on"),
    ("step", "-3", "from 0 on"),
    ("step", "9" * 5000, "from 0 on"),
    ("tcp", "maybe", "true or false"),
    ("device", "tpu", "cpu, mps"),
    ("dtype", "int8", "bfloat16"),
    ("format", "xml", "safetensors"),
    ("era", "Z", "Ap"),
    ("window_pattern", "SX", "made of S and L"),
    ("model_tag", "  ", "a text"),
]


@pytest.mark.parametrize(("name", "text", "what_it_must_be"), BAD)
def test_a_wrong_value_is_named_with_its_place_and_what_may_be(config_file, name, text, what_it_must_be):
    variable = TABLE[name].variable
    for given, place in (({name: text}, TABLE[name].flag), ({}, variable)):
        with pytest.raises(RpcError, match=what_it_must_be) as caught:
            load_settings(given, {variable: text}, config_file)
        assert caught.value.name == "SETTING_INVALID"
        assert place in str(caught.value)


@pytest.mark.parametrize("text", ["queue_limit = true", "idle_timeout = false", "model_tag = 3", "device = ['cpu']"])
def test_a_wrong_type_in_the_config_file_is_named(config_file, text):
    write(config_file, text)
    with pytest.raises(RpcError, match=str(config_file)):
        load_settings({}, {}, config_file)


@pytest.mark.parametrize("text", ["trace_dir = '/x'", "[daemon]\nstep = 1", "step = ", "step = 1\nstep = 2", "\x00"])
def test_a_config_file_that_says_something_else_is_refused(config_file, text):
    write(config_file, text)
    with pytest.raises(RpcError, match=str(config_file)) as caught:
        load_settings({}, {}, config_file)
    assert caught.value.name == "SETTING_INVALID"


def test_a_config_file_that_cannot_be_read_is_named(config_file):
    config_file.mkdir(parents=True)
    with pytest.raises(RpcError, match="cannot be read"):
        load_settings({}, {}, config_file)
    config_file.rmdir()
    config_file.write_bytes(b"device = '\xff'")
    with pytest.raises(RpcError, match="not TOML"):
        load_settings({}, {}, config_file)


def test_an_unknown_flag_is_refused(config_file):
    with pytest.raises(RpcError, match="colour"):
        load_settings({"colour": "red"}, {}, config_file)


def test_nanochats_base_folder_is_the_first_that_is_given(config_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    write(config_file, "base_dir = 'beside the file'\n")

    def base_dir_of(flags, environment, file=config_file):
        settings, origins = load_settings(flags, environment, file)
        return str(settings.base_folder()), origins["base_dir"]

    both = {"NANOSCOPE_BASE_DIR": "~/ours", "NANOCHAT_BASE_DIR": "theirs/"}
    assert base_dir_of({"base_dir": "/flag"}, both) == ("/flag", "flag")
    assert base_dir_of({}, both) == ("/home/somebody/ours", "environment NANOSCOPE_BASE_DIR")
    del both["NANOSCOPE_BASE_DIR"]
    assert base_dir_of({}, both) == (str(tmp_path / "theirs"), "environment NANOCHAT_BASE_DIR")
    assert base_dir_of({}, {"NANOCHAT_BASE_DIR": ""}) == (str(config_file.parent / "beside the file"), str(config_file))
    assert base_dir_of({}, {}, tmp_path / "none") == ("/home/somebody/.cache/nanochat", "default")


def test_the_fingerprint_is_of_what_chooses_the_model(config_file):
    def fingerprint(**flags: str) -> str:
        return load_settings(flags, {}, config_file)[0].fingerprint()

    values = {"source": "demo", "model_tag": "x", "step": "1", "era": "A", "device": "cpu", "dtype": "float16"}
    values["window_pattern"] = "SL"
    assert set(values) == set(MODEL_SETTINGS)
    several = [fingerprint(**{name: value}) for name, value in values.items()]
    assert len({*several, fingerprint(**values), fingerprint()}) == len(values) + 2
    assert fingerprint() == fingerprint(queue_limit="3", traces_dir="/x", tcp="yes") == ""
    assert fingerprint(source="demo") == fingerprint(source="demo", queue_limit="3")


def test_a_child_gets_the_same_settings(config_file, tmp_path):
    flags = {"tcp": "yes", "step": "4", "source": "demo", "traces_dir": str(tmp_path), "idle_timeout": "0.5"}
    settings, _ = load_settings(flags, {}, config_file)
    again, origins = load_settings({}, environment_of(settings), config_file)
    assert again == settings
    assert "NANOSCOPE_ERA" not in environment_of(settings)
    assert origins["era"] == "default"


def test_flags_are_read_in_every_way_people_write_them():
    words = ["--source", "demo", "--tcp", "--idle-timeout=5", "--polling", "no", "--model-tag=a=b"]
    assert read_flags(words) == {
        "source": "demo", "tcp": "true", "idle_timeout": "5", "polling": "no", "model_tag": "a=b",
    }  # fmt: skip


@pytest.mark.parametrize("words", [["--step", "1", "--colour"], ["source"], ["--step"], ["--step", "1", "2"]])
def test_other_words_are_refused(words):
    with pytest.raises(RpcError, match=words[-1] if words != ["--step"] else "needs a value"):
        read_flags(words)


def test_the_tables_are_the_librarys_own():
    assert set(SOURCES) == {*layouts.SOURCES, "demo"}
    assert BASE_DIR == base_dir.DEFAULT
    assert tuple(eras.ERAS) == ERAS
    assert set(DTYPES) == set(common.DTYPES)
    assert tuple(formats.FORMATS) == FORMATS
    assert set(TABLE) == set(Settings.__dataclass_fields__)


def test_the_versions_are_the_projects_own():
    with open(ROOT / "pyproject.toml", "rb") as file:
        assert tomllib.load(file)["project"]["version"] == PACKAGE_VERSION
    assert methods.PROTOCOL_VERSION == PROTOCOL_VERSION
