"""Views of images that keep their label: small changes of place, light and grain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from calib._border.arrays import read_array, to_numpy
from calib._border.checks import check_integer, check_number, describe, is_integer, is_number
from calib._border.typing import ArrayLike, FloatArray, LabelArray

#: Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601).
BRIGHTNESS = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, kw_only=True)
class ImageView:
    """Base of the views of images: reads them, calls `change`, and gives back what came.

    Parameters
    ----------
    shape : tuple of int, default=None
        Shape of one image, (height, width) or (height, width, channels), where `X` holds
        flattened ones, (n_samples, n_pixels).
    bounds : tuple of two floats, default=None
        Lowest and highest value of a pixel. None: those of the type of integers; floats have none.
    """

    shape: tuple[int, ...] | None = None
    bounds: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        shape, bounds = self.shape, self.bounds
        if shape is not None and not (
            isinstance(shape, (tuple, list))
            and len(shape) in (2, 3)
            and all(is_integer(size) and size >= 1 for size in shape)
        ):
            raise ValueError(
                f"shape must be (height, width) or (height, width, channels); got {describe(shape)}"
            )
        if bounds is not None and not (
            isinstance(bounds, (tuple, list))
            and len(bounds) == 2
            and all(map(is_number, bounds))
            and bounds[0] < bounds[1]
        ):
            raise ValueError(f"bounds must be (lowest, highest); got {describe(bounds)}")

    def __call__(self, X: ArrayLike, rng: np.random.Generator) -> LabelArray:
        """Return changed images.

        Parameters
        ----------
        X : array-like of shape (n_samples, height, width[, channels]) or (n_samples, n_pixels)
            Images; flattened ones where `shape` says how.
        rng : numpy.random.Generator
            Of the changes, which differ from image to image.

        Returns
        -------
        changed : ndarray
            Of the shape and type of `X`; integers are rounded.

        Raises
        ------
        ValueError
            If `X` holds no images.
        """
        array = to_numpy(read_array(X, "X"))
        if array.dtype.kind not in "fiu":
            raise ValueError(f"X must hold the numbers of pixels; got {array.dtype}")
        images = array
        if self.shape is not None and array.ndim == 2:
            if array.shape[1] != np.prod(self.shape):
                raise ValueError(
                    f"X has {array.shape[1]} pixels a row, but shape={tuple(self.shape)} has "
                    f"{np.prod(self.shape)}"
                )
            images = array.reshape(len(array), *self.shape)
        if images.ndim not in (3, 4):
            raise ValueError(
                f"X must have shape (n_samples, height, width[, channels]); got {array.shape}. "
                f"Pass shape= if rows are flattened images"
            )
        changed = self.change(images.astype(np.float64), rng)
        low, high = self._bounds(array.dtype)
        changed = np.clip(changed, low, high).reshape(array.shape)
        if array.dtype.kind in "iu":
            changed = np.rint(changed)
        return changed.astype(array.dtype)

    def change(self, images: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return changed images, float64 of shape (n_samples, height, width[, channels])."""
        raise AssertionError("a view of images defines change")

    def _bounds(self, dtype: np.dtype) -> tuple[float, float]:
        if self.bounds is not None:
            return self.bounds
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            return float(limits.min), float(limits.max)
        return -np.inf, np.inf


@dataclass(frozen=True, kw_only=True)
class Rotation(ImageView):
    """Turn every image by an angle of its own, the edge pixels repeated outwards.

    Parameters
    ----------
    shape, bounds : tuple, default=None
        See `ImageView`.
    degrees : float, default=10.0
        Largest angle to either side, in (0, 45]: beyond, digits and signs may change their label.

    Examples
    --------
    >>> import numpy as np
    >>> from calib.views import Rotation
    >>> images = np.eye(5)[None]
    >>> Rotation(degrees=10)(images, np.random.default_rng(0)).round(1)[0, 0]
    array([0.9, 0. , 0. , 0. , 0. ])
    """

    degrees: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_in("degrees", self.degrees, 45.0)

    def change(self, images: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return turned images."""
        out = np.empty_like(images)
        angles = rng.uniform(-self.degrees, self.degrees, len(images))
        for place, angle in enumerate(angles):
            ndimage.rotate(
                images[place], angle, reshape=False, order=1, mode="nearest", output=out[place]
            )
        return out


@dataclass(frozen=True, kw_only=True)
class Shift(ImageView):
    """Move every image by whole pixels, the edge pixels repeated.

    Parameters
    ----------
    shape, bounds : tuple, default=None
        See `ImageView`.
    pixels : int, default=1
        Largest shift along either axis, >= 1; no image stays where it is.
    """

    pixels: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("pixels", self.pixels, low=1)

    def change(self, images: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return moved images."""
        steps = np.arange(-self.pixels, self.pixels + 1)
        moves = np.array([(down, right) for down in steps for right in steps if down or right])
        chosen = moves[rng.integers(len(moves), size=len(images))]
        height, width = images.shape[1:3]
        rows = np.clip(np.arange(height) - chosen[:, :1], 0, height - 1)
        columns = np.clip(np.arange(width) - chosen[:, 1:], 0, width - 1)
        place = np.arange(len(images))[:, None, None]
        return np.asarray(images[place, rows[:, :, None], columns[:, None, :]])


@dataclass(frozen=True, kw_only=True)
class Blur(ImageView):
    """Blur every image with the same Gaussian.

    Parameters
    ----------
    shape, bounds : tuple, default=None
        See `ImageView`.
    sigma : float, default=0.7
        Standard deviation in pixels, in (0, 10].
    """

    sigma: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        check_in("sigma", self.sigma, 10.0)

    def change(self, images: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return blurred images."""
        sigma = (0, self.sigma, self.sigma, 0)[: images.ndim]
        return np.asarray(ndimage.gaussian_filter(images, sigma, mode="nearest"))


@dataclass(frozen=True, kw_only=True)
class PixelNoise(ImageView):
    """Add Gaussian noise to every pixel.

    Parameters
    ----------
    shape, bounds : tuple, default=None
        See `ImageView`.
    scale : float, default=0.1
        Standard deviation of the noise, as a share of that of the pixels of the image, in (0, 1].
    """

    scale: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_in("scale", self.scale, 1.0)

    def change(self, images: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return noisy images."""
        spread = images.std(axis=tuple(range(1, images.ndim)), keepdims=True)
        return np.asarray(images + self.scale * spread * rng.standard_normal(images.shape))


@dataclass(frozen=True, kw_only=True)
class Jitter(ImageView):
    """Change brightness and contrast of every image by factors of its own.

    Parameters
    ----------
    shape, bounds : tuple, default=None
        See `ImageView`; without `bounds` float pixels may leave the range of the camera.
    brightness : float, default=0.2
        The mean is multiplied by a factor between one minus this and one plus this, in [0, 1).
    contrast : float, default=0.2
        The same of the distances from the mean.
    """

    brightness: float = 0.2
    contrast: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("brightness", "contrast"):
            value = check_number(name, getattr(self, name))
            if not 0 <= value < 1:
                raise ValueError(f"{name} must lie in [0, 1); got {value:g}")
        if self.brightness == self.contrast == 0:
            raise ValueError("brightness and contrast are both 0, so that nothing changes")

    def change(self, images: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return images in another light."""
        mean = images.mean(axis=tuple(range(1, images.ndim)), keepdims=True)
        light, spread = (
            rng.uniform(1 - width, 1 + width, mean.shape)
            for width in (self.brightness, self.contrast)
        )
        return np.asarray(light * mean + spread * (images - mean))


@dataclass(frozen=True, kw_only=True)
class Grey(ImageView):
    """Take the colour out of images of three channels (red, green, blue).

    Parameters
    ----------
    shape, bounds : tuple, default=None
        See `ImageView`.
    """

    def change(self, images: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return grey images, three equal channels."""
        if images.ndim != 4 or images.shape[3] != 3:
            raise ValueError(
                f"X must have three channels last, (n_samples, height, width, 3), for Grey; got "
                f"images of shape {images.shape[1:]}"
            )
        grey = images @ BRIGHTNESS
        return np.repeat(grey[..., None], 3, axis=3)


def check_in(name: str, value: object, high: float) -> None:
    """Raise unless a number lies in (0, high]."""
    if not 0 < check_number(name, value) <= high:
        raise ValueError(f"{name} must lie in (0, {high:g}]; got {value}")
