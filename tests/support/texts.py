"""A table of scores as text, in every way a program may write it."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

N, K = 300, 3
RNG = np.random.default_rng(0)
Z = np.round(2 * RNG.normal(size=(N, K)), 3)
Y = (Z / 2 + RNG.gumbel(size=(N, K))).argmax(axis=1)


def text_of(
    separator: str = ",", decimal: str = ".", end: str = "\n", quote: bool = False, head: str = ""
) -> str:
    out = io.StringIO()
    quoting = csv.QUOTE_ALL if quote else csv.QUOTE_MINIMAL
    writer = csv.writer(out, delimiter=separator, lineterminator=end, quoting=quoting)
    writer.writerow(["y", *(f"z_{k}" for k in range(K))])
    for label, row in zip(Y, Z, strict=True):
        writer.writerow([label, *(str(x).replace(".", decimal) for x in row)])
    return head + out.getvalue()


TEXTS: dict[str, tuple[str, bytes]] = {
    "commas": ("a.csv", text_of().encode()),
    "semicolons": ("a.csv", text_of(";").encode()),
    "semicolons and decimal commas": ("a.csv", text_of(";", ",").encode()),
    "quoted decimal commas": ("a.csv", text_of(",", ",").encode()),
    "tabs": ("a.tsv", text_of("\t").encode()),
    "tabs in .csv": ("a.csv", text_of("\t").encode()),
    "tabs and decimal commas": ("a.tsv", text_of("\t", ",").encode()),
    "bars": ("a.txt", text_of("|").encode()),
    "CRLF": ("a.csv", text_of(end="\r\n").encode()),
    "CR": ("a.csv", text_of(end="\r").encode()),
    "mark": ("a.csv", text_of().encode("utf-8-sig")),
    "mark and semicolons": ("a.csv", text_of(";", ",").encode("utf-8-sig")),
    "UTF-16": ("a.csv", text_of().encode("utf-16")),
    "UTF-16 big": ("a.csv", b"\xfe\xff" + text_of(";", ",").encode("utf-16-be")),
    "Excel's sep": ("a.csv", text_of(";", ",", "\r\n", head="sep=;\r\n").encode("utf-8-sig")),
    "quoted": ("a.csv", text_of(quote=True).encode()),
    "blank lines": ("a.csv", ("\n" + text_of() + "\n\n").encode()),
    "gzip": ("a.csv.gz", gzip.compress(text_of().encode())),
    "gzip by content": ("a.csv", gzip.compress(text_of().encode())),
    "named gzip, not packed": ("a.csv.gz", text_of().encode()),
    "gzip of two members": (
        "a.csv",
        gzip.compress(text_of()[:2000].encode()) + gzip.compress(text_of()[2000:].encode()),
    ),
    "gzip of UTF-16": ("a.tsv", gzip.compress(text_of("\t", ",").encode("utf-16"))),
}


def check_stream(path: Path, succeeds: Any, logits: str = "z_*") -> None:
    numbers = []
    for options in ((), ("--stream",)):
        out = path.parent / "r.json"
        command = ("report", path, "--label", "y", "--logits", logits, "--resamples", 20)
        succeeds(*command, "--json", out, *options)
        model = json.loads(out.read_text())["models"]["model"]["measures"]
        numbers.append([model[key]["value"] for key in ("log_loss", "brier", "accuracy")])
    np.testing.assert_allclose(numbers[0], numbers[1], rtol=1e-12)
    rows = np.exp(Z - Z.max(axis=1, keepdims=True))
    loss = -np.log((rows / rows.sum(axis=1, keepdims=True))[np.arange(N), Y]).mean()
    assert numbers[0][0] == pytest.approx(loss, rel=1e-9)
