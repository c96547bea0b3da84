"""Sizes of torchvision's classifiers, so that rules and work on stored networks need no torch.

What ``backbones.measure_backbone`` finds in torchvision 0.28; a test compares.
"""

from typing import NamedTuple

SIDE = 224  # height and width in pixels of the images that were measured with


class BackboneSize(NamedTuple):
    """A network without the layer that scores the classes, for one image of the side above."""

    features: int  # what it gives
    parameters: int
    multiply_adds: int
    outputs: int  # values that leave all its layers


BACKBONES: dict[str, BackboneSize] = {
    "alexnet": BackboneSize(4096, 57003840, 710092480, 1101312),
    "convnext_base": BackboneSize(1024, 87566464, 15353705472, 67189760),
    "convnext_large": BackboneSize(1536, 196230336, 34359897600, 100784640),
    "convnext_small": BackboneSize(768, 49454688, 8682944256, 50392320),
    "convnext_tiny": BackboneSize(768, 27820128, 4454763264, 31425792),
    "densenet121": BackboneSize(1024, 6953856, 2833137664, 38561280),
    "densenet161": BackboneSize(2208, 26472000, 7725699072, 70364640),
    "densenet169": BackboneSize(1664, 12484480, 3358179328, 45649280),
    "densenet201": BackboneSize(1920, 18092928, 4289445888, 57566336),
    "efficientnet_b0": BackboneSize(1280, 4007548, 384534752, 19874520),
    "efficientnet_b1": BackboneSize(1280, 6513184, 568371680, 27697424),
    "efficientnet_b2": BackboneSize(1408, 7700994, 657555440, 29044500),
    "efficientnet_b3": BackboneSize(1536, 10696232, 961172240, 38507864),
    "efficientnet_b4": BackboneSize(1792, 17548616, 1501918432, 50605224),
    "efficientnet_b5": BackboneSize(2048, 28340784, 2354445184, 69688224),
    "efficientnet_b6": BackboneSize(2304, 40735704, 3357862848, 89203816),
    "efficientnet_b7": BackboneSize(2560, 63786960, 5167305152, 119539712),
    "efficientnet_v2_l": BackboneSize(1280, 117234272, 12229908544, 104695424),
    "efficientnet_v2_m": BackboneSize(1280, 52858356, 5360927200, 59438056),
    "efficientnet_v2_s": BackboneSize(1280, 20177488, 2848615872, 36915184),
    "googlenet": BackboneSize(1024, 5599904, 1497352192, 7872864),
    "inception_v3": BackboneSize(2048, 21785568, 2835873120, 9609440),
    "maxvit_t": BackboneSize(512, 30407624, 5557534720, 84696128),
    "mnasnet0_5": BackboneSize(1280, 937512, 103175968, 8822560),
    "mnasnet0_75": BackboneSize(1280, 1889208, 214213104, 13690416),
    "mnasnet1_0": BackboneSize(1280, 3102312, 313135872, 15713920),
    "mnasnet1_3": BackboneSize(1280, 5001256, 525082432, 21145472),
    "mobilenet_v2": BackboneSize(1280, 2223872, 299494272, 19464576),
    "mobilenet_v3_large": BackboneSize(1280, 4202032, 215309760, 12644264),
    "mobilenet_v3_small": BackboneSize(1024, 1517856, 55486400, 4106792),
    "regnet_x_16gf": BackboneSize(2048, 52229536, 15938707456, 75067392),
    "regnet_x_1_6gf": BackboneSize(912, 8277136, 1601937792, 23317200),
    "regnet_x_32gf": BackboneSize(2520, 105290560, 31733409792, 106941072),
    "regnet_x_3_2gf": BackboneSize(1008, 14287552, 3175613952, 33515664),
    "regnet_x_400mf": BackboneSize(400, 5094976, 413412608, 9320208),
    "regnet_x_800mf": BackboneSize(672, 6586656, 799027712, 15054144),
    "regnet_x_8gf": BackboneSize(1920, 37651648, 7993212416, 41505664),
    "regnet_y_128gf": BackboneSize(7392, 637419894, 127510423680, 211317220),
    "regnet_y_16gf": BackboneSize(3024, 80565140, 15908486272, 67679432),
    "regnet_y_1_6gf": BackboneSize(888, 10313430, 1611188160, 23777380),
    "regnet_y_32gf": BackboneSize(3712, 141333770, 32275840832, 89056028),
    "regnet_y_3_2gf": BackboneSize(1512, 17923338, 3174970752, 33205972),
    "regnet_y_400mf": BackboneSize(440, 3903144, 401402848, 11380016),
    "regnet_y_800mf": BackboneSize(784, 5647512, 833072256, 15845552),
    "regnet_y_8gf": BackboneSize(2016, 37364472, 8471054592, 57845776),
    "resnet101": BackboneSize(2048, 42500160, 7799357440, 47395328),
    "resnet152": BackboneSize(2048, 58143808, 11511578624, 66361856),
    "resnet18": BackboneSize(512, 11176512, 1813561344, 7477248),
    "resnet34": BackboneSize(512, 21284672, 3663249408, 11240448),
    "resnet50": BackboneSize(2048, 23508032, 4087136256, 32041472),
    "resnext101_32x8d": BackboneSize(2048, 86742336, 16411967488, 92327936),
    "resnext101_64x4d": BackboneSize(2048, 81406272, 15458222080, 92327936),
    "resnext50_32x4d": BackboneSize(2048, 22979904, 4228431872, 41901056),
    "shufflenet_v2_x0_5": BackboneSize(1024, 341792, 39452448, 2945728),
    "shufflenet_v2_x1_0": BackboneSize(1024, 1253604, 143883992, 5464720),
    "shufflenet_v2_x1_5": BackboneSize(1024, 2478624, 294735392, 7687360),
    "shufflenet_v2_x2_0": BackboneSize(2048, 5344996, 581205464, 10357904),
    "squeezenet1_0": BackboneSize(512, 735424, 732396576, 9167680),
    "squeezenet1_1": BackboneSize(512, 722496, 262623936, 5430976),
    "swin_b": BackboneSize(1024, 86743224, 15429922816, 58357760),
    "swin_s": BackboneSize(768, 48837258, 8740107264, 43768320),
    "swin_t": BackboneSize(768, 27519354, 4489798656, 27511296),
    "swin_v2_b": BackboneSize(1024, 86905848, 17046654976, 63620728),
    "swin_v2_s": BackboneSize(768, 48968442, 9694516224, 49097946),
    "swin_v2_t": BackboneSize(768, 27582570, 4937696256, 30043722),
    "vgg11": BackboneSize(4096, 128766336, 7604994048, 16436224),
    "vgg11_bn": BackboneSize(4096, 128771840, 7604994048, 23862272),
    "vgg13": BackboneSize(4096, 128950848, 11304370176, 26070016),
    "vgg13_bn": BackboneSize(4096, 128956736, 11304370176, 38312960),
    "vgg16": BackboneSize(4096, 134260544, 15466168320, 28679168),
    "vgg16_bn": BackboneSize(4096, 134268992, 15466168320, 42226688),
    "vgg19": BackboneSize(4096, 139570240, 19627966464, 31288320),
    "vgg19_bn": BackboneSize(4096, 139581248, 19627966464, 46140416),
    "vit_b_16": BackboneSize(768, 85798656, 17563060224, 31318272),
    "vit_b_32": BackboneSize(768, 87455232, 4408418304, 7948800),
    "vit_h_14": BackboneSize(1280, 630764800, 167293829120, 179941120),
    "vit_l_16": BackboneSize(1024, 303301632, 61553688576, 82910208),
    "vit_l_32": BackboneSize(1024, 305510400, 15376515072, 21043200),
    "wide_resnet101_2": BackboneSize(2048, 124837696, 22751002624, 62372864),
    "wide_resnet50_2": BackboneSize(2048, 66834240, 11395973120, 41901056),
}
