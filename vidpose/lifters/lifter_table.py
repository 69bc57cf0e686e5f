"""The lifters: what `vidpose models` and `vidpose weights` know without a network.

A new lifter is a file in this folder and an entry here. `tests/test_papers.py` holds the figures: it builds each
network and counts again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vidpose.weights.catalogue import Entry, Paper, by_name, shipped_entries
from vidpose.weights.shipped import ShippedWeights

DEFAULT = "single-branch+martinez"
"""What lifts where nobody names a lifter: the average of two that err apart."""


@dataclass(frozen=True)
class LifterEntry(Entry):
    """A lifter at its paper's setting. Weights that come with vidpose may be smaller: their file says how large.

    Attributes:
        parameters: how many numbers it learns.
        macs_per_frame: multiply-accumulates that one frame of a long clip costs.
        frames: T of its window.
        receptive_field: frames of video that decide one frame of output.
        predicts: which frames of a window its answer is used for (`Lifter.predicts`).
    """

    weights: ShippedWeights | None = None
    parameters: int = 0
    macs_per_frame: int = 0
    frames: int = 0
    receptive_field: int = 0
    predicts: Literal["sequence", "centre", "last"] = "sequence"


_HYBRID = "Hybrid LSTM & Transformer for 3D Human Pose Estimation"
_GLA_GCN = (
    "GLA-GCN: Global-local Adaptive Graph Convolutional Network for 3D Human Pose Estimation from Monocular Video"
)
_KTPFORMER = "KTPFormer: Kinematics and Trajectory Prior Knowledge-Enhanced Transformer for 3D Human Pose Estimation"
_HOSSAIN = "Exploiting temporal information for 3D human pose estimation"
_SSR_STF = "Optimizing Local-Global Dependencies for Accurate 3D Human Pose Estimation"

LIFTERS: Mapping[str, LifterEntry] = by_name(
    (
        LifterEntry(
            "single-branch",
            "lifter",
            Paper(_HYBRID, "ITM Web Conf. 2025", 49.51, "T=81, Table 2"),
            network="vidpose.lifters.lstm_transformer:SingleBranch",
            parameters=2_633_267,
            macs_per_frame=2_704_128,
            frames=81,
            receptive_field=81,
            weights=ShippedWeights(
                "single-branch-cmu17-2.safetensors",
                "a721f516da0c7874b2c05767c5a020d0ab7931b53619f0b9bf3eb8357c4fa7af",
                graph_sha256="44f14a05ae676c8b2c9ab16145d1ab2724d75591204e8d01c9bb667c0289047b",
            ),
        ),
        LifterEntry(
            "dual-branch",
            "lifter",
            Paper(_HYBRID, "ITM Web Conf. 2025", 51.57, "T=81, Table 2"),
            network="vidpose.lifters.lstm_transformer:DualBranch",
            parameters=1_719_093,
            macs_per_frame=1_751_680,
            frames=81,
            receptive_field=81,
            weights=ShippedWeights(
                "dual-branch-cmu17-2.safetensors",
                "969dee469b4f298b3c55133bf5613992c3052079c9d22eab03e3729797a0802a",
                graph_sha256="bafe29275f52074c64800535579f13fb06294794589215e603075a8c0a8f6be1",
            ),
        ),
        LifterEntry(
            "lstm",
            "lifter",
            Paper(_HYBRID, "ITM Web Conf. 2025", 55.55, "T=81, Table 2"),
            network="vidpose.lifters.lstm_transformer:LSTM",
            parameters=1_053_235,
            macs_per_frame=1_048_320,
            frames=81,
            receptive_field=81,
            weights=ShippedWeights(
                "lstm-cmu17-2.safetensors",
                "a1c12fd5a850a387acff5df38c7992a172b11f5dccdd6cf9a84d4e2f9604bbc3",
                graph_sha256="dd885801ddfa375099ffc51b78a9aac3534a50ac9a01de27ea58399cfe769c40",
            ),
        ),
        LifterEntry(
            "seq2seq",
            "lifter",
            Paper(_HOSSAIN, "ECCV 2018", 51.9, "SH fine-tuned, T=5, Table 1"),
            network="vidpose.lifters.seq2seq:Seq2Seq",
            parameters=16_930_864,
            macs_per_frame=84_541_440,
            frames=5,
            receptive_field=5,
            predicts="last",
            weights=ShippedWeights(
                "seq2seq-cmu17-2.safetensors",
                "db2373ef149140930328635c29eeba6de1e4042b1f42bfc80bc3edf531615d75",
                graph_sha256="2735b62d45e92e151ff3086e39ea70d6279f63b82dbd767e9f41a9df1e8c8754",
            ),
        ),
        LifterEntry(
            "mixste",
            "lifter",
            Paper(
                "MixSTE: Seq2seq Mixed Spatio-Temporal Encoder for 3D Human Pose Estimation in Video",
                "CVPR 2022",
                40.9,
                "CPN, T=243, Table 1",
            ),
            network="vidpose.lifters.mixste:MixSTE",
            parameters=33_783_811,
            macs_per_frame=606_677_504,
            frames=243,
            receptive_field=243,
            weights=ShippedWeights(
                "mixste-cmu17-2.safetensors",
                "02e135b79892d704a35a585a1556e7fd762dc8f80fb64c53cb6b2ae06db82778",
                graph_sha256="93f2a616ea05837ad3d7dfd59e5d00660fef69ef30fd1d73a2d6048e5801c503",
            ),
        ),
        LifterEntry(
            "ssr-stf-small",
            "lifter",
            Paper(_SSR_STF, "arXiv 2024", 38.7, "SH, T=243, Table IV"),
            network="vidpose.lifters.ssr_stf:SSRSTFSmall",
            parameters=12_396_451,
            macs_per_frame=226_684_800,
            frames=243,
            receptive_field=243,
            weights=ShippedWeights(
                "ssr-stf-small-cmu17-2.safetensors",
                "1af28e618529481bd5c400be477d9660ffebcb060fc0946303fd61e937c9e216",
                graph_sha256="66bbe2b55242a3c6b2cc2e489297e62f8d12bbf36766823c7bb047a857c174c4",
            ),
        ),
        LifterEntry(
            "attention-tcn",
            "lifter",
            Paper(
                "Attention Mechanism Exploits Temporal Contexts: Real-Time 3D Human Pose Reconstruction",
                "CVPR 2020",
                45.1,
                "CPN, T=243, Table 1",
            ),
            network="vidpose.lifters.attention_tcn:AttentionTCN",
            parameters=14_520_363,
            macs_per_frame=95_912_376,
            frames=243,
            receptive_field=243,
            predicts="centre",
        ),
        LifterEntry(
            "graformer",
            "lifter",
            Paper(
                "GraFormer: Graph-Oriented Transformer for 3D Pose Estimation",
                "CVPR 2022",
                51.8,
                "detected 2D, T=1, Table 1",
            ),
            network="vidpose.lifters.graformer:GraFormer",
            parameters=654_344,
            macs_per_frame=12_602_406,
            frames=1,
            receptive_field=1,
        ),
        LifterEntry(
            "pot",
            "lifter",
            Paper(
                "Pose-Oriented Transformer with Uncertainty-Guided Refinement for 2D-to-3D Human Pose Estimation",
                "AAAI 2023",
                50.5,
                "CPN, T=1, Table 1",
            ),
            network="vidpose.lifters.pot:POT",
            parameters=982_905,
            macs_per_frame=17_454_648,
            frames=1,
            receptive_field=1,
        ),
        LifterEntry(
            "videopose3d",
            "lifter",
            Paper(
                "3D human pose estimation in video with temporal convolutions and semi-supervised training",
                "CVPR 2019",
                46.8,
                "CPN, T=243, Table 1",
            ),
            network="vidpose.lifters.videopose3d:VideoPose3D",
            parameters=16_952_371,
            macs_per_frame=19_525_870,
            frames=243,
            receptive_field=243,
            predicts="centre",
            weights=ShippedWeights(
                "videopose3d-cmu17-2.safetensors",
                "e32221f7b1d5b6a58144eeb252544f4436e8811c473ac094891048eaaa4249e5",
                graph_sha256="07d0f363100c2bb15ad9dfa7533e0f1e184b8271c8b41320205a409d5e245262",
            ),
        ),
        LifterEntry(
            "martinez",
            "lifter",
            Paper(
                "A simple yet effective baseline for 3d human pose estimation",
                "ICCV 2017",
                62.9,
                "SH fine-tuned, Table 1",
            ),
            network="vidpose.lifters.martinez:Martinez",
            parameters=4_291_632,
            macs_per_frame=4_276_224,
            frames=1,
            receptive_field=1,
            weights=ShippedWeights(
                "martinez-cmu17-2.safetensors",
                "21d9acb6d0d51edda52fc1655faccd7633432cb011a8fa57e1e74cb150515374",
                graph_sha256="8c64b5a5eb1a07d9d829f6fcfd4a8d0be898796e3daf2306aff846b0c1fc085c",
            ),
        ),
        LifterEntry(
            "d3dp",
            "lifter",
            Paper(
                "Diffusion-Based 3D Human Pose Estimation with Multi-Hypothesis Aggregation",
                "ICCV 2023",
                39.5,
                "CPN, T=243, 20 hypotheses, 10 steps, J-Agg, Table 1",
            ),
            network="vidpose.lifters.d3dp:D3DP",
            parameters=34_835_459,
            macs_per_frame=606_707_931,
            frames=243,
            receptive_field=243,
        ),
        LifterEntry(
            "gla-gcn",
            "lifter",
            Paper(_GLA_GCN, "ICCV 2023", 44.4, "CPN, T=243, Table 1"),
            network="vidpose.lifters.gla_gcn:GLAGCN",
            parameters=1_345_952,
            macs_per_frame=1_623_123_450,
            frames=243,
            receptive_field=243,
            predicts="centre",
        ),
        LifterEntry(
            "ktpformer",
            "lifter",
            Paper(_KTPFORMER, "CVPR 2024", 40.1, "CPN, T=243, Table 1"),
            network="vidpose.lifters.ktpformer:KTPFormer",
            parameters=35_213_430,
            macs_per_frame=628_898_816,
            frames=243,
            receptive_field=243,
        ),
        LifterEntry(
            "martinez-mean",
            "lifter",
            Paper(_HOSSAIN, "ECCV 2018", 61.8, "SH fine-tuned, Table 1, Baseline 2"),
            network="vidpose.lifters.martinez:MeanFiltered",
            parameters=4_291_632,
            macs_per_frame=4_293_329,
            frames=5,
            receptive_field=5,
            predicts="centre",
        ),
        LifterEntry(
            "martinez-median",
            "lifter",
            Paper(_HOSSAIN, "ECCV 2018", 62.2, "SH fine-tuned, Table 1, Baseline 1"),
            network="vidpose.lifters.martinez:MedianFiltered",
            parameters=4_291_632,
            macs_per_frame=4_293_329,
            frames=5,
            receptive_field=5,
            predicts="centre",
        ),
        LifterEntry(
            "mhformer",
            "lifter",
            Paper(
                "MHFormer: Multi-Hypothesis Transformer for 3D Human Pose Estimation",
                "CVPR 2022",
                43.0,
                "CPN, T=351, Table 1",
            ),
            network="vidpose.lifters.mhformer:MHFormer",
            parameters=31_513_053,
            macs_per_frame=8_218_016_352,
            frames=351,
            receptive_field=351,
            predicts="centre",
        ),
        LifterEntry(
            "motionagformer",
            "lifter",
            Paper(
                "MotionAGFormer: Enhancing 3D Human Pose Estimation with a Transformer-GCNFormer Network",
                "WACV 2024",
                38.4,
                "SH, size b, T=243, Table 2",
            ),
            network="vidpose.lifters.motionagformer:MotionAGFormer",
            parameters=11_723_811,
            macs_per_frame=232_986_496,
            frames=243,
            receptive_field=243,
        ),
        LifterEntry(
            "motionbert",
            "lifter",
            Paper(
                "MotionBERT: A Unified Perspective on Learning Human Motion Representations",
                "ICCV 2023",
                39.2,
                "SH, T=243, from scratch, Table 1",
            ),
            network="vidpose.lifters.motionbert:MotionBERT",
            parameters=42_466_317,
            macs_per_frame=762_975_232,
            frames=243,
            receptive_field=243,
        ),
        LifterEntry(
            "p-stmo",
            "lifter",
            Paper(
                "P-STMO: Pre-Trained Spatial Temporal Many-to-One Model for 3D Human Pose Estimation",
                "ECCV 2022",
                43.0,
                "CPN, T=243, P-STMO-S, Table 1",
            ),
            network="vidpose.lifters.p_stmo:PSTMO",
            parameters=6_481_254,
            macs_per_frame=860_729_088,
            frames=243,
            receptive_field=485,
            predicts="centre",
        ),
        LifterEntry(
            "poseformer",
            "lifter",
            Paper(
                "3D Human Pose Estimation with Spatial and Temporal Transformers",
                "ICCV 2021",
                44.3,
                "CPN, T=81, Table 1",
            ),
            network="vidpose.lifters.poseformer:PoseFormer",
            parameters=9_602_884,
            macs_per_frame=846_893_760,
            frames=81,
            receptive_field=81,
            predicts="centre",
        ),
        LifterEntry(
            "poseformer-v2",
            "lifter",
            Paper(
                "PoseFormerV2: Exploring Frequency Domain for Efficient and Robust 3D Human Pose Estimation",
                "CVPR 2023",
                45.2,
                "CPN, T=243, f=27",
            ),
            network="vidpose.lifters.poseformer_v2:PoseFormerV2",
            parameters=14_381_899,
            macs_per_frame=545_115_234,
            frames=243,
            receptive_field=243,
            predicts="centre",
        ),
        LifterEntry(
            "ssr-stf",
            "lifter",
            Paper(_SSR_STF, "arXiv 2024", 37.4, "SH, T=243, Table I"),
            network="vidpose.lifters.ssr_stf:SSRSTF",
            parameters=36_715_675,
            macs_per_frame=648_069_376,
            frames=243,
            receptive_field=243,
        ),
        LifterEntry(
            "stcformer",
            "lifter",
            Paper(
                "3D Human Pose Estimation with Spatio-Temporal Criss-cross Attention",
                "CVPR 2023",
                41.0,
                "CPN, T=243, Table 1",
            ),
            network="vidpose.lifters.stcformer:STCFormer",
            parameters=4_748_000,
            macs_per_frame=21_204_654_336,
            frames=243,
            receptive_field=727,
            predicts="centre",
        ),
        LifterEntry(
            "strided-transformer",
            "lifter",
            Paper(
                "Exploiting Temporal Contexts with Strided Transformer for 3D Human Pose Estimation",
                "IEEE TMM 2022",
                43.7,
                "CPN, T=351, with refinement, Table I",
            ),
            network="vidpose.lifters.strided_transformer:StridedTransformer",
            parameters=4_345_190,
            macs_per_frame=1_055_202_560,
            frames=351,
            receptive_field=351,
            predicts="centre",
        ),
    )
)
"""By the name that the command line takes."""

ZOO: Mapping[str, LifterEntry] = shipped_entries(LIFTERS)
"""Those whose weights come with vidpose."""
