"""Local contrast normalisation: it removes lighting before the first convolution."""

import torch
from torch import Tensor, nn

from neuron_pruning.core.numerics import LUMA

# ASSUME: settings of local contrast, found on SFEW's faces.
NEIGHBOURHOOD = 0.13  # of the shorter side: deviation of the Gaussian
LEAST_DEVIATION = 0.03  # of grey in [-1, 1]: what varies less is noise
MAX_CONTRAST = 3.2  # local deviations that become 1; more is cut off


class LocalContrast(nn.Module):
    """Grey images of the same contrast everywhere: how a scene is lit goes, edges stay.

    Local contrast normalisation (Jarrett et al. 2009): grey minus its local mean, over its local
    deviation; both are Gaussian means of the pixels around, of those inside the image.
    """

    rows: Tensor
    columns: Tensor
    luma: Tensor

    def __init__(self, input_size: tuple[int, int]) -> None:
        super().__init__()
        deviation = NEIGHBOURHOOD * min(input_size)
        for name, length in zip(("rows", "columns"), input_size, strict=True):
            self.register_buffer(name, gaussian_means(length, deviation))
        self.register_buffer("luma", torch.tensor(LUMA).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """N x 3 x h x w in [-1, 1] to as many, whose channels are equal."""
        with torch.autocast(images.device.type, enabled=False):
            grey = (images.float() * self.luma).sum(dim=1, keepdim=True)
            centred = grey - self.mean(grey)
            deviation = self.mean(centred.square()).sqrt()
            even = centred / (deviation + LEAST_DEVIATION) / MAX_CONTRAST
            return even.clamp(-1.0, 1.0).expand(-1, 3, -1, -1)

    def mean(self, values: Tensor) -> Tensor:
        """Gaussian mean around every pixel, N x 1 x h x w."""
        return self.rows @ values @ self.columns.T


def gaussian_means(length: int, deviation: float) -> Tensor:
    """Matrix that gives the Gaussian mean around each of ``length`` pixels in a row."""
    places = torch.arange(length, dtype=torch.float32)
    weights = torch.exp(-0.5 * ((places - places[:, None]) / deviation) ** 2)
    return weights / weights.sum(dim=1, keepdim=True)
