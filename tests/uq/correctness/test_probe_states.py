"""What the probe reads: types, layouts, tokens and padding, memory maps, what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.hidden_states import layered_states
from uq import HiddenStateProbe


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    H, correct = layered_states(150, 12, gain=1.5)
    return H.astype(np.float16), correct


def answers(H: Any, correct: np.ndarray, mask: Any = None, **options: Any) -> np.ndarray:
    probe = HiddenStateProbe(cv=3, **options).fit(H, correct, mask=mask)
    return np.asarray(probe.predict_proba(H, mask=mask))


def test_every_type_and_layout_gives_the_same(
    data: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    half, correct = data
    expected = answers(half, correct)
    for same in (half.astype(np.float32), half.astype(np.float64), half.tolist()):
        np.testing.assert_allclose(answers(same, correct), expected, atol=1e-6)
    layers = [half[:, layer] for layer in range(3)]
    np.testing.assert_array_equal(answers(layers, correct), expected)
    np.testing.assert_array_equal(answers(tuple(layers), correct), expected)
    np.save(tmp_path / "states.npy", half)
    mapped = np.load(tmp_path / "states.npy", mmap_mode="r")
    np.testing.assert_array_equal(answers(mapped, correct), expected)
    whole = np.rint(half * 100).astype(np.int64)
    np.testing.assert_allclose(
        answers(whole, correct), answers(whole.astype(np.float64), correct), atol=1e-9
    )


def test_a_table_has_one_layer(data: tuple[np.ndarray, np.ndarray]) -> None:
    pd = pytest.importorskip("pandas")
    half, correct = data
    table = pd.DataFrame(half[:, 1].astype(np.float64)).add_prefix("unit ")
    probe = HiddenStateProbe(cv=3).fit(table, correct)
    np.testing.assert_allclose(probe.predict_proba(table), answers(half[:, 1], correct), atol=1e-6)
    assert list(probe.feature_names_in_) == list(table.columns)


def test_tensors(data: tuple[np.ndarray, np.ndarray]) -> None:
    torch = pytest.importorskip("torch")
    half, correct = data
    states = torch.tensor(half)
    expected = answers(half, correct)
    np.testing.assert_array_equal(answers(states, correct), expected)
    np.testing.assert_array_equal(answers(states, torch.tensor(correct)), expected)
    learning = states.float().requires_grad_()
    np.testing.assert_allclose(answers(learning, correct), expected, atol=1e-6)
    brain = states.to(torch.bfloat16)
    np.testing.assert_array_equal(answers(brain, correct), answers(brain.float().numpy(), correct))
    tokens = tuple(states[:, k, None].repeat(1, 4, 1) for k in range(3))  # as networks emit
    np.testing.assert_array_equal(answers(tokens, correct), expected)
    mask = torch.ones(150, 4, dtype=torch.int64)
    np.testing.assert_array_equal(answers(tokens, correct, mask), expected)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_padding_is_not_read(
    data: tuple[np.ndarray, np.ndarray], side: str, pooling: Any, rng: np.random.Generator
) -> None:
    half, correct = data
    n, n_tokens = len(half), 6
    H = rng.normal(size=(n, 3, n_tokens, 12)).astype(np.float32)
    length = rng.integers(1, n_tokens + 1, size=n)
    place = np.arange(n_tokens)
    mask = place < length[:, None] if side == "right" else place >= n_tokens - length[:, None]
    last = length - 1 if side == "right" else np.full(n, n_tokens - 1)
    H[np.arange(n), :, last] += half
    H[~np.broadcast_to(mask[:, None], H.shape[:3])] = np.nan
    pooled = H[np.arange(n), :, last] if pooling == "last" else np.nanmean(H, axis=2)
    np.testing.assert_allclose(
        answers(H, correct, mask, pooling=pooling), answers(pooled, correct), atol=1e-5
    )
    layers = [H[:, k] for k in range(3)]
    np.testing.assert_array_equal(
        answers(layers, correct, mask.astype(float), pooling=pooling),
        answers(H, correct, mask, pooling=pooling),
    )


def test_without_a_mask_every_token_counts(data: tuple[np.ndarray, np.ndarray]) -> None:
    half, correct = data
    H = np.stack([half, half + 1, half * 2], axis=2)
    np.testing.assert_array_equal(answers(H, correct), answers(half * 2, correct))
    mean = H.astype(np.float64).mean(axis=2)
    np.testing.assert_allclose(
        answers(H, correct, pooling="mean"), answers(mean, correct), atol=1e-5
    )


def test_one_layer_with_tokens_is_enough_later(data: tuple[np.ndarray, np.ndarray]) -> None:
    half, correct = data
    H = np.stack([half, half + 1], axis=2)
    probe = HiddenStateProbe(cv=3).fit(H, correct)
    alone = [H[:, probe.layer_]]
    np.testing.assert_array_equal(probe.predict_proba(alone), probe.predict_proba(H))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((150, 3)), r"mask must have shape .* \(150, 4\); got \(150, 3\)"),
        (np.full((150, 4), 0.5), r"mask must hold 1 \(or True\) .* such as 0.5"),
        (np.full((150, 4), "x"), "mask must hold 1"),
        (np.arange(150)[:, None] * np.ones(4) > 1, r"no token in 2 of 150 rows \(first: row 0\)"),
    ],
)
def test_masks_that_are_refused(
    data: tuple[np.ndarray, np.ndarray], mask: np.ndarray, message: str
) -> None:
    half, correct = data
    with pytest.raises(ValueError, match=message):
        answers(np.repeat(half[:, :, None], 4, axis=2), correct, mask)


def test_tokens_and_pooling_that_contradict_each_other(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    half, correct = data
    with pytest.raises(ValueError, match="H has 4 tokens per row and layer, and pooling=None"):
        answers(np.repeat(half[:, :, None], 4, axis=2), correct, pooling=None)
    with pytest.raises(
        ValueError, match=r"mask marks tokens, but H has none .* \[H\] for a single one"
    ):
        answers(half, correct, np.ones((150, 4)))
    np.testing.assert_array_equal(answers(half, correct, pooling=None), answers(half, correct))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_name_their_layer(
    data: tuple[np.ndarray, np.ndarray], value: float
) -> None:
    half, correct = data
    H = half.copy()
    H[140, 2, 5] = value
    with pytest.raises(ValueError, match=r"NaN or inf: -?(nan|inf) in layer 2, row 140, dim.* 5"):
        answers(H, correct)
    probe = HiddenStateProbe(cv=3).fit(half, correct)
    bad = half[:, probe.layer_].copy()
    bad[3, 1] = value
    with pytest.raises(ValueError, match=f"in layer {probe.layer_}, row 3, dimension 1"):
        probe.predict_proba(bad)
    probe.predict_proba(H)  # only the layer that is read is looked at
    named = HiddenStateProbe(layer=1, cv=3).fit(H, correct)
    assert named.layer_ == 1


def test_large_and_small_numbers(data: tuple[np.ndarray, np.ndarray]) -> None:
    half, correct = data
    H = half.astype(np.float64)
    for unit in (1e30, 1e-30):
        np.testing.assert_allclose(answers(H * unit, correct), answers(H, correct), atol=1e-5)
        single = (H * unit).astype(np.float32)
        np.testing.assert_allclose(answers(single, correct), answers(H, correct), atol=1e-4)
    far = answers(H + 1e4, correct)  # float32 would lose the digits
    np.testing.assert_allclose(far, answers(H, correct), atol=1e-5)
    with pytest.raises(ValueError, match=r"H has .*e\+1\d\d in layer 0, row \d+, .*overflows"):
        answers(H * 1e120, correct)


@pytest.mark.parametrize(
    ("H", "message"),
    [
        (np.ones(150), "Reshape your data"),
        (np.ones((150, 2, 2, 2, 2)), r"H must have shape .* got shape \(150, 2, 2, 2, 2\)"),
        (np.ones((0, 3, 4)), r"H has 0 sample\(s\)"),
        (np.ones((150, 3, 0)), r"H has 0 feature\(s\)"),
        (np.full((150, 3), "x"), "H must hold numbers; got texts"),
        ([np.ones((150, 3)), np.ones((150, 4))], r"layer 0 has \(150, 3\), layer 1 has \(150, 4\)"),
        ([np.ones((150, 3, 2, 2))], r"H\[0\] has shape \(150, 3, 2, 2\)"),
        (None, "got None for H"),
        (np.ones((149, 3)), "H has 149 samples but correct has 150"),
    ],
)
def test_shapes_that_are_refused(data: tuple[np.ndarray, np.ndarray], H: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        answers(H, data[1])
