#include "modelstore/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <set>

#include "base/error.h"
#include "modelstore/safetensors.h"

namespace sluice {

namespace {

constexpr size_t kNamed = 5;

bool starts(const std::string& text, const std::string& start) { return text.compare(0, start.size(), start) == 0; }

void replace_end(std::string& text, const std::string& end, const std::string& by) {
  if (text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0) text.replace(text.size() - end.size(), end.size(), by);
}

/// The name without what differs between programs that save the same model.
std::string plain(std::string name) {
  for (const char* prefix : {"module.", "bert.", "distilbert."}) {
    if (starts(name, prefix)) name.erase(0, std::strlen(prefix));
  }
  replace_end(name, "LayerNorm.gamma", "LayerNorm.weight");
  replace_end(name, "LayerNorm.beta", "LayerNorm.bias");
  return name;
}

std::string part(const std::string& name) { return name.substr(0, name.find('.')); }
bool last(const std::string& name) { return part(name) == "fc" || part(name) == "classifier"; }
bool head(const std::string& name) { return last(name) || part(name) == "pre_classifier" || part(name) == "pooler"; }
bool real(const std::string& dtype) { return dtype == "F32" || dtype == "F16" || dtype == "BF16" || dtype == "F64"; }

float half(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fU;
  const uint32_t fraction = bits & 0x3ffU;
  if (exponent == 0) return std::copysign(std::ldexp(static_cast<float>(fraction), -24), sign == 0 ? 1.0F : -1.0F);
  const uint32_t single = sign | (exponent == 31 ? 0x7f800000U : (exponent + 112) << 23) | (fraction << 13);
  float value;
  std::memcpy(&value, &single, sizeof value);
  return value;
}

float brain(uint16_t bits) {
  const uint32_t single = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &single, sizeof value);
  return value;
}

template <typename T, typename Convert>
void convert(const std::vector<char>& bytes, float* out, const Convert& to_float) {
  for (size_t i = 0; i < bytes.size() / sizeof(T); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof value);
    out[i] = to_float(value);
  }
}

void read(const std::string& path, std::ifstream& file, uint64_t at, const TensorInfo& info, const NamedTensor& tensor) {
  std::vector<char> bytes(info.end - info.begin);
  file.seekg(static_cast<std::streamoff>(at + info.begin));
  if (!file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()))) throw Error(code::kCorrupt, path + ": cut off in tensor '" + info.name + "'");
  if (info.dtype == "F16") return convert<uint16_t>(bytes, tensor.data, half);
  if (info.dtype == "BF16") return convert<uint16_t>(bytes, tensor.data, brain);
  if (info.dtype == "F64") return convert<double>(bytes, tensor.data, [](double value) { return static_cast<float>(value); });
  convert<float>(bytes, tensor.data, [](float value) { return value; });
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

/// Which tensor of the file fills which of the model, and those of the model's head that keep their initial weights.
struct Match {
  std::vector<std::pair<const TensorInfo*, const NamedTensor*>> pairs;
  std::vector<std::string> kept;
  std::vector<std::string> problems;
};

Match match(const SafetensorsHeader& header, const std::vector<NamedTensor>& tensors) {
  Match result;
  std::map<std::string, const TensorInfo*> found;
  for (const TensorInfo& info : header.tensors) {
    if (real(info.dtype)) found[plain(info.name)] = &info;
  }
  std::set<std::string> wanted, parts;
  for (const NamedTensor& tensor : tensors) {
    const std::string name = plain(tensor.name);
    wanted.insert(name);
    parts.insert(part(name));
    const auto it = found.find(name);
    if (it == found.end()) {
      if (head(name)) {
        result.kept.push_back(tensor.name);
      } else {
        result.problems.push_back(tensor.name + " is missing");
      }
    } else if (it->second->shape == tensor.shape) {
      result.pairs.emplace_back(it->second, &tensor);
    } else if (last(name)) {
      result.kept.push_back(tensor.name);
    } else {
      result.problems.push_back(tensor.name + " is " + shape_text(it->second->shape) + ", the model needs " + shape_text(tensor.shape));
    }
  }
  for (const auto& [name, info] : found) {
    if (wanted.count(name) == 0 && parts.count(part(name)) != 0 && !head(name)) result.problems.push_back(info->name + " is not part of the model");
  }
  return result;
}

}  // namespace

std::vector<std::string> load_weights(const std::string& path, const std::vector<NamedTensor>& tensors) {
  const SafetensorsHeader header = read_safetensors_header(path);
  const Match matched = match(header, tensors);
  if (!matched.problems.empty()) {
    std::string text;
    for (size_t i = 0; i < std::min(kNamed, matched.problems.size()); ++i) text += (i == 0 ? "" : "; ") + matched.problems[i];
    if (matched.problems.size() > kNamed) text += "; and " + std::to_string(matched.problems.size() - kNamed) + " more";
    throw Error(code::kShape, path + ": its weights do not fit the model: " + text);
  }
  std::ifstream file(path, std::ios::binary);
  for (const auto& [info, tensor] : matched.pairs) read(path, file, header.data_offset, *info, *tensor);
  return matched.kept;
}

}  // namespace sluice
