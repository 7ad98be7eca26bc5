"""Answer calibrated probabilities, a set of labels and a doubt for every row of scores.

``uvicorn app:app`` in the folder that ``prepare.py`` wrote to; ASGI alone, no framework.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

import numpy as np

FOLDER = Path(os.environ.get("SERVICE_FOLDER", "."))
FACTS = json.loads((FOLDER / "facts.json").read_text(encoding="utf-8"))
if (FOLDER / "calibrator.onnx").exists():  # needs onnxruntime alone
    import onnxruntime

    SESSION = onnxruntime.InferenceSession(FOLDER / "calibrator.onnx")
    CLASSES = json.loads(SESSION.get_modelmeta().custom_metadata_map["classes"])

    def calibrate(scores: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities of rows of scores."""
        return SESSION.run(["probabilities"], {"scores": scores.astype(np.float32)})[0]
else:  # needs calib, and no code is run from the file
    from calib import load

    CALIBRATOR = load(FOLDER / "calibrator.json")
    CLASSES, calibrate = CALIBRATOR.classes_.tolist(), CALIBRATOR.transform


def answer(body: bytes) -> dict[str, object]:
    """Return the answers to the rows of ``{"scores": [[...], ...]}``."""
    scores = np.array(json.loads(body)["scores"], dtype=float)
    if scores.ndim != 2 or scores.shape[1] != len(CLASSES) or not np.isfinite(scores).all():
        raise ValueError(
            f"scores must be rows of {len(CLASSES)} finite numbers; got {scores.shape}"
        )
    proba = calibrate(scores)
    sets = proba >= FACTS["least_probability"]
    energy = np.logaddexp.reduce(scores, axis=1)  # high for inputs like those of the fit
    ids = [uuid.uuid4().hex for _ in proba]
    with (FOLDER / "served.jsonl").open("a", encoding="utf-8") as served:  # for watch.py
        for name, row in zip(ids, proba.round(6).tolist(), strict=True):
            served.write(json.dumps([name, row]) + "\n")
    return {
        "ids": ids,
        "probabilities": proba.round(6).tolist(),
        "sets": [[CLASSES[k] for k in np.flatnonzero(row)] for row in sets],
        "doubt": (1 - np.searchsorted(FACTS["energy"], energy) / len(FACTS["energy"])).tolist(),
    }


async def app(scope, receive, send):
    """Answer one request: POST with a JSON body."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    try:
        status, reply = 200, answer(body)
    except (ValueError, KeyError, TypeError) as error:
        status, reply = 400, {"error": str(error)}
    head = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": json.dumps(reply).encode()})
