"""The command line, in processes of its own."""

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import hpcda
from hpcda import cli
from hpcda.check import check
from hpcda.check_network import check_network
from hpcda.errors import InputError
from hpcda.job import NetworkJob, load_job
from hpcda.job.base import OutputTable
from hpcda.job.text import to_toml
from hpcda.template import write_template
from tests import extending
from tests.unit.synthetic_run import make_layout, write_run
from tests.waiting import PATIENCE

WAY = """
from hpcda.search.way import Way

WAY = Way("as-a-template-has-it", "nothing", lambda context, rng: rng.random(context.problem.size))
"""
ROOT = Path(__file__).parents[3]
LAUNCHERS = cli.RANK_VARIABLES
HEAVY = (
    "mpi4py", "petsc4py", "xarray", "pandas", "dask", "distributed", "matplotlib", "h5py", "scipy.optimize",
    "scipy.integrate",
)  # fmt: skip


def hpcda_command(*arguments, cwd, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in LAUNCHERS}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **variables}
    return subprocess.run(
        [sys.executable, "-m", "hpcda", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def alone(monkeypatch):
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)


def loaded(code, cwd, names=None):
    """The heavy packages, or those of `names`, that a piece of Python loads."""
    names = names or HEAVY
    script = (
        f"{code}\nimport sys\nprint([name for name in {names!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return done.stderr.splitlines()[-1]


def test_importing_loads_nothing_heavy(tmp_path):
    code = "import hpcda; hpcda.load_job, hpcda.Model, hpcda.State, hpcda.Parameter, hpcda.InputError"
    assert loaded(code, tmp_path) == "[]"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["models"], ["models", "nakl"], ["status", "x"]]
)
def test_commands_that_load_nothing_heavy(tmp_path, arguments):
    code = f"from hpcda.cli import main\ntry: main({arguments!r})\nexcept SystemExit: pass"
    assert loaded(code, tmp_path) == "[]"


def test_what_an_analysis_does_not_load(tmp_path):
    """Packages whose import takes longer than a small analysis, and which it can do without."""
    write_run(tmp_path / "run", make_layout())
    slow = (
        "xarray",
        "pandas",
        "dask",
        "distributed",
        "scipy.integrate",
        "scipy.optimize",
        "scipy.stats",
        "mpi4py",
    )
    code = f'from hpcda.cli import main\nassert main(["analyze", {str(tmp_path / "run")!r}]) == 0'
    assert loaded(code, tmp_path, slow) == "[]"


def test_run_is_a_function_whatever_was_imported_first(tmp_path):
    loaded("import hpcda.runner\nimport hpcda\nassert callable(hpcda.run)", tmp_path)
    loaded("from hpcda import run\nassert run.__module__ == 'hpcda.face.stored'", tmp_path)


def test_unknown_attributes():
    with pytest.raises(AttributeError):
        hpcda.nothing  # noqa: B018
    assert {"run", "load_job", "open_run", "Model", "__version__"} <= {*dir(hpcda)}


def test_help_teaches(tmp_path):
    text = hpcda_command("--help", cwd=tmp_path).stdout
    commands = ("run", "resume", "status", "analyze", "check", "submit", "models", "init", "twin")
    for word in ("hpcda init", "mpirun", "exit codes", *commands):
        assert word in text
    for command in commands:
        assert "example" in hpcda_command(command, "--help", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["rnu"],
        ["run"],
        ["run", "no.toml"],
        ["status", "no"],
        ["models", "lorenz36"],
        ["check", "no.toml"],
        ["twin", "no.toml"],
        ["check", "x", "--", "-a"],
        ["analyze", "no", "--workers", "many"],
        ["run", "--outptu", "x", "no.toml"],
    ],
)
def test_mistakes_end_with_code_two_and_one_message(tmp_path, arguments, alone, capsys):
    assert cli.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("hpcda: an error in the input\n\n")
    assert "Traceback" not in shown.err


def test_all_mistakes_stand_in_one_message(tmp_path, alone, capsys):
    (tmp_path / "job.toml").write_text("[modl]\n[ladder]\nalpha = 0.5\nrungs = 3\n")
    assert cli.main(["check", str(tmp_path / "job.toml")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("hpcda: 4 errors in the input\n")
    for part in (
        "modl: is not a key",
        "did you mean 'model'?",
        "ladder.alpha: 0.5 is not above 1",
        "data: is missing",
    ):
        assert part in error


def test_only_rank_zero_speaks(tmp_path):
    for variable in LAUNCHERS:
        first = hpcda_command("run", "no.toml", cwd=tmp_path, **{variable: "0"})
        assert first.returncode == 2
        assert "there is no such file" in first.stderr
    begin = time.monotonic()
    other = hpcda_command("check", "no.toml", cwd=tmp_path, OMPI_COMM_WORLD_RANK="3")
    assert (other.returncode, other.stdout, other.stderr) == (2, "", "")
    assert time.monotonic() - begin > cli.PATIENCE
    helped = hpcda_command("--help", cwd=tmp_path, PMI_RANK="1")
    assert (helped.returncode, helped.stdout, helped.stderr) == (0, "", "")


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="there is no mpirun")
def test_under_mpirun_one_message_and_code_two(tmp_path):
    (tmp_path / "job.toml").write_text("[ladder]\nalpha = 0.5\nrungs = 3\n")
    environment = {name: value for name, value in os.environ.items() if name not in LAUNCHERS}
    environment |= {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PYTHONPATH": str(ROOT),
    }
    environment |= {
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    done = subprocess.run(
        ["mpirun", "-n", "3", sys.executable, "-m", "hpcda", "run", "job.toml"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("0.5 is not above 1") == 1
    assert "Traceback" not in done.stderr


def test_the_written_job_is_accepted_and_checked(tmp_path):
    done = hpcda_command("init", "first", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "Wrote first/job.toml. Next: hpcda check first/job.toml\n")
    done = hpcda_command("check", "first/job.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    words = (
        "steps        3, chosen by a pilot",
        "derivatives  right",
        "estimate",
        "27 rungs",
        "errors: x0 ",
        "(auto)",
    )
    for word in words:
        assert word in done.stdout
    assert not (tmp_path / "first" / "run").exists()
    again = hpcda_command("init", "first", cwd=tmp_path)
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_what_is_commented_out_in_the_template_is_accepted(tmp_path):
    """Every key of the template is one of the schema's, with a value that is accepted."""
    lines = write_template(str(tmp_path / "job.toml")).read_text().splitlines()
    text = []
    for line in lines:
        bare = line.removeprefix("# ")
        if (
            line.startswith("#")
            and (bare.startswith("[") or " = " in bare.split("#")[0][:25])
            and "Instead" not in bare
        ):
            text.append(bare)
        elif not line.startswith("#"):
            text.append(line)
    tables = tomllib.loads("\n".join(text))
    tables["model"]["states"]["x0"].pop("start")
    tables["model"]["parameters"]["F"].pop("start")
    for unwanted in ("data", "twin"):
        one = {key: value for key, value in tables.items() if key != unwanted}
        (tmp_path / "mine.py").write_text(WAY)
        with extending.forgotten():
            load_job({"folder": str(tmp_path), **one})
    with pytest.raises(InputError):
        load_job(tables)


def test_init_writes_a_file_where_the_name_ends_in_toml(tmp_path, monkeypatch, alone, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "neuron.toml"]) == 0
    assert (tmp_path / "neuron.toml").exists()
    (tmp_path / "file").write_text("")
    assert cli.main(["init", "file/x"]) == 2


def test_check_refuses_a_directory_with_a_run(tmp_path, monkeypatch, alone, capsys):
    monkeypatch.chdir(tmp_path)
    cli.main(["init", "a"])
    (tmp_path / "a" / "run").mkdir()
    (tmp_path / "a" / "run" / "run.h5").write_text("")
    assert cli.main(["check", "a/job.toml"]) == 2
    assert "output.directory" in capsys.readouterr().err


def test_check_tells_of_an_action_that_is_not_finite(tmp_path, monkeypatch, alone, capsys):
    (tmp_path / "m.py").write_text(
        "import numpy as np\nfrom hpcda import Model, Parameter, State\n"
        "def build():\n    return Model('m', (State('x', range=(-2, -1)), State('y', range=(1, 2))), (),\n"
        "                 lambda x, p: [np.log(x.x), x.y])\n"
    )
    (tmp_path / "job.toml").write_text(
        '[model]\nname = "m.py:build"\n[twin]\ndt = 0.1\nsamples = 5\nobserved = ["y"]\nnoise_std = 0.1\n'
        "initial = { x = 5.0, y = 1.0 }\n[ladder]\nrungs = 3\n"
    )
    assert cli.main(["check", str(tmp_path / "job.toml")]) == 2
    assert "not finite" in capsys.readouterr().err


def test_twin_writes_data_and_truth(tmp_path, monkeypatch, alone, capsys):
    monkeypatch.chdir(tmp_path)
    cli.main(["init", "a"])
    assert cli.main(["twin", "a/job.toml"]) == 0
    assert "[data]" in capsys.readouterr().out
    assert {file.name for file in (tmp_path / "a").iterdir()} == {"job.toml", "job-data.csv", "job-truth.csv"}
    assert cli.main(["twin", "a/job.toml"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert cli.main(["twin", "a/job.toml", "--output", "b"]) == 0
    assert (tmp_path / "b" / "job-data.csv").exists()


def test_models(alone, capsys):
    assert cli.main(["models"]) == 0
    listed = capsys.readouterr().out
    assert "lorenz96" in listed
    assert cli.main(["models", "lorenz96"]) == 0
    shown = capsys.readouterr().out
    for word in ("dimension = 20", "F", "default 8.17", "Lorenz", "x0"):
        assert word in shown


def test_the_run_gets_its_options(tmp_path, monkeypatch, alone, capsys):
    seen = {}

    def run(job, petsc_options, **others):
        seen.update(others, job=job, petsc=petsc_options)
        return Path("there")

    module = ModuleType("hpcda.runner")
    module.run = run
    monkeypatch.setitem(sys.modules, "hpcda.runner", module)
    write_template(str(tmp_path / "job.toml"))
    job = str(tmp_path / "job.toml")
    assert cli.main(["run", job, "--output", "there", "--", "-tao_gatol", "1e-9"]) == 0
    assert seen["petsc"] == ["-tao_gatol", "1e-9"]
    assert (seen["output"], seen["quiet"]) == (Path("there"), False)
    assert (seen["resume"], seen["time_limit"], seen["part"]) == (False, None, None)
    assert "hpcda analyze there" in capsys.readouterr().out
    assert cli.main(["run", job, "--resume", "--time-limit", "1:00:00", "--part", "2/4"]) == 0
    assert (seen["resume"], seen["time_limit"], seen["part"]) == (True, "1:00:00", "2/4")
    assert "Other parts are still running" in capsys.readouterr().out
    assert cli.main(["run", job, "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_the_reader_of_the_output_may_leave(tmp_path):
    command = f"{sys.executable} -m hpcda models nakl | head -n 0; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


NOT_IN_IT = "{}, but neither the equations of decay nor the measured quantities contain it."
UNUSED = """
from hpcda import Model, Parameter, State, Stimulus

def build():
    return Model(
        name="decay",
        states=(State("v", range=(0.0, 2.0)),),
        parameters=(Parameter("rate", 1.0), Parameter("gain", 2.0)),
        stimuli=(Stimulus("I"),),
        equations=lambda x, p, u: [-p.rate * x.v],
    )
"""


@pytest.mark.parametrize(
    ("estimated", "notes"),
    [
        ({}, ["No parameter is estimated: only the states are unknown."]),
        (
            {"gain": {"estimate": True, "start": [0.0, 4.0]}},
            [NOT_IN_IT.format("Parameter gain is estimated")],
        ),
    ],
)
def test_what_the_equations_do_not_contain_is_a_note(tmp_path, alone, capsys, estimated, notes):
    """Nor are the derivatives of a quadratic action wrong, whose remainders are rounding alone."""
    (tmp_path / "decay.py").write_text(UNUSED)
    tables = {
        "model": {"name": "decay.py:build", "parameters": estimated},
        "twin": {
            "dt": 0.1,
            "samples": 31,
            "observed": ["v"],
            "noise_std": 0.1,
            "stimulus": {"I": {"kind": "constant", "value": 1.0}},
        },
        "ladder": {"rf0": 1e-2, "alpha": 8.0, "rungs": 3},
        "ensemble": {"starts": 1, "way": "uniform"},
    }
    (tmp_path / "job.toml").write_text(to_toml(tables))
    notes = [
        *notes,
        NOT_IN_IT.format("Stimulus I is given"),
    ]
    assert cli.main(["check", str(tmp_path / "job.toml")]) == 0
    checked = capsys.readouterr().out
    assert "WRONG" not in checked and "1 uniform start," in checked and "1 state at 31 times" in checked
    assert cli.main(["run", str(tmp_path / "job.toml"), "--output", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().err
    for note in notes:
        assert checked.count(note) == 1 and said.count(f"note: {note}") == 1


@pytest.mark.parametrize(
    ("ensemble", "line"),
    [
        ("", "a search until its lowest level is consistent and stable, at most 100 starts, seed 1"),
        ('budget = "starts"\nstarts = 50', "a search of 50 starts, seed 1"),
        (
            'budget = "core-seconds"\ncore_seconds = 90\nseed = 4',
            "a search until 90 core-seconds are over, at most 100 starts, seed 4",
        ),
        (
            "core_seconds = 5",
            "a search until its lowest level is consistent and stable or 5 core-seconds are over, "
            "at most 100 starts, seed 1",
        ),
        ('way = "noise"', "100 noise starts, seed 1"),
    ],
)
def test_check_says_what_is_run(tmp_path, alone, capsys, ensemble, line):
    (tmp_path / "job.toml").write_text(
        '[model]\nname = "lorenz63"\n[twin]\ndt = 0.01\nsamples = 21\nobserved = ["x"]\nnoise_std = 1.0\n'
        f"[ladder]\nrungs = 10\n[ensemble]\n{ensemble}\n"
    )
    assert cli.main(["check", str(tmp_path / "job.toml")]) == 0
    told = capsys.readouterr().out
    assert f"ensemble     {line}\n" in told
    most = "at most " if "search" in line else ""
    assert re.search(rf"estimate +[^,]+ a start, {most}[^,]+ of one core in all", told)


UNLIKE = """
from hpcda import Model, State

def build():
    states = State("X", range=(0, 8)), State("Y", range=(0, 3e-9), initial=2e-9)
    return Model(name="m", states=states, parameters=(), equations=lambda x, p: [1e9 * x.Y, -0.3 * x.Y])
"""


def test_check_recommends_weights_where_states_are_unlike(tmp_path, monkeypatch, alone, capsys):
    (tmp_path / "mine.py").write_text(UNLIKE)
    text = 'twin = { dt = 0.1, samples = 11, observed = ["X"], noise_std = 0.1 }\n'
    text += 'model = { name = "mine.py:build" }\nladder = { rf_max = 1e7 }\n'
    weights = {"equal": "", "auto": '"auto"', "given": "{ Y = 1e18 }"}
    told = {}
    monkeypatch.chdir(tmp_path)
    for name, value in weights.items():
        table = f"action = {{ model_error_weight = {value} }}\n" if value else ""
        (tmp_path / f"{name}.toml").write_text(text + table)
        assert cli.main(["check", f"{name}.toml"]) == 0
        told[name] = capsys.readouterr().out
    assert "note         Y moves by about 8.7e-10 beside X, by" in told["equal"]
    assert 'Write action.model_error_weight = "auto".' in told["equal"] and "weights " not in told["equal"]
    for name in ("auto", "given"):
        assert "Y moves" not in told[name] and "weights      of the model errors: X " in told[name]
    assert told["auto"].count("(auto)") == 1 and "Y 1e+18" in told["given"]


JOBS = sorted((ROOT / "jobs").glob("*/*.toml"))


@pytest.mark.parametrize("path", JOBS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_experiment_passes_its_check(path, tmp_path):
    job = load_job(path)
    job = job.model_copy(update={"output": OutputTable(directory=str(tmp_path / "run"))})
    if isinstance(job, NetworkJob):
        assert check_network(job).ok
        return
    checked = check(job)
    assert checked.ok
    assert checked.cost.factorization > 0


def test_a_check_takes_the_directory_that_the_run_would(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "first"]) == 0
    (tmp_path / "first" / "run" / "shards").mkdir(parents=True)
    (tmp_path / "first" / "run" / "shards" / "rank-0000.h5").write_bytes(b"")
    assert cli.main(["check", "first/job.toml"]) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert cli.main(["check", "first/job.toml", "--output", "again"]) == 0
    assert f"output       {tmp_path / 'again'}\n" in capsys.readouterr().out
    assert not (tmp_path / "again").exists()
