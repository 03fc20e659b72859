"""Trains, and looks at a run in every way, in the process and place that tests/test_hostile_places.py makes for it.

python tests/hostile.py DATA RUN OUTPUT
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
from pathlib import Path

import pytest
from quick import look_coarsely

from disconerf_ns.compat.callers import name_callers_only

sys.path.insert(0, str(Path(__file__).parent / "viewer"))

UP = struct.pack("16sH14s", b"lo", 1, b"")
SIOCSIFFLAGS = 0x8914
SMALL = [
    "--max-num-iterations", "12", "--steps-per-save", "6", "--pipeline.datamanager.train-num-rays-per-batch", "256",
    "--pipeline.datamanager.view-pixels", "500", "--pipeline.model.object-field.log2-table", "13",
    "--machine.device-type", "cpu", "--vis", "viewer+tensorboard", "--viewer.quit-on-train-completion", "True",
]  # fmt: skip


def let_this_machine_talk_to_itself() -> None:
    """A new network has a loopback that is down."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, UP)


def train(data: str, output: str) -> None:
    from nerfstudio.scripts import train

    sys.argv = ["ns-train", "disconerf-small", "--data", data, "--output-dir", output, "--timestamp", "one", *SMALL]
    train.entrypoint()
    print("done: training")


def look(data: str, run: str, output: str) -> None:
    """Our commands, each twice into the same folder, and the viewer."""
    from disconerf_ns.cli import main

    config = ["--load-config", f"{run}/config.yml"]
    assert main(["relocate", *config, "--data", data]) == 0
    for command in (
        ["objects", *config],
        ["render", *config, "--objects", "1", "--frames", "2", "--size", "16", "--output-dir", f"{output}/films"],
        ["export", *config, "--objects", "1", "--resolution", "16", "--what", "meshes", "masks", "--downscale", "2",
         "--output-dir", f"{output}/objects"],
    ):  # fmt: skip
        for time in ("first", "second"):
            assert main(command) == 0, command
            print("done:", command[0], time)
    view(Path(run) / "config.yml")
    print("done: viewer")


def view(config: Path) -> None:
    """Open the viewer as `ns-viewer` does, and change something as somebody who looks."""
    from nerfstudio.configs.base_config import ViewerConfig
    from nerfstudio.utils.eval_utils import eval_setup
    from nerfstudio.viewer.viewer import Viewer
    from viewer_presses import visit, wait_for

    _, pipeline, _, _ = eval_setup(config, test_mode="inference")
    viewer = Viewer(
        ViewerConfig(websocket_host="127.0.0.1"), config.parent / "v.log", pipeline.datamanager.get_datapath(), pipeline
    )
    viewer.init_scene(pipeline.datamanager.train_dataset, "completed")
    with visit(viewer) as visitor:
        id = pipeline.model.current.value.objects[0].id
        visitor.seat.selection.select([id])
        visitor.sends(visitor.seat.panel.name, "küche 厨房")
        wait_for(lambda: pipeline.model.current.value.edit.names.get(id) == "küche 厨房")
        visitor.seat.save()
    pipeline.object_control.close()
    viewer.viser_server.stop()


if __name__ == "__main__":
    let_this_machine_talk_to_itself()
    name_callers_only()
    look_coarsely(pytest.MonkeyPatch())
    data, run, output = sys.argv[1:]
    train(data, f"{output}/runs")
    look(data, run, output)
