"""Write a .rec file, and its .idx, with MXNet: a program of .venv-mxnet.

python write_records.py OUT.rec < [{"label": 3.0 or [1, 0, 1], "file": PATH}, ...]
"""

import json
import sys
from pathlib import Path

from mxnet import recordio


def main(target: Path) -> None:
    writer = recordio.MXIndexedRecordIO(str(target.with_suffix(".idx")), str(target), "w")
    for index, entry in enumerate(json.load(sys.stdin)):
        header = recordio.IRHeader(0, entry["label"], index, 0)
        writer.write_idx(index, recordio.pack(header, Path(entry["file"]).read_bytes()))
    writer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
