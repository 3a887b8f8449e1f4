import re
import signal
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from resprout import __version__
from resprout.cli.main import OneLineErrors, app
from resprout.errors import DataError

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")


def app_that_raises(error):
    broken = typer.Typer(cls=OneLineErrors, pretty_exceptions_enable=False)

    @broken.command("fail")
    def fail():
        raise error

    @broken.callback()
    def group():
        pass

    return broken


def test_help_lists_every_command(resprout):
    shown = resprout("--help")
    assert shown.exit_code == 0
    for command in ("demo", "train", "evaluate", "recommend", "methods", "doctor", "data"):
        assert re.search(rf"\b{command}\b", shown.output)


def test_version(resprout):
    assert resprout("--version").output == f"resprout {__version__}\n"


def test_help_imports_neither_torch_nor_numba_nor_numpy():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from resprout.cli.main import app\n"
        "assert CliRunner().invoke(app, ['train', '--help']).exit_code == 0\n"
        "print(sorted({'torch', 'numba', 'pyarrow', 'numpy'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_help_loads_no_library():
    code = (
        "import sys; from resprout.cli.main import app; app(['--help'], standalone_mode=False); "
        "print(sorted({'torch', 'numba', 'numpy', 'pyarrow', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "recommend" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_importing_resprout_loads_no_library():
    code = "import sys, resprout; print(sorted({'torch', 'numba', 'numpy', 'pyarrow', 'pydantic'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_an_error_of_the_caller_is_one_line_and_exit_code_2():
    result = CliRunner().invoke(app_that_raises(DataError("x.csv, line 3: bad; one of:\n  csv\n  lists")), ["fail"])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "resprout: error: x.csv, line 3: bad; one of:; csv; lists\n"


def test_an_unexpected_error_keeps_its_traceback():
    error = ZeroDivisionError("division by zero")
    result = CliRunner().invoke(app_that_raises(error), ["fail"])
    assert result.exception is error


def test_ctrl_c_exits_with_130_and_the_hint():
    result = CliRunner().invoke(app_that_raises(KeyboardInterrupt("go on with: x")), ["fail"])
    assert result.exit_code == 130
    assert result.stderr == "resprout: interrupted; go on with: x\n"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["train", "--nonsense"], ["train", "--epochs", "three"], ["recommend"]]
)
def test_wrong_usage_is_exit_code_2(arguments):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)


def test_ctrl_c_in_training_says_how_to_go_on(books_csv, tmp_path, wait_for_lines):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "resprout.cli.main", "train", "--data", books_csv, "--out", run]
    command += ["--epochs", "100000", "--set", "training.patience=0", "--set", "backbone.width=8"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for_lines(run / "metrics.jsonl", 1, process)
            second = CliRunner().invoke(app, ["train", "--resume", str(run)])
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert second.exit_code == 2
    assert f"run {run} is being trained by another process: wait for it, or stop it" in second.stderr
    assert process.returncode == 130
    assert errors.splitlines()[-1] == f"resprout: interrupted; go on with: resprout train --resume {run}"
    assert "Traceback" not in errors
    assert not CONTROL.search(errors)
