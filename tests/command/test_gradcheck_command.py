"""`crosscheck gradcheck`: exit statuses, also where the function ends its process or hangs."""

import subprocess
import sys

import pytest

SOURCE = """
import os, sys, time
import numpy as np

def f(x):
    return (x * x).sum()

def right(x):
    return 2 * x

def wrong(x):
    return 3 * x

def exits(x):
    sys.exit(0)

def dies(x):
    os._exit(0)

def hangs(x):
    while True:
        time.sleep(1)

def nothing(x):
    return None

def make():
    return (np.array([1.0, 2.0, 3.0]),)

def make_and_exit():
    sys.exit(0)
"""


def gradcheck(tmp_path, *words):
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    command = [sys.executable, "-m", "crosscheck", "gradcheck"]
    given = [word.replace("mine:", f"{path}:") for word in words]
    return subprocess.run([*command, *given], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["mine:f", "--gradient", "mine:right"], 0, "No defect"),
        (["mine:f", "--gradient", "mine:wrong"], 1, "1.5 times"),
        (["mine:f", "--gradient", "mine:nothing"], 2, "returned 0 arrays"),
        (["mine:nothing", "--gradient", "mine:right"], 2, "returned NoneType"),
        (["mine:f", "--gradient", "mine:exits"], 3, "SystemExit"),
        (["mine:f", "--gradient", "mine:dies"], 3, "ended with status 0"),
        (["mine:hangs", "--gradient", "mine:right", "--timeout", "8"], 3, "within 8 s"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_the_exit_status_says_what_became_of_it(tmp_path, words, status, said):
    done = gradcheck(tmp_path, *words, "--args", "mine:make")
    assert done.returncode == status, done.stdout + done.stderr
    assert said in done.stdout + done.stderr


def test_arguments_that_end_the_process_are_no_success(tmp_path):
    done = gradcheck(tmp_path, "mine:f", "--gradient", "mine:right", "--args", "mine:make_and_exit")
    assert done.returncode == 3, done.stdout + done.stderr
