"""Job files say what a command line says: every option has its key, and what is wrong is told in one line."""

import inspect
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefold.cli.job_file import Job, commands, keys_of, read_job, write_job
from scorefold.cli.parameters import PATHS
from scorefold.errors import InputError


def written(folder, text):
    path = folder / "job.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("command", commands())
def test_every_option_has_its_key(command):
    """What a command takes, less what only makes sense at a terminal, is what its job files take."""
    keys = {parameter.name for parameter in keys_of(command)}
    assert keys == set(inspect.signature(commands()[command]).parameters) - {"write_job", "as_json"}
    assert len({parameter.key for parameter in keys_of(command)}) == len(keys)


@pytest.mark.parametrize("command", commands())
def test_options_that_name_files_are_known_as_such(command):
    for parameter in keys_of(command):
        words = parameter.help.lower()
        if parameter.type is str and any(
            word in words for word in ("directory", "folder", "file of", "files,")
        ):
            assert parameter.metavar in PATHS, parameter


def values_of(parameter):
    texts = st.text(
        st.characters(codec="utf-8", exclude_characters="\0/", exclude_categories=("Cc", "Cs")), min_size=1
    )
    kinds = {
        bool: st.booleans(),
        int: st.integers(-(10**6), 10**6),
        float: st.floats(allow_nan=False, allow_infinity=False),
        str: texts,
    }
    one = kinds[parameter.type]
    return st.lists(one, min_size=1, max_size=3) if parameter.many else one


@st.composite
def jobs(draw):
    command = draw(st.sampled_from(sorted(commands())))
    values = {}
    for parameter in keys_of(command):
        if parameter.required or draw(st.booleans()):
            values[parameter.name] = draw(values_of(parameter))
    return command, values


@settings(deadline=None)  # the first example imports
@given(jobs())
def test_a_command_line_survives_its_job_file(tmp_path_factory, job):
    """What is written reads back as what was given; only paths become absolute."""
    command, given = job
    path = tmp_path_factory.mktemp("job") / "job.yaml"
    write_job(str(path), command, given)
    read = read_job(str(path))
    assert read.command == command
    for parameter in keys_of(command):
        value, back = given.get(parameter.name), read.values.get(parameter.name, parameter.default)
        if parameter.name not in given:
            assert back == parameter.default
        elif parameter.metavar in PATHS or parameter.metavar == "WORD|FILE":
            one = zip(value, back, strict=True) if parameter.many else [(value, back)]
            for before, after in one:
                assert after == before or Path(after) == Path(before).absolute() or Path(after).is_absolute()
        else:
            assert back == value
    assert Job(command, given).arguments()[: len(command.split())] == command.split()


def test_paths_are_those_of_the_folder_of_the_file(tmp_path, monkeypatch):
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    (tmp_path / "part.png").touch()
    monkeypatch.chdir(tmp_path)
    write_job(
        "jobs/job.yaml",
        "match",
        {
            "targets": ["images/*.png", "s3://bucket/lot/"],
            "template": "part.png",
            "mask": "disk",
            "out": "/runs/found",
        },
    )
    read = yaml.safe_load((jobs / "job.yaml").read_text())
    assert read["targets"] == ["../images/*.png", "s3://bucket/lot/"]
    assert (read["template"], read["mask"], read["out"]) == ("../part.png", "disk", "/runs/found")
    monkeypatch.chdir("/")
    assert read_job(str(jobs / "job.yaml")).values == {
        "targets": [f"{tmp_path}/images/*.png", "s3://bucket/lot/"],
        "template": f"{tmp_path}/part.png",
        "mask": "disk",
        "out": "/runs/found",
    }


def test_a_mask_that_is_a_file_is_a_path(tmp_path):
    (tmp_path / "mask.npy").touch()
    job = read_job(
        written(tmp_path, "{command: match, targets: a.png, template: t.png, out: o, mask: mask.npy}")
    )
    assert job.values["mask"] == f"{tmp_path}/mask.npy"


def test_values_may_be_written_as_they_are_meant(tmp_path):
    text = """
command: match
targets: images/
template: part.png
out: found
mask-radius: [10, 20.5]
angle_range: [0, 180]
threshold: 0.7
step: 3
refine: false
gray: true
workers: null
cluster: slurm
cluster-config: {queue: long, walltime: "02:00:00"}
"""
    arguments = read_job(written(tmp_path, text)).arguments()
    assert arguments[0] == "match"
    assert arguments[-2:] == ["--", f"{tmp_path}/images"]
    assert {"--mask-radius=10,20.5", "--angle-range=0,180", "--threshold=0.7", "--step=3.0"} <= set(arguments)
    assert {"--no-refine", "--gray", "--cluster=slurm"} <= set(arguments)
    (config,) = (text for text in arguments if text.startswith("--cluster-config="))
    assert json.loads(config.partition("=")[2]) == {"queue": "long", "walltime": "02:00:00"}


GOOD = "command: match\ntargets: a.png\ntemplate: t.png\nout: found\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("targets: a.png\n", "names no command. Begin with command: match, "),
        ("[1, 2]", "names no command"),
        ("command: mach\n", "command 'mach' is unknown"),
        ("command: [match]\n", "is unknown"),
        ("command: {a: b\n", "it is not YAML"),
        ("\x00", "it is not YAML"),
        (GOOD + "stepp: 3\n", "stepp: unknown key. Did you mean step?"),
        (GOOD + "write-job: other.yaml\n", "write-job: unknown key."),
        (GOOD + "step: three\n", "step: 'three': should be a valid number."),
        (GOOD + "top: 1.5\n", "top: '1.5': should be a valid integer"),
        (GOOD + "gray: maybe\n", "gray: 'maybe': should be a valid boolean."),
        (GOOD + "mask: true\n", "mask: 'True': should be a valid string."),
        (GOOD + "step: x\ntop: y\n", "(1 more problems)"),
        ("command: match\ntargets: a.png\nout: found\n", "template: missing. Image or volume to search for"),
        (GOOD.replace("found", "s3://key:secret@bucket/run"), "it holds credentials"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, text, said):
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_job(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_job(str(tmp_path / "nowhere.yaml"))


def test_a_job_file_is_not_overwritten(tmp_path):
    path = written(tmp_path, "mine")
    with pytest.raises(InputError, match="File exists"):
        write_job(path, "resume", {"run": "found"})
    assert Path(path).read_text() == "mine"
