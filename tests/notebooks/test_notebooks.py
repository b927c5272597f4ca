"""Every notebook in analysis/ runs from top to bottom."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "analysis").glob("*.py"))
ALONE = ("03_arrays", "04_back_propagation", "05_network_arrays", "06_depth_is_time")
"""Notebooks that need neither a run nor MPI, PETSc, HDF5, and are executed where these cannot be imported."""

pytestmark = pytest.mark.notebook


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory):
    """A finished run: HPCDA_RUN where it is set, else a short job."""
    known = os.environ.get("HPCDA_RUN")
    if known:
        return Path(known).absolute()
    pytest.importorskip("petsc4py")
    pytest.importorskip("mpi4py")
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("notebook") / "run"
    job = ROOT / "jobs" / "lorenz96" / "short.toml"
    command = [sys.executable, "-m", "hpcda", "run", str(job), "--output", str(folder), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.filterwarnings("default")  # the machinery that runs notebooks has warnings of its own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, request, tmp_path, monkeypatch):
    jupytext = pytest.importorskip("jupytext")
    nbclient = pytest.importorskip("nbclient")
    folders = [ROOT]
    if path.stem in ALONE:
        for name in ("mpi4py", "petsc4py", "h5py"):
            (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is not here')\n")
        folders.insert(0, tmp_path)
    else:
        monkeypatch.setenv("HPCDA_RUN", str(request.getfixturevalue("run_dir")))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    monkeypatch.setenv(
        "PYTHONPATH",
        os.pathsep.join([*map(str, folders), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
    )
    notebook = jupytext.read(path)
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    )
    client.execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    text = "".join(o.get("text", "") for cell in cells for o in cell.outputs)
    pictures = [o for cell in cells for o in cell.outputs if "image/png" in o.get("data", {})]
    assert "Verdict: " in text and len(pictures) >= 3
