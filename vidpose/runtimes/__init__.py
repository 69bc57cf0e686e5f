"""Foreign runtimes: the only rooms that know ONNX Runtime and OpenMMLab."""
