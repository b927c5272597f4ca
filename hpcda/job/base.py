"""Fields common to all jobs: folder, extension files, output directory."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, PrivateAttr

from hpcda.extensions import KEY, Extension, load
from hpcda.job.given import Given
from hpcda.job.kinds import FileName, FileNames, Section


class OutputTable(Section):
    """[output]: where the results go and which paths are kept."""

    directory: FileName = Field(default="run", description='the directory of the results, such as "run"')
    keep_paths: str = Field(
        default="final",
        pattern=r"^(final|all|best:[1-9][0-9]{0,8})$",
        description='which paths to store: "final" (the last rung), "all" (every rung), or "best:10"',
    )


class BaseJob(Section):
    """What a job has, whatever it is about."""

    folder: FileName = Field(
        default_factory=lambda: str(Path.cwd()),
        description="the folder in which relative files are looked up; by default that of the job file",
    )
    extensions: FileNames = Field(
        default=(),
        description="Python files that define ways, escapes, discretizations, losses, minimizers, "
        'eliminations, activations or trainings, such as ["my_way.py"]',
    )
    output: OutputTable = Field(default_factory=OutputTable, description="a table [output]")
    _given: Given = PrivateAttr(default_factory=Given)

    @property
    def given(self) -> Given:
        """What the job was given as objects of Python."""
        return self._given

    def with_given(self, given: Given) -> Self:
        """The same job with these objects of Python."""
        job = self.model_copy()
        job._given = given
        return job

    def path(self, name: str) -> Path:
        """The file `name`, looked up in the job's folder where it is relative."""
        return Path(self.folder) / Path(name).expanduser()

    @property
    def chosen(self) -> set[str]:
        """Names of registered objects that the job may use."""
        raise NotImplementedError

    @property
    def extension_files(self) -> tuple[Extension, ...]:
        """The files named under `extensions`, loaded.

        Raises:
            InputError: One has gone, or raises an exception.
        """
        names = (self.path(name).resolve() for name in self.extensions)
        return tuple(load(file, f"{KEY}[{number}]") for number, file in enumerate(names))

    @property
    def output_directory(self) -> Path:
        """Where the results go."""
        return self.path(self.output.directory)

    def with_output(self, directory: Path) -> Self:
        """The same job with its results in another directory, which is taken from the working directory."""
        output = self.output.model_copy(update={"directory": str(directory.absolute())})
        return self.model_copy(update={"output": output})

    def resolved_toml(self) -> str:
        """The job with every default filled in, as TOML; loading it gives an equal job."""
        from hpcda.job.text import to_toml

        tables = self.model_dump(by_alias=True, exclude_none=True, mode="python")
        tables = {key: table for key, table in tables.items() if key not in ("data", "twin") or table}
        output = tables.pop("output")
        return to_toml({**tables, "output": output})
