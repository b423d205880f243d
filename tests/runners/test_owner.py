"""What a killed server leaves is removed, and what a living one uses is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from server.runners.owner import is_dead, own_token, private_folder

HOLDS_A_FOLDER = """
import sys
from pathlib import Path
from server.runners.owner import private_folder

with private_folder(Path(sys.argv[1])) as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_killed_owners_folder_is_removed_by_the_next_and_a_living_owners_is_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS_A_FOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        folder = Path(owner.stdout.readline().strip())
        with private_folder(tmp_path):
            assert (folder / "file").exists()
        owner.kill()
    with private_folder(tmp_path) as own:
        assert not folder.exists()
        assert own.stat().st_mode & 0o777 == 0o700
    assert not list(tmp_path.iterdir())


def test_folders_that_only_look_alike_are_left_alone(tmp_path: Path) -> None:
    for name in ("numerai-pickle-mcp-notes", ".venv-1.1-backup-of-mine"):
        (tmp_path / name).mkdir()
    with private_folder(tmp_path):
        pass
    with private_folder(tmp_path, ".venv"):
        pass
    assert len(list(tmp_path.iterdir())) == 2


def test_a_pid_that_was_given_to_another_process_is_a_dead_owner() -> None:
    pid, _, started = own_token().partition(".")
    assert not is_dead(own_token())
    assert is_dead(f"{pid}.{int(started) + 1}")
