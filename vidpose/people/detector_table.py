"""The person detectors, and weights that others publish for them: read without importing a network.

A new detector is a file in this folder and an entry here.
"""

from __future__ import annotations

from collections.abc import Mapping

from vidpose.runtimes.torchvision_networks import (
    KEYPOINT_RCNN,
    KEYPOINT_RCNN_NETWORK,
    KEYPOINT_RCNN_PAPER,
    KEYPOINT_RCNN_WEIGHTS,
)
from vidpose.weights.catalogue import Entry, Paper, Published, by_name
from vidpose.weights.shipped import ShippedWeights

_TORCHVISION = "vidpose.people.torchvision_detector:open_torchvision_detector"
_RTMDET_LOADER = "vidpose.people.rtmdet:open_rtmdet"

_MOBILENET = Paper("Searching for MobileNetV3", "ICCV 2019")
_RTMDET = Paper("RTMDet: An Empirical Study of Designing Real-Time Object Detectors", "arXiv 2212.07784")

DETECTORS: Mapping[str, Entry] = by_name(
    (
        Entry(
            "nanodet",
            "detector",
            Paper("NanoDet", "2020"),
            loader="vidpose.people.nanodet:open_nanodet",
            weights=ShippedWeights(
                "nanodet.safetensors",
                "35d13de5477b8d343bf7b9002fa921be30bf76fe8fa3d5a3e8b2475e412d0dc1",
                graph_sha256="669bb0a4849e3f7e293bf93ae9dde1381a63e1e89a07d8a32d6ca35cfdb33170",
            ),
            takes_weights="never",
            licence="Apache-2.0",
            metric="box AP 22.9 (all)",
        ),
        Entry(
            "nanodet:tiles",
            "detector",
            loader="vidpose.people.nanodet:open_nanodet",
            options={"tiles": True},
            takes_weights="never",
        ),
        Entry(
            "blazepose",
            "detector",
            Paper("BlazePose: On-device Real-time Body Pose Tracking", "arXiv 2006.10204"),
            loader="vidpose.people.blazepose_detector:open_blazepose_detector",
            weights=ShippedWeights(
                "blazepose-detector.safetensors",
                "bece120c9f3a3c3c2ae660b28fde0c639a737ecc4e39495d8ec4677157d9d075",
                graph_sha256="bbf5246b775856488b966442c85778e2e8b9ff69c16023eccc013c75d5f8501c",
            ),
            takes_weights="never",
            licence="Apache-2.0",
        ),
        Entry(
            "torchvision:fasterrcnn",
            "detector",
            Paper("Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks", "NeurIPS 2015"),
            weights=Published(
                "torchvision",
                url="https://download.pytorch.org/models/fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
                sha256="258fb6c6",
                mib=159.743,
            ),
            licence="BSD",
            metric="box AP 37.0",
            loader=_TORCHVISION,
            options={"network": "fasterrcnn_resnet50_fpn"},
        ),
        Entry(
            "torchvision:fasterrcnn-v2",
            "detector",
            Paper("Benchmarking Detection Transfer Learning with Vision Transformers", "arXiv 2111.11429"),
            weights=Published(
                "torchvision",
                url="https://download.pytorch.org/models/fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth",
                sha256="dd69338a",
                mib=167.104,
            ),
            licence="BSD",
            metric="box AP 46.7",
            loader=_TORCHVISION,
            options={"network": "fasterrcnn_resnet50_fpn_v2"},
        ),
        Entry(
            "torchvision:fasterrcnn-mobilenet",
            "detector",
            _MOBILENET,
            weights=Published(
                "torchvision",
                url="https://download.pytorch.org/models/fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth",
                sha256="fb6a3cc7",
                mib=74.239,
            ),
            licence="BSD",
            metric="box AP 32.8",
            loader=_TORCHVISION,
            options={"network": "fasterrcnn_mobilenet_v3_large_fpn"},
        ),
        Entry(
            "torchvision:ssdlite",
            "detector",
            _MOBILENET,
            weights=Published(
                "torchvision",
                url="https://download.pytorch.org/models/ssdlite320_mobilenet_v3_large_coco-a79551df.pth",
                sha256="a79551df",
                mib=13.418,
            ),
            licence="BSD",
            metric="box AP 21.3",
            loader=_TORCHVISION,
            options={"network": "ssdlite320_mobilenet_v3_large"},
        ),
        Entry(
            KEYPOINT_RCNN,
            "detector",
            KEYPOINT_RCNN_PAPER,
            loader=_TORCHVISION,
            options={"network": KEYPOINT_RCNN_NETWORK},
            weights=KEYPOINT_RCNN_WEIGHTS,
            licence="BSD",
        ),
        Entry(
            "rtmdet",
            "detector",
            _RTMDET,
            weights=Published(
                "onnx-zip",
                url="https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/onnx_sdk/rtmdet_m_8xb32-100e_coco-obj365-person-235e8209.zip",
            ),
            licence="Apache-2.0",
            metric="box AP 62.5 (people)",
            loader=_RTMDET_LOADER,
            options={"size": 640},
        ),
        Entry(
            "rtmdet-nano",
            "detector",
            _RTMDET,
            weights=Published(
                "onnx-zip",
                url="https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/onnx_sdk/rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e.zip",
            ),
            licence="Apache-2.0",
            metric="box AP 40.3 (people)",
            loader=_RTMDET_LOADER,
            options={"size": 320},
        ),
        Entry("mmdet:CONFIG", "detector", loader="vidpose.people.mmdet:open_mmdet", takes_weights="may"),
        Entry("boxes:FILE", "detector", loader="vidpose.people.boxes:open_boxes", takes_weights="never"),
    )
)
"""Detectors by the name that the command line takes."""

OTHER_DETECTOR_WEIGHTS: Mapping[str, Entry] = by_name(
    (
        Entry(
            "rtmdet-m-person",
            "detector",
            _RTMDET,
            weights=Published(
                "mmdet",
                url="https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/rtmdet_m_8xb32-100e_coco-obj365-person-235e8209.pth",
                sha256="235e8209",
            ),
            licence="Apache-2.0",
        ),
        Entry(
            "rtmdet-tiny",
            "detector",
            _RTMDET,
            weights=Published(
                "mmdet",
                url="https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet_tiny_8xb32-300e_coco/rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth",
                sha256="78e30dcc",
            ),
            licence="Apache-2.0",
            metric="box AP 40.9",
        ),
        Entry(
            "yolox-m-humanart",
            "detector",
            Paper("YOLOX: Exceeding YOLO Series in 2021", "arXiv 2107.08430"),
            weights=Published(
                "onnx-zip",
                url="https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/onnx_sdk/yolox_m_8xb8-300e_humanart-c2c7a14a.zip",
            ),
            licence="Apache-2.0",
        ),
    )
)
"""Weights for mmdet's configs, and for ONNX Runtime."""
