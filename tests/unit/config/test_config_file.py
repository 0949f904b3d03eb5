"""What a clouddeploy.toml may say, and how it is told what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from clouddeploy import config
from clouddeploy.errors import ConfigError
from clouddeploy.spec import Alarm, Autoscaling, Compute, Schedule

MODEL = '\n[model]\nfile = "model.pt2"\n'
WHOLE = """\
name = "digits"
target = "sagemaker"
compression = "gzip"
keep_releases = 3

[model]
folder = "weights"
handler = "handler.py"
requirements = ["numpy>=2"]

[compute]
instance = "ml.m5.large"

[autoscaling]
min = 1
max = 10
requests_per_minute = 600

[[autoscaling.schedules]]
cron = "0 8 * * 1-5"
min = 4

[[autoscaling.schedules]]
cron = "0 20 * * *"
min = 1

[access]
subnets = ["subnet-1"]
security_groups = ["sg-1"]

[[alarms]]
metric = "latency_ms"
above = 100

[env]
LEVEL = "info"

[tags]
team = "vision"

[targets.sagemaker]
region = "eu-west-1"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "clouddeploy.toml"
    path.write_text(text, "utf-8")
    return path


def refused(folder: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        config.load(written(folder, text))
    return caught.value


def test_a_whole_file_becomes_the_frozen_nouns(tmp_path: Path) -> None:
    found = config.load(written(tmp_path, WHOLE))
    assert (found.name, found.target) == ("digits", "sagemaker")
    assert found.source == config.ModelSource(
        folder="weights", handler="handler.py", requirements=("numpy>=2",)
    )
    assert found.wish["compute"] == Compute(instance="ml.m5.large")
    assert found.wish["autoscaling"] == Autoscaling(
        min=1,
        max=10,
        requests_per_minute=600,
        schedules=(Schedule(cron="0 8 * * 1-5", min=4), Schedule(cron="0 20 * * *", min=1)),
    )
    assert found.wish["alarms"] == (Alarm(metric="latency_ms", above=100),)
    assert found.wish["env"] == {"LEVEL": "info"}
    assert found.options("sagemaker") == {"region": "eu-west-1"}
    assert found.options("elsewhere") == {}


def test_the_folder_can_be_named_instead_of_the_file(tmp_path: Path) -> None:
    written(tmp_path, 'name = "a"' + MODEL)
    assert config.load(tmp_path).name == "a"


def test_the_smallest_file_that_messages_show_is_one(tmp_path: Path) -> None:
    assert config.load(written(tmp_path, config.MINIMAL)).name == "digits"


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    assert config.load(written(tmp_path, '\ufeffname = "a"' + MODEL)).name == "a"


def test_a_missing_file_tells_what_the_smallest_one_holds(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path)
    assert caught.value.what == f"there is no clouddeploy.toml in {tmp_path}"
    assert 'file = "model.pt2"' in caught.value.fix


@pytest.mark.parametrize(
    ("text", "line", "what", "fix"),
    [
        ('nmae = "a"', 1, "unknown key 'nmae'; did you mean 'name'?", "rename"),
        (
            'name = "a"\n[autoscalling]\nmin = 1',
            2,
            "unknown key 'autoscalling'; did you mean 'autoscaling'?",
            "rename",
        ),
        (
            'name = "a"\n\n[autoscaling]\nmin = 1\nmaxx = 3',
            5,
            "unknown key 'autoscaling.maxx'; did you mean 'max'?",
            "rename",
        ),
        ('name = "a"\n[autoscaling]\nmin = "one"', 3, "autoscaling.min is 'one', text", "a whole number"),
        (
            'name = "a"\n[autoscaling]\nmin = true',
            3,
            "autoscaling.min is True, true or false",
            "whole number",
        ),
        (
            'name = "a"\n[autoscaling]\nmin = 5\nmax = 2',
            3,
            "autoscaling.min is 5 and max is 2",
            "set max to 5 or more",
        ),
        ('name = "a"\n[compute]\ntimeout_s = 0', 3, "compute.timeout_s is 0", "in that range"),
        ('name = "a"\n[compute]\narchitecture = "x86-64"', 3, "compute.architecture is 'x86-64'", "x86_64"),
        ('name = "a"\n[env]\nTHREADS = 2', 3, "env.THREADS is 2, a whole number", 'put it in quotes: "2"'),
        ('name = "a"\n[env]\n2X = "a"', 2, "env has the key '2X'", "rename it"),
        (
            'name = "a"\n[[alarms]]\nmetric = "errors_4xx"\nabove = 1\n'
            '[[alarms]]\nmetric = "latncy"\nabove = 1',
            6,
            "alarms[1].metric is 'latncy'",
            "did you mean 'latency_ms'?",
        ),
        (
            'name = "a"\n[[alarms]]\nmetric = "latency_ms"',
            2,
            "alarms[0] lacks the key 'above'",
            "add a line: above = …",
        ),
        (
            'name = "a"\n[[autoscaling.schedules]]\ncron = "8 o\'clock"\nmin = 1',
            3,
            'autoscaling.schedules[0].cron is "8 o\'clock"',
            "0 8 * * 1-5",
        ),
        ('name = "a"\nkeep_releases = 99', 2, "keep_releases is 99", "in that range"),
        ('name = "a"\nautoscaling = { min = "x" }', 2, "autoscaling.min is 'x', text", "whole number"),
        ('name = "a"\nalarms = "all"', 2, "alarms is 'all', text", "a list"),
        (
            'name = "a"\n[access]\nsubnets = "subnet-1"',
            3,
            "access.subnets is 'subnet-1', text",
            '["subnet-1"]',
        ),
        ('name = "Digits"', 1, "name 'Digits' can't be used", "name it 'digits'"),
        ('name = "a"\ncompute = 3', 2, "compute is 3, a whole number", "a table"),
        ('name = "a"\n[targets.sagemaker]\nregion = ["eu"]', 3, "targets.sagemaker.region is ['eu']", ""),
        ('name = "a"\n[tags]\n"aws:x" = "1"', 2, "tags has the reserved key 'aws:x'", "rename or drop it"),
    ],
)
def test_a_mistake_tells_its_file_line_and_mend(
    tmp_path: Path, text: str, line: int, what: str, fix: str
) -> None:
    error = refused(tmp_path, text + MODEL)
    assert error.what == f"{tmp_path / 'clouddeploy.toml'}, line {line}: {what}" or what in error.what
    assert f", line {line}: " in error.what
    assert fix in f"{error.what} {error.why} {error.fix}"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('name = "a"', "the file lacks the key 'model'"),
        ('[model]\nfile = "a"', "the file lacks the key 'name'"),
        ('name = "a"\n[model]', "model.file isn't given"),
        ('name = "a"\n[model]\nfile = "a"\nfolder = "b"', "model.file and folder are both given"),
        ('name = "a"\n[model]\nfolder = "b"', "model.handler isn't given"),
    ],
)
def test_what_lacks_is_named(tmp_path: Path, text: str, what: str) -> None:
    assert what in refused(tmp_path, text).what


def test_broken_toml_tells_line_and_column(tmp_path: Path) -> None:
    error = refused(tmp_path, 'name = "a"\ntarget sagemaker\n')
    assert error.what.endswith("clouddeploy.toml, line 2, column 8: this isn't TOML")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "clouddeploy.toml"
    path.write_bytes(b'name = "\xff\xfe"')
    with pytest.raises(ConfigError, match="isn't UTF-8 text"):
        config.load(path)


def test_a_file_that_the_configuration_names_must_be_there(tmp_path: Path) -> None:
    found = config.load(written(tmp_path, 'name = "a"' + MODEL))
    with pytest.raises(ConfigError) as caught:
        found.model()
    assert "line 3: model.file names 'model.pt2', which isn't a file" in caught.value.what
    assert str(tmp_path / "model.pt2") in caught.value.why


def test_options_of_pip_in_a_requirements_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(b"x")
    (tmp_path / "requirements.txt").write_text("# ours\nnumpy>=2  # arrays\n\n-r other.txt\n")
    found = config.load(written(tmp_path, 'name = "a"' + MODEL + 'requirements = "requirements.txt"\n'))
    with pytest.raises(ConfigError, match=r"line 4: '-r other\.txt' is an option of pip"):
        found.model()


def test_find_tells_whether_a_folder_has_one(tmp_path: Path) -> None:
    assert config.find(tmp_path) is None
    assert config.find(written(tmp_path, "").parent) == tmp_path / "clouddeploy.toml"


HANDLER = """\
import json
from pathlib import Path


def load(model_dir):
    global factor
    factor = json.loads((Path(model_dir) / "factor.json").read_text())


def predict(inputs):
    return inputs * factor
"""


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "factor.json").write_text("2")
    (tmp_path / "handler.py").write_text(HANDLER)
    (tmp_path / "needs.txt").write_text("numpy>=1.26  # arrays\n")
    text = 'name = "a"\n[model]\nfolder = "weights"\nhandler = "handler.py"\nrequirements = "needs.txt"\n'
    deployment = config.load(written(tmp_path, text)).deployment()
    assert [file.name for file in deployment.model.files] == ["factor.json"]
    assert deployment.model.handler == "handler.py"
    assert deployment.model.requirements == ("numpy>=1.26",)
