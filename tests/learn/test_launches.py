"""Each environment that starts processes sets its own variables: simulated, its recipe run."""

import json
import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from onecycle.core.errors import UsageError
from onecycle.learn.processes import require_all

PROGRAM = Path(__file__).with_name("several_launches.py")
PAGE = Path(__file__).parents[2] / "docs/how-to/many_processes.md"
FAKE_SRUN = """#!{python}
import os, subprocess, sys
command = [arg for i, arg in enumerate(sys.argv[1:]) if not arg.startswith("--") or i > 1]
own = [{{"SLURM_PROCID": str(i), "SLURM_LOCALID": "0"}} for i in range(2)]
tasks = [subprocess.Popen(command, env=os.environ | more) for more in own]
sys.exit(max(abs(task.wait()) for task in tasks))
"""


def free_port():
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return str(door.getsockname()[1])


def environment(**more):
    """That of this process, without what a launcher may have set in it."""
    own = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    return own | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"} | more


def both(command, *envs):
    """Run the command once in each environment; the exit codes and what was said."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started = [subprocess.Popen(command, env=env, **options) for env in envs]
    said = [one.communicate(timeout=300)[0] for one in started]
    return [one.returncode for one in started], said


def trained_together(folder):
    first, second = (json.loads((folder / f"launch{i}.json").read_text()) for i in (0, 1))
    assert first["processes"] == second["processes"] == 2
    assert first["weights"] == second["weights"]
    assert (folder / "models/kept.safetensors").is_file()


def recipe(language, holds):
    """The block of the page in a language that holds a word."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return next(block for block in blocks if holds in block)


def executable(path, text):
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_an_exception_in_one_process_ends_the_others(tmp_path):
    """Without a launcher that looks after them: the others find its door closed."""
    port = free_port()
    envs = [
        environment(RANK=str(i), LOCAL_RANK="0", WORLD_SIZE="2", MASTER_PORT=port) for i in (0, 1)
    ]
    codes, said = both([sys.executable, str(PROGRAM), str(tmp_path), "1"], *envs)
    assert codes[1] == 1
    assert "the disk of this machine is gone" in said[1]
    assert codes[0] != 0
    assert "the disk" not in said[0]
    assert not [*tmp_path.glob("launch*")]


@pytest.mark.slow
def test_the_recipe_for_slurm(tmp_path):
    (tmp_path / "train.py").write_text(
        f"import sys; sys.path.insert(0, {str(PROGRAM.parent)!r})\n"
        "from several_launches import train; train('.')\n"
    )
    executable(tmp_path / "srun", FAKE_SRUN.format(python=sys.executable))
    executable(tmp_path / "scontrol", "#!/bin/sh\nprintf '127.0.0.1\\nother\\n'\n")
    executable(tmp_path / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "job.sh").write_text(recipe("bash", "SBATCH"))
    env = environment(SLURM_NTASKS="2", SLURM_JOB_NODELIST="n[1-2]", SLURM_JOB_ID=free_port())
    env["PATH"] = f"{tmp_path}{os.pathsep}{env['PATH']}"
    done = subprocess.run(["bash", "job.sh"], cwd=tmp_path, env=env, timeout=300, check=False)
    assert not done.returncode
    trained_together(tmp_path)


@pytest.mark.slow
def test_the_recipe_for_a_pytorchjob(tmp_path):
    """Two pods with what the operator sets, of which torchrun reads those that begin with PET_."""
    words = re.search(r'command: (\[.*"train.py"\])', recipe("yaml", "PyTorchJob")).group(1)
    assert json.loads(words) == ["torchrun", "train.py"]
    shared = {"PET_NNODES": "2", "PET_NPROC_PER_NODE": "1", "PET_MASTER_PORT": free_port()}
    shared |= {"PET_MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2"}
    envs = [environment(**shared, PET_NODE_RANK=str(i), RANK=str(i)) for i in (0, 1)]
    command = [sys.executable, "-m", "torch.distributed.run", str(PROGRAM), str(tmp_path)]
    codes, said = both(command, *envs)
    assert codes == [0, 0], said
    trained_together(tmp_path)


@pytest.mark.slow
def test_a_group_that_is_there_already_is_joined_as_in_ray_train(tmp_path):
    port = free_port()
    more = {"WORLD_SIZE": "2", "MASTER_PORT": port, "LOCAL_WORLD_SIZE": "2", "GROUP_IS_THERE": "1"}
    envs = [environment(RANK=str(i), LOCAL_RANK=str(i), NODE_RANK="0", **more) for i in (0, 1)]
    codes, said = both([sys.executable, str(PROGRAM), str(tmp_path)], *envs)
    assert codes == [0, 0], said
    trained_together(tmp_path)


@pytest.mark.slow
def test_the_launcher_for_notebooks(tmp_path):
    program = (
        "import sys; from accelerate import notebook_launcher; from several_launches import train\n"
        f"notebook_launcher(train, ({str(tmp_path)!r},), num_processes=2, use_port={free_port()!r})"
    )
    env = environment(PYTHONPATH=os.pathsep.join([str(PROGRAM.parent), *sys.path]))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], env=env, timeout=300, check=False
    )
    assert not done.returncode
    trained_together(tmp_path)
    assert "notebook_launcher(train, num_processes=" in recipe("python", "notebook_launcher")


def test_a_process_that_finds_no_other_says_which_variable_is_missing(monkeypatch):
    for name, value in {"WORLD_SIZE": "4", "RANK": "1", "MASTER_ADDR": "a"}.items():
        monkeypatch.setenv(name, value)
    for name in ("LOCAL_RANK", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match=r"WORLD_SIZE=4 .*: LOCAL_RANK, MASTER_PORT is missing"):
        require_all(1)
    require_all(4)
    monkeypatch.setenv("WORLD_SIZE", "1")
    require_all(1)
