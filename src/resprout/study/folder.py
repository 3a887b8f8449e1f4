"""A study's folder: what is planned, and where each run lies.

It has `study.toml` (a copy of the file), `plan.json` (keys, labels and points of its runs, and what is tried), for each
run `KEY.toml` (its settings), `KEY/` (its folder) and `KEY.log` (what it has said), and `stages/` (what runs have in
common, see `training.shared`); and locks, see `claims`.
"""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

import tomli_w

from resprout.artifact.files import read_json, write_json, write_text, writing
from resprout.errors import RunError
from resprout.study.claims import LOCK, alone
from resprout.study.kept import KeptRuns
from resprout.study.planned import Choice, PlannedRun, Study
from resprout.training.folder import RunFolder


class StudyFolder:
    """The paths of a study's folder."""

    def __init__(self, path: Path, kept: KeptRuns | None = None) -> None:
        """kept: runs that have ended elsewhere."""
        self.path, self._kept = path, kept or KeptRuns()
        self.plan = path / "plan.json"
        self.stages = path / "stages"

    def run(self, key: str) -> RunFolder:
        """The folder of a run."""
        return RunFolder(self.path / key)

    def log(self, key: str) -> Path:
        """What a run has said."""
        return self.path / f"{key}.log"

    def claim(self, study: Study, source: str) -> None:
        """Makes the folder and writes what the study is; RunError if it holds something else than this study."""
        foreign = RunError(f"output folder {self.path} holds other files: name another with --out")
        if self._foreign() and not (self.path / LOCK).exists():
            raise foreign
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with alone(self.path):
            if self._foreign():  # and no other process was about to write the plan
                raise foreign
            write_text(self.path / "study.toml", source)
            write_json(self.plan, {"name": study.name, "tried": list(study.tried), "runs": []})
            self.add(study.runs)
            for choice in study.choices:
                self.add(self.chosen(choice) or ())

    def _foreign(self) -> bool:
        if not self.path.exists() or self.plan.exists():
            return False
        return not self.path.is_dir() or any(entry.name != LOCK for entry in self.path.iterdir())

    def keys(self) -> list[str]:
        """Keys of the runs that are planned."""
        return [run["key"] for run in read_json(self.plan)["runs"]]

    def tried(self) -> list[str]:
        """Keys of the settings that are tried; older studies do not say."""
        return list(read_json(self.plan).get("tried", ()))

    def add(self, runs: Sequence[PlannedRun]) -> None:
        """Plans more runs, unless they are planned already, and takes over those that are kept."""
        with alone(self.path):
            plan, known = read_json(self.plan), set(self.keys())
            new = [{"key": r.key, "label": r.label, "point": dict(r.point)} for r in runs if r.key not in known]
            write_json(self.plan, {**plan, "runs": [*plan["runs"], *new]})
            for run in runs:
                if run.key in self._kept and not self.run(run.key).path.exists():
                    self._taken_over(run.key)

    def chosen(self, choice: Choice, failed: Collection[str] = ()) -> Sequence[PlannedRun] | None:
        """What is made of the trial that is best on validation data; none while one is neither ended nor `failed`.

        The first of those that are equal; nothing if all have failed.
        """
        ended = [trial for trial in choice.trials if self.run(trial.key).result.exists()]
        if not {trial.key for trial in choice.trials} <= {*failed, *(trial.key for trial in ended)}:
            return None
        values = {trial.key: self.validation(trial) for trial in ended}
        return choice.chosen[max(values, key=values.__getitem__)] if values else ()

    def validation(self, run: PlannedRun) -> float:
        """The validation metric that judges an ended run; RunError if it has none."""
        own, monitor = self.run(run.key), run.settings.training.monitor
        values = own.read_result()["validation"]
        if monitor not in values:
            raise RunError(f"{own.path}: it is to be judged by validation data, and has none ({monitor})")
        return float(values[monitor])

    def ended(self, key: str) -> bool:
        """Whether a run has ended here; or beside this study or elsewhere, from where it is then taken over."""
        own = self.run(key)
        if own.path.exists():
            return own.result.exists()
        with alone(self.path):
            return own.result.exists() or self._taken_over(key)

    def _taken_over(self, key: str) -> bool:
        beside = (RunFolder(other) for other in sorted(self.path.parent.glob(f"*/{key}")))
        other = next(
            (one for one in beside if one.result.exists() and StudyFolder(one.path.parent).plan.exists()), None
        )
        if other is None and key not in self._kept:
            return False
        copy = self.path / f"{key}.copy"  # its name while it is not whole
        shutil.rmtree(copy, ignore_errors=True)
        if other is not None:
            shutil.copytree(other.path, copy)
        else:
            self._kept.restore(key, copy)
        copy.rename(self.path / key)
        write_text(self.log(key), f"taken over from {other.path if other else 'kept runs, without its model'}\n")
        return True

    def ended_runs(self) -> dict[str, RunFolder]:
        """The planned runs that have ended here, by key."""
        return {key: run for key in self.keys() if (run := self.run(key)).result.exists()}

    def train_arguments(self, run: PlannedRun) -> list[str]:
        """Arguments of `resprout` that begin a run or go on with it; what is left of a false start is removed."""
        own = self.run(run.key)
        if own.path.exists() and not own.settings_file.exists():
            shutil.rmtree(own.path)  # killed before it had written what it is
        arguments = ["train", "--share", str(self.stages)]
        if own.settings_file.exists():
            return [*arguments, "--resume", str(own.path)]
        settings = self.path / f"{run.key}.toml"
        write_text(settings, tomli_w.dumps(run.settings.sections))
        return [*arguments, "--config", str(settings), "--no-recipe", "--out", str(own.path)]

    def last_words(self, run: PlannedRun) -> str:
        """The last line that a run has said; empty if none."""
        try:
            lines = self.log(run.key).read_text("utf-8", errors="replace").strip().splitlines()
        except FileNotFoundError:
            return ""
        return lines[-1].strip() if lines else ""
