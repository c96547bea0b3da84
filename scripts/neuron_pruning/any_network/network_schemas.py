"""Files of the workflow about networks that were trained elsewhere: their columns."""

import pyarrow as pa

from neuron_pruning.core.parquet import column

SHARES = (0.25, 0.5, 0.75)  # of a layer's units, whose loss is looked at
NETWORK = column("network", pa.string(), "key of networks in the config")
DRAW = column("draw", pa.int64(), "draw of calibration images")
SHARE = column("budget", pa.float64(), "share of the multiply-adds that may stay")
LAYER = column("layer", pa.string(), "unit layer, by the name of its first producer")
PREDICTIONS_SCHEMA = pa.schema(
    [
        NETWORK,
        column("content", pa.uint64(), "number for the content of the image"),
        column("label", pa.int64(), "index of its class; none without labels"),
        column("prediction", pa.int64(), "of the unpruned network, index of a class"),
    ]
)
LAYERS_SCHEMA = pa.schema(
    [
        NETWORK, LAYER,
        column("kind", pa.string(), "linear, convolution, heads or groups"),
        column("units", pa.int64(), "units of the layer"),
        column("channels_each", pa.int64(), "channels of a unit: several of a head or a group"),
        column("normalisation", pa.string(), "between the producer and the consumers"),
        column("activation", pa.string(), "in front of the first consumer"),
        column("producers", pa.int64(), "modules that write the units"),
        column("consumers", pa.int64(), "modules that read them"),
        column("parameters", pa.float64(), "share of the network's that goes with the units"),
        column("multiply_adds", pa.float64(), "likewise, of its multiply-adds"),
        column("dead", pa.int64(), "units that are the same on all calibration images"),
        column("saturated", pa.int64(), "others that stay at one end of their activation's range"),
        column("angles", pa.list_(pa.float64()), "angles of the pairs", "degrees"),
        column("similar", pa.list_(pa.int64()), "pairs of units within each angle"),
        column("complementary", pa.list_(pa.int64()), "pairs within each angle of 180 degrees"),
        *(
            column(
                f"error_{100 * share:.0f}{suffix}", pa.float64(),
                f"error of the consumers with {100 * share:.0f} % of the units gone{text}, "
                "share of their outputs' variance",
            )
            for share in SHARES
            for suffix, text in (("", ""), ("_compensated", ", after least squares"))
        ),
    ]
)  # fmt: skip
PLAN_SCHEMA = pa.schema(
    [NETWORK, DRAW, SHARE, LAYER, column("removed", pa.int64(), "units that go")]
)
RUNNING_TIMES_SCHEMA = pa.schema(
    [
        NETWORK, SHARE,
        column("runtime", pa.string(), "eager, compiled or onnx"),
        column("images", pa.int64(), "images of a forward pass", "images"),
        column("parameters", pa.float64(), "share of the parameters that stayed"),
        column("multiply_adds", pa.float64(), "share of the multiply-adds that stayed"),
        column("median", pa.float64(), "of a forward pass", "s"),
        column("lower", pa.float64(), "lower quartile of it", "s"),
        column("upper", pa.float64(), "upper quartile of it", "s"),
        column("speed_up", pa.float64(), "unpruned over pruned, within a turn: median"),
        column("speed_up_low", pa.float64(), "lower quartile of it"),
        column("speed_up_high", pa.float64(), "upper quartile of it"),
        column("repeats", pa.int64(), "passes measured"),
        column("device", pa.string(), "where they ran"),
    ]
)  # fmt: skip
METHOD = (
    column("technique", pa.string(), "label of the technique"),
    column("compensation", pa.string(), "compensation of the remaining units"),
    column("batch_norm", pa.string(), "what became of the statistics of batch normalisations"),
    column("order", pa.string(), "whether layers were measured one after the other"),
)
POINTS_SCHEMA = pa.schema(
    [
        NETWORK, DRAW, SHARE,
        *METHOD,
        column("removed", pa.int64(), "units that went, of all layers"),
        column("parameters", pa.float64(), "share of the parameters that stayed"),
        column("multiply_adds", pa.float64(), "share of the multiply-adds that stayed"),
        column("agreement", pa.float64(), "share of images with the unpruned prediction"),
        column("accuracy", pa.float64(), "on the evaluation images; none without labels"),
        column("accuracy_before", pa.float64(), "of the unpruned network"),
        column("images", pa.int64(), "evaluation images", "images"),
        column("correct", pa.binary(), "which of them are right (agree, without labels): bits"),
    ]
)  # fmt: skip
