"""The 2D keypoint networks, and weights that others publish for them: read without importing a network.

A new network is a file in this folder, or in `clips/` or `foreign/`, and an entry here.
"""

from __future__ import annotations

from collections.abc import Mapping

from vidpose.runtimes.torchvision_networks import KEYPOINT_RCNN, KEYPOINT_RCNN_PAPER, KEYPOINT_RCNN_WEIGHTS
from vidpose.weights.catalogue import Entry, Paper, Published, by_name
from vidpose.weights.shipped import ShippedWeights

_TOP_DOWN = "vidpose.keypoints.trained_networks:open_top_down"
_CLIPS = "vidpose.keypoints.clips.clip_weights:open_clip_network"
_BLAZEPOSE_LOADER = "vidpose.keypoints.blazepose_keypoints:open_blazepose_keypoints"
_RTMPOSE_LOADER = "vidpose.keypoints.foreign.rtmpose:open_rtmpose"

_BLAZEPOSE = Paper("BlazePose: On-device Real-time Body Pose Tracking", "arXiv 2006.10204")
_HRNET = Paper("Deep High-Resolution Representation Learning for Human Pose Estimation", "CVPR 2019")
_HOURGLASS = Paper("Stacked Hourglass Networks for Human Pose Estimation", "ECCV 2016")
_CPN = Paper("Cascaded Pyramid Network for Multi-Person Pose Estimation", "CVPR 2018")
_RTMPOSE = Paper("RTMPose: Real-Time Multi-Person Pose Estimation based on MMPose", "arXiv 2303.07399")
_VIT = Paper("An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", "ICLR 2021")

CROP_NETWORKS: Mapping[str, Entry] = by_name(
    (
        Entry(
            "hrnet-w24",
            "keypoints",
            _HRNET,
            network="vidpose.keypoints.hrnet:HRNetW24",
            loader=_TOP_DOWN,
            weights=ShippedWeights(
                "hrnet-w24.safetensors", "c089fbc4854d484d02a0bdd36980a8a5037fd10da8517885dae1d5fb0edd7c72"
            ),
        ),
        Entry(
            "hrnet-w32",
            "keypoints",
            _HRNET,
            weights=Published(
                "mmpose",
                url="https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192-81c58e40_20220909.pth",
                sha256="81c58e40",
            ),
            layout="coco17",
            licence="Apache-2.0",
            metric="AP 74.6",
            network="vidpose.keypoints.hrnet:HRNetW32",
            loader=_TOP_DOWN,
        ),
        Entry(
            "hrnet-w32-384x288",
            "keypoints",
            _HRNET,
            weights=Published(
                "mmpose",
                url="https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-384x288-ca5956af_20220909.pth",
                sha256="ca5956af",
            ),
            layout="coco17",
            licence="Apache-2.0",
            metric="AP 76.0",
            arch="hrnet-w32",
            loader=_TOP_DOWN,
            options={"input_size": (288, 384)},
        ),
        Entry(
            "hrnet-w32-udp",
            "keypoints",
            Paper(
                "The Devil Is in the Details: Delving into Unbiased Data Processing for Human Pose Estimation",
                "CVPR 2020",
            ),
            weights=Published(
                "mmpose",
                url="https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192-73ede547_20220914.pth",
                sha256="73ede547",
            ),
            layout="coco17",
            licence="Apache-2.0",
            metric="AP 76.2",
            arch="hrnet-w32",
            loader=_TOP_DOWN,
            options={"alignment": "udp", "decoding": "udp"},
        ),
        Entry(
            "hrnet-w32-dark",
            "keypoints",
            Paper("Distribution-Aware Coordinate Representation for Human Pose Estimation", "CVPR 2020"),
            weights=Published(
                "mmpose",
                url="https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_dark-8xb64-210e_coco-256x192-0e00bf12_20220914.pth",
                sha256="0e00bf12",
            ),
            layout="coco17",
            licence="Apache-2.0",
            metric="AP 75.7",
            arch="hrnet-w32",
            loader=_TOP_DOWN,
            options={"decoding": "dark"},
        ),
        Entry(
            "hrnet-w48",
            "keypoints",
            _HRNET,
            weights=Published(
                "mmpose",
                url="https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w48_8xb32-210e_coco-256x192-0e67c616_20220913.pth",
                sha256="0e67c616",
            ),
            layout="coco17",
            licence="Apache-2.0",
            metric="AP 75.6",
            network="vidpose.keypoints.hrnet:HRNetW48",
            loader=_TOP_DOWN,
        ),
        Entry(
            "hrnet-w48-384x288",
            "keypoints",
            _HRNET,
            weights=Published(
                "mmpose",
                url="https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w48_8xb32-210e_coco-384x288-c161b7de_20220915.pth",
                sha256="c161b7de",
            ),
            layout="coco17",
            licence="Apache-2.0",
            metric="AP 76.7",
            arch="hrnet-w48",
            loader=_TOP_DOWN,
            options={"input_size": (288, 384)},
        ),
        Entry(
            "hourglass",
            "keypoints",
            _HOURGLASS,
            weights=Published(
                "mmpose",
                url="https://download.openmmlab.com/mmpose/top_down/hourglass/hourglass52_coco_256x256-4ec713ba_20200709.pth",
                sha256="4ec713ba",
            ),
            layout="coco17",
            licence="Apache-2.0",
            metric="AP 72.6",
            network="vidpose.keypoints.hourglass:Hourglass",
            loader=_TOP_DOWN,
        ),
        Entry(
            "hourglass-newell",
            "keypoints",
            _HOURGLASS,
            weights=Published("authors", page="https://github.com/princeton-vl/pytorch_stacked_hourglass"),
            layout="mpii16",
            licence="BSD-3-Clause",
            metric="PCKh@0.5 90.1",
            network="vidpose.keypoints.hourglass:NewellHourglass",
            loader=_TOP_DOWN,
        ),
        Entry(
            "cpn",
            "keypoints",
            _CPN,
            weights=Published("authors", page="https://github.com/GengDavid/pytorch-cpn"),
            layout="coco17",
            licence="none given",
            metric="AP 69.2",
            network="vidpose.keypoints.cpn:CPN",
            loader=_TOP_DOWN,
        ),
        Entry(
            "cpn-384x288",
            "keypoints",
            _CPN,
            weights=Published("authors", page="https://github.com/GengDavid/pytorch-cpn"),
            layout="coco17",
            licence="none given",
            metric="AP 72.2",
            arch="cpn",
            loader=_TOP_DOWN,
            options={"input_size": (288, 384)},
        ),
    )
)
"""Networks of ours that see a person's crop. Some are others trained otherwise: their options are what differs."""

CLIP_NETWORKS: Mapping[str, Entry] = by_name(
    (
        Entry(
            "temporal-relational",
            "keypoints",
            Paper("Multi-perspective temporal-relational 3D human pose estimation"),
            network="vidpose.keypoints.clips.temporal_relational:TemporalRelational",
            loader=_CLIPS,
        ),
        Entry("vit-s", "keypoints", _VIT, network="vidpose.keypoints.clips.temporal_relational:VitS", loader=_CLIPS),
        Entry("vit-b", "keypoints", _VIT, network="vidpose.keypoints.clips.temporal_relational:VitB", loader=_CLIPS),
    )
)
"""Networks of ours that see clips of people who have been followed; weights are for who trains them."""

KEYPOINTS: Mapping[str, Entry] = by_name(
    (
        Entry(
            "blazepose-lite",
            "keypoints",
            _BLAZEPOSE,
            loader=_BLAZEPOSE_LOADER,
            options={"size": "lite"},
            weights=ShippedWeights(
                "blazepose-lite.safetensors",
                "f92b8ffcf877a1fe8b458685268848dc9ca583eeda9d6d6fd85a48e959e9ddaf",
                graph_sha256="339c9f25c23102af695c62ace4b27602c2e0ea478f89271f895261713940db24",
            ),
            takes_weights="never",
            layout="blazepose33",
            licence="Apache-2.0",
        ),
        Entry(
            "blazepose-full",
            "keypoints",
            _BLAZEPOSE,
            loader=_BLAZEPOSE_LOADER,
            options={"size": "full"},
            weights=ShippedWeights(
                "blazepose-full.safetensors",
                "43ab981ff578b46f640d4a918444b2d21b9ad7d566ef57b20e72ae60b8220c72",
                graph_sha256="799ff757f91fe50774ac5ccf45ac5143105e2075901ba9f0bf1fba875ca533ff",
            ),
            takes_weights="never",
            layout="blazepose33",
            licence="Apache-2.0",
        ),
        Entry(
            "blazepose-heavy",
            "keypoints",
            _BLAZEPOSE,
            loader=_BLAZEPOSE_LOADER,
            options={"size": "heavy"},
            weights=ShippedWeights(
                "blazepose-heavy.safetensors",
                "4cd7259ec49310679317382d91a914bb869f3cc9238b87776e96d9d5d450fd43",
                graph_sha256="4247386540cae395203ffa8d96aac40945412ba3a6dd57b80e3127632476d578",
            ),
            takes_weights="never",
            layout="blazepose33",
            licence="Apache-2.0",
        ),
        *CROP_NETWORKS.values(),
        *CLIP_NETWORKS.values(),
        Entry(
            KEYPOINT_RCNN,
            "keypoints",
            KEYPOINT_RCNN_PAPER,
            loader="vidpose.keypoints.foreign.keypoint_rcnn:open_keypoint_rcnn",
            weights=KEYPOINT_RCNN_WEIGHTS,
            layout="coco17",
            licence="BSD",
            metric="AP 65.0",
        ),
        Entry(
            "rtmpose-t",
            "keypoints",
            _RTMPOSE,
            weights=Published(
                "onnx-zip",
                url="https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/onnx_sdk/rtmpose-t_simcc-body7_pt-body7_420e-256x192-026a1439_20230504.zip",
            ),
            layout="coco17",
            licence="Apache-2.0",
            metric="AP 65.9",
            loader=_RTMPOSE_LOADER,
        ),
        Entry(
            "rtmpose-s",
            "keypoints",
            _RTMPOSE,
            weights=Published(
                "onnx-zip",
                url="https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/onnx_sdk/rtmpose-s_simcc-body7_pt-body7_420e-256x192-acd4a1ef_20230504.zip",
            ),
            layout="coco17",
            licence="Apache-2.0",
            metric="AP 69.7",
            loader=_RTMPOSE_LOADER,
        ),
        Entry(
            "rtmpose-m",
            "keypoints",
            _RTMPOSE,
            weights=Published(
                "onnx-zip",
                url="https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/onnx_sdk/rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504.zip",
            ),
            layout="coco17",
            licence="Apache-2.0",
            metric="AP 74.9",
            loader=_RTMPOSE_LOADER,
        ),
        Entry("mmpose:CONFIG", "keypoints", loader="vidpose.keypoints.foreign.mmpose:open_mmpose", takes_weights="may"),
    )
)
"""Keypoint networks by the name that the command line takes."""

MMPOSE_WEIGHTS: Mapping[str, Entry] = by_name(
    (
        Entry(
            "cpm",
            "keypoints",
            Paper("Convolutional Pose Machines", "CVPR 2016"),
            weights=Published(
                "mmpose",
                url="https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_cpm_8xb64-210e_coco-256x192-0e978875_20220920.pth",
                sha256="0e978875",
            ),
            layout="coco17",
            licence="Apache-2.0",
            metric="AP 62.7",
        ),
        Entry(
            "rtmpose-m-body7",
            "keypoints",
            _RTMPOSE,
            weights=Published(
                "mmpose",
                url="https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504.pth",
                sha256="e48f03d0",
            ),
            layout="coco17",
            licence="Apache-2.0",
            metric="AP 74.9",
        ),
        Entry(
            "rtmpose-m-aic-coco",
            "keypoints",
            _RTMPOSE,
            weights=Published(
                "mmpose",
                url="https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/rtmpose-m_simcc-aic-coco_pt-aic-coco_420e-256x192-63eb25f7_20230126.pth",
                sha256="63eb25f7",
            ),
            layout="coco17",
            licence="Apache-2.0",
            metric="AP 75.8",
        ),
    )
)
"""Weights for mmpose's configs, besides those in the tables above."""

BACKBONES: Mapping[str, Entry] = by_name(
    (
        Entry(
            "swin-t",
            "backbone",
            Paper("Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", "ICCV 2021"),
            weights=Published(
                "torchvision",
                url="https://download.pytorch.org/models/swin_t-704ceda3.pth",
                sha256="704ceda3",
                mib=108.19,
            ),
            licence="BSD",
            metric="top-1 81.474",
        ),
        Entry(
            "vit-b-16",
            "backbone",
            _VIT,
            weights=Published(
                "torchvision",
                url="https://download.pytorch.org/models/vit_b_16-c867db91.pth",
                sha256="c867db91",
                mib=330.285,
            ),
            licence="BSD",
            metric="top-1 81.072",
        ),
    )
)
"""Weights on ImageNet that the training of clip networks may start from."""
