#!/bin/bash
# Builds everything on a machine with a CUDA GPU, runs the checks and the benchmarks, and writes one JSON:
#   scripts/bench/gpu.sh [--out FILE] [--quick] [--only PART]...
# Needs python3 with a CUDA build of torch (or SLUICE_PYTHON), nvcc, g++, cmake, and in the checkout node_modules (LMDB's sources) and
# .cache (nlohmann/json, GoogleTest; scripts/build.mjs --tests brings them) where the system has them not. Nothing is downloaded.
# Node is needed for the part `pipeline` alone: on the PATH or as NODE=/path/to/node, its headers in ../include/node beside it.
set -u
cd "$(dirname "$0")/../.." || exit 1
python="${SLUICE_PYTHON:-python3}"
if ! command -v "$python" > /dev/null; then
  echo "gpu.sh: there is no $python; set SLUICE_PYTHON to a Python that has torch" >&2
  exit 1
fi
exec "$python" scripts/bench/gpu.py "$@"
