"""Draw every board on real data: a group made by separate processes, scraped by a real Prometheus.

The demonstration's recording is published while workers are killed; a second group leaves nothing to image, a third
waits for files that never come, and one file is refused, so that the panels of trouble show something too.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from processes import MODULES, Shard, free_ports, published

from boards.draw import Answers, draw
from boards.files import BOARDS
from boards.prometheus import Prometheus
from contimg.cli.demo import lay_out
from contimg.volume.layout import Layout

ROOT = Path(__file__).resolve().parents[2]
GROUP = "ngc5921"
LIMIT_S = 560.0
CALM_S = 15.0
"""So long after the publication everything is still watched."""
TIMES = {"CONTIMG_TIME_SCALE": "0.1", "CONTIMG_LIMIT_RPC_S": "10", "CONTIMG_LIMIT_FROZEN_AFTER_S": "60"}
KILLED = ("solve", "image")
WAITING = """\
apiVersion: contimg.dsa110.org/v1alpha1
kind: ObservationGroup
metadata: {name: 20991231t000000z}
spec:
  pipeline: vla-continuum
  observations: {start: 2099-12-31T00:00:00Z, count: 2}
"""


def prepare(directory: Path) -> Layout:
    """Lay out the recording, the orders and something to refuse."""
    layout = lay_out(directory / "demo")
    orders = layout.state / "config" / "groups"
    orders.mkdir(parents=True)
    shutil.copy(directory / "demo" / f"{GROUP}.yaml", orders)
    (orders / "waiting.yaml").write_text(WAITING)
    order = (orders / f"{GROUP}.yaml").read_text()
    strict = order.replace("cell_arcsec:", "min_uv_lambda: 1000000\n      cell_arcsec:")
    (orders / "strict.yaml").write_text(strict.replace(f"name: {GROUP}", "name: strict"))
    (layout.incoming / "2026-01-25T22:26:05_sb00.hdf5").touch()
    return layout


def work(layout: Layout, shard: Shard) -> None:
    """Let the group be published; end two workers at their first attempt."""
    begin = time.monotonic()
    while not published(layout, GROUP):
        if time.monotonic() - begin > LIMIT_S:
            raise TimeoutError({name: shard.log(name)[-800:] for name in MODULES})
        for stage in KILLED:
            workspace = "calibration" if stage == "solve" else "imaging"
            if not shard.kills[stage] and list(layout.active(workspace).glob("*/attempt.json")):
                time.sleep(2.0)  # a while of work that is lost
                shard.kill(stage)
        list(shard.watch_over())
        time.sleep(0.2)
    time.sleep(CALM_S)


def main() -> None:
    """Draw into a directory, docs/boards unless told otherwise; name the panels that stayed empty."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=ROOT / "docs" / "boards")
    target = parser.parse_args().directory
    with tempfile.TemporaryDirectory() as top:
        directory = Path(top)
        layout = prepare(directory)
        ports = free_ports()
        targets = {f"127.0.0.1:{port}": {"namespace": "demo", "pod": name} for name, port in ports.items()}
        rules = ROOT / "charts" / "contimg" / "files" / "rules" / "contimg.yaml"
        with Prometheus(directory / "prometheus", targets, interval_s=2.0, rules=rules) as prometheus:
            begin = time.time()
            with Shard(layout, directory / "logs", ports, **TIMES) as shard:
                work(layout, shard)
                answers = Answers(prometheus, begin, time.time())
                for board in BOARDS:
                    empty = draw(board, answers, target / f"{board.name}.png")
                    nothing = f" (nothing in: {', '.join(empty)})" if empty else ""
                    sys.stdout.write(f"{board.name}.png{nothing}\n")
                names = sorted({f"{alert['labels']['alertname']} ({alert['state']})" for alert in prometheus.alerts()})
                sys.stdout.write(f"alerts: {', '.join(names) or 'none'}\n")
                stored = prometheus.instant('count({__name__=~"contimg_.+"})')[0]["value"][1]
                sys.stdout.write(f"series of Contimg: {stored}\n")


if __name__ == "__main__":
    main()
