// Model files in the safetensors format: 8-byte little-endian header length, JSON header, tensor bytes.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "train/model.h"

namespace sluice {

using Metadata = std::vector<std::pair<std::string, std::string>>;

/// Writes to a temporary file beside `path`, fsyncs, renames. A failed write leaves no file behind.
void save_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors, const Metadata& metadata);

struct TensorInfo {
  std::string name;
  std::string dtype;  // "F32" …
  std::vector<int64_t> shape;
  uint64_t begin = 0;  // bytes after the header
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;
  Metadata metadata;
  uint64_t data_offset = 0;  // of the first tensor byte in the file
};

/// Checks every length, offset, shape and dtype against the file before use: E_NOT_FOUND, E_CORRUPT.
SafetensorsHeader read_safetensors_header(const std::string& path);

/// Fills the given tensors by name. E_SHAPE names each tensor that is missing, extra, or of another shape or dtype.
void load_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors);

}  // namespace sluice
