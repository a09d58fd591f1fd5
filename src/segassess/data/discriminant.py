"""A classical segmenter that draws realistic masks without a neural network.

Gaussian discriminant analysis: each class is a mixture of Gaussians over colour and texture features (Hastie, Tibshirani and
Friedman, The Elements of Statistical Learning, 2nd ed., sections 4.3 and 12.7). It fits in seconds on one core and errs like a
weak segmenter: bright soil taken for roofs, ragged outlines, missed rusty roofs.
"""

from collections.abc import Iterable
from typing import Any, Self, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from segassess.errors import InputError

BoolMap: TypeAlias = NDArray[np.bool_]
ByteMap: TypeAlias = NDArray[np.uint8]
FloatArray: TypeAlias = NDArray[np.float64]

WINDOWS = (9, 25)  # sides in pixels of the boxes for local means and deviations
PIXELS_PER_IMAGE = 1500
MAX_PIXELS_PER_CLASS = 60_000
THRESHOLD_IMAGES = 24
THRESHOLDS = np.linspace(0.1, 0.9, 33)
SMOOTHING_PX = 1.5
KMEANS_STEPS = 12


def pixel_features(image: ByteMap) -> NDArray[np.float32]:
    """Features float32 (H, W, 14) of an RGB image uint8 (H, W, 3); raises InputError for any other array.

    They are RGB in [0, 1], then the mean RGB and the deviation of grey per window, excess green 2G - R - B, log gradient energy,
    and the log ratio of fine to coarse deviation.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise InputError(f"Image of shape {image.shape} and type {image.dtype}: give a non-empty RGB array uint8 (H, W, 3).")
    rgb = image.astype(np.float32) / 255
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    layers: list[NDArray[Any]] = [rgb]
    deviations: list[NDArray[Any]] = []
    for side in WINDOWS:
        mean = cv2.blur(grey, (side, side))
        deviation = np.sqrt(np.maximum(cv2.blur(grey * grey, (side, side)) - mean * mean, 0))
        deviations.append(deviation)
        layers += [cv2.blur(rgb, (side, side)), deviation[..., None]]
    excess_green = 2 * rgb[..., 1] - rgb[..., 0] - rgb[..., 2]
    energy = cv2.Sobel(grey, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(grey, cv2.CV_32F, 0, 1) ** 2
    # A Gaussian fits the heavy-tailed texture measures only after a logarithm.
    texture = np.log(cv2.blur(energy, (WINDOWS[0], WINDOWS[0])) + 1e-4)
    ratio = np.log((deviations[0] + 0.01) / (deviations[1] + 0.01))
    layers += [excess_green[..., None], texture[..., None], ratio[..., None]]
    return np.concatenate(layers, axis=2, dtype=np.float32)


def _cluster(samples: FloatArray, number: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Lloyd's k-means on samples (N, F): labels int64 (N,). OpenCV's version would change a global random state."""
    centres = samples[rng.choice(len(samples), number, replace=False)]
    labels = np.zeros(len(samples), np.int64)
    for _ in range(KMEANS_STEPS):
        distance = (centres**2).sum(axis=1) - 2 * samples @ centres.T
        labels = distance.argmin(axis=1)
        for index in range(number):
            if (members := samples[labels == index]).size:
                centres[index] = members.mean(axis=0)
    return labels


class _Mixture:
    """Gaussians of one class: weights (K,), means (K, F) and covariances (K, F, F)."""

    def __init__(self, weights: FloatArray, means: FloatArray, covariances: FloatArray) -> None:
        self.weights, self.means, self.covariances = weights, means, covariances
        self.whitening = np.linalg.inv(np.linalg.cholesky(covariances))
        log_determinants = np.log(np.diagonal(self.whitening, axis1=1, axis2=2)).sum(axis=1)
        self.offsets = np.log(weights) + log_determinants

    @classmethod
    def fit(cls, samples: FloatArray, components: int, rng: np.random.Generator) -> Self:
        """Fit standardised samples (N, F): k-means, then a shrunk covariance per cluster."""
        features = samples.shape[1]
        # Each Gaussian needs several samples per parameter of its mean.
        components = max(1, min(components, len(samples) // (10 * features)))
        labels = _cluster(samples, components, rng)
        overall = np.cov(samples, rowvar=False) if len(samples) > 1 else np.eye(features)
        weights, means, covariances = [], [], []
        for index in range(components):
            members = samples[labels == index]
            if len(members) == 0:
                continue
            own = np.cov(members, rowvar=False) if len(members) > 1 else overall
            trust = len(members) / (len(members) + 5 * features)
            weights.append(len(members) / len(samples))
            means.append(members.mean(axis=0))
            covariances.append(trust * own + (1 - trust) * overall + 1e-3 * np.eye(features))
        return cls(np.array(weights), np.array(means), np.array(covariances))

    def log_density(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log density, up to a shared constant, of samples (N, F): float32 (N,)."""
        terms = []
        for offset, mean, whitening in zip(self.offsets, self.means, self.whitening, strict=True):
            white = (samples - mean.astype(np.float32)) @ whitening.T.astype(np.float32)
            terms.append(np.float32(offset) - 0.5 * np.einsum("ij,ij->i", white, white))
        return np.asarray(np.logaddexp.reduce(terms, axis=0), np.float32)


class DiscriminantSegmenter:
    """Per-pixel Gaussian discriminant analysis with smoothing, a fitted threshold and removal of specks.

    `components` is the number of Gaussians per class (1 is quadratic discriminant analysis); `predict` removes objects and holes
    of fewer than `speck_px` pixels.
    """

    def __init__(self, components: int = 8, speck_px: int = 40) -> None:
        if components < 1:
            raise InputError(f"DiscriminantSegmenter got components={components}: give 1 or more Gaussians per class.")
        if speck_px < 0:
            raise InputError(f"DiscriminantSegmenter got speck_px={speck_px}: give an area of 0 or more pixels.")
        self.components = components
        self.speck_px = speck_px
        self.threshold = 0.5
        self._prior = 0.5
        self._centre: FloatArray | None = None
        self._scale: FloatArray | None = None
        self._classes: tuple[_Mixture, _Mixture] | None = None

    def fit(self, images: Iterable[ByteMap], truths: Iterable[BoolMap], seed: int = 0) -> Self:
        """Fit on a stream of images uint8 (H, W, 3) and truths bool (H, W), of which only a few dozen are kept; returns itself.

        Raises InputError if an image and its truth differ in size, or if a class never occurs.
        """
        rng = np.random.default_rng(seed)
        samples: tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]] = ([], [])
        reserve: list[tuple[ByteMap, BoolMap]] = []
        inside = total = 0
        for number, (image, truth) in enumerate(zip(images, truths, strict=True)):
            features = pixel_features(image)
            if truth.shape != image.shape[:2]:
                raise InputError(f"Truth of shape {truth.shape} beside an image of shape {image.shape}: give the same size.")
            flat, object_pixels = features.reshape(-1, features.shape[2]), truth.ravel() > 0
            for label in (0, 1):
                members = np.flatnonzero(object_pixels == bool(label))
                samples[label].append(flat[rng.choice(members, min(members.size, PIXELS_PER_IMAGE), replace=False)])
            inside, total = inside + int(object_pixels.sum()), total + object_pixels.size
            # Reservoir sampling: every image has the same chance to help choose the threshold.
            slot = number if number < THRESHOLD_IMAGES else int(rng.integers(number + 1))
            if slot < THRESHOLD_IMAGES:
                reserve[slot : slot + 1] = [(image, truth > 0)]
        if not 0 < inside < total:
            raise InputError(f"{inside} of {total} truth pixels are objects: give truths that hold both objects and background.")
        chosen = [self._thinned(np.concatenate(parts), rng) for parts in samples]
        both = np.concatenate(chosen)
        self._centre, self._scale = both.mean(axis=0), both.std(axis=0) + 1e-6
        background, objects = (_Mixture.fit((part - self._centre) / self._scale, self.components, rng) for part in chosen)
        self._classes, self._prior = (background, objects), inside / total
        self.threshold = self._best_threshold(reserve)
        return self

    @staticmethod
    def _thinned(samples: NDArray[np.float32], rng: np.random.Generator) -> FloatArray:
        if len(samples) > MAX_PIXELS_PER_CLASS:
            samples = samples[rng.choice(len(samples), MAX_PIXELS_PER_CLASS, replace=False)]
        return samples.astype(np.float64)

    def _best_threshold(self, reserve: list[tuple[ByteMap, BoolMap]]) -> float:
        """Threshold with the best IoU over all pixels of the reserved images."""
        hits, unions = np.zeros(len(THRESHOLDS)), np.zeros(len(THRESHOLDS))
        for image, truth in reserve:
            smooth = self._smoothed(image)
            for index, threshold in enumerate(THRESHOLDS):
                mask = smooth > threshold
                hits[index] += (mask & truth).sum()
                unions[index] += (mask | truth).sum()
        return float(THRESHOLDS[int(np.argmax(hits / np.maximum(unions, 1)))])

    def probability(self, image: ByteMap) -> NDArray[np.float32]:
        """Object probability float32 (H, W) of an RGB image uint8 (H, W, 3); InputError if not fitted or for any other array."""
        if self._classes is None or self._centre is None or self._scale is None:
            raise InputError("DiscriminantSegmenter has no statistics yet: call fit first.")
        features = pixel_features(image)
        samples = features.reshape(-1, features.shape[2])
        standardised = np.asarray((samples - self._centre) / self._scale, np.float32)
        background, objects = (mixture.log_density(standardised) for mixture in self._classes)
        logit = objects - background + np.float32(np.log(self._prior / (1 - self._prior)))
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -30, 30))), np.float32).reshape(image.shape[:2])

    def _smoothed(self, image: ByteMap) -> NDArray[np.float32]:
        return np.asarray(cv2.GaussianBlur(self.probability(image), (0, 0), SMOOTHING_PX), np.float32)

    def predict(self, image: ByteMap) -> BoolMap:
        """Mask bool (H, W): smoothed probability above the threshold, without specks."""
        mask = self._smoothed(image) > self.threshold
        mask = _without_specks(mask, self.speck_px)
        return mask | ~_without_specks(~mask, self.speck_px, keep_at_border=True)


def _without_specks(mask: BoolMap, smallest_px: int, *, keep_at_border: bool = False) -> BoolMap:
    """Remove 4-connected components smaller than `smallest_px` pixels; those at the image border may stay."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    keep = stats[:, cv2.CC_STAT_AREA] >= smallest_px
    if keep_at_border:
        keep[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    keep[0] = False
    return np.asarray(keep[labels], bool)
