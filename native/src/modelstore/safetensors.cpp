#include "modelstore/safetensors.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/file.h"

namespace sluice {

namespace {

using Json = nlohmann::ordered_json;
constexpr uint64_t kMaxHeader = 100'000'000;  // the limit of the reference implementation

const std::map<std::string, uint64_t>& dtype_bytes() {
  static const std::map<std::string, uint64_t> sizes{{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8}, {"U64", 8}, {"I32", 4},
                                                     {"U32", 4}, {"I16", 2}, {"U16", 2}, {"I8", 1},   {"U8", 1},  {"BOOL", 1}};
  return sizes;
}

std::string header_json(const std::vector<NamedTensor>& tensors, const Metadata& metadata) {
  Json header = Json::object();
  Json& entries = header["__metadata__"] = Json::object();
  for (const auto& [key, value] : metadata) entries[key] = value;
  uint64_t offset = 0;
  for (const NamedTensor& tensor : tensors) {
    const uint64_t bytes = tensor.size() * sizeof(float);
    header[tensor.name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // tensors start aligned
  return text;
}

std::string shape_text(const std::vector<int64_t>& shape) { return Json(shape).dump(); }

[[noreturn]] void corrupt(const std::string& path, const std::string& what) { throw Error(code::kCorrupt, path + ": not a sound safetensors file: " + what); }

TensorInfo tensor_info(const std::string& path, const std::string& name, const Json& entry, uint64_t data_bytes) {
  TensorInfo info;
  info.name = name;
  try {
    info.dtype = entry.at("dtype").get<std::string>();
    info.shape = entry.at("shape").get<std::vector<int64_t>>();
    const Json& offsets = entry.at("data_offsets");
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) {
      corrupt(path, "tensor '" + name + "' has no valid data_offsets");
    }
    info.begin = offsets[0].get<uint64_t>();
    info.end = offsets[1].get<uint64_t>();
  } catch (const Json::exception&) {
    corrupt(path, "tensor '" + name + "' lacks dtype, shape or data_offsets");
  }
  const auto size = dtype_bytes().find(info.dtype);
  if (size == dtype_bytes().end()) corrupt(path, "tensor '" + name + "' has the unknown dtype '" + info.dtype + "'");
  unsigned __int128 bytes = size->second;
  for (int64_t d : info.shape) {
    if (d < 0 || bytes > data_bytes) corrupt(path, "tensor '" + name + "' has the impossible shape " + shape_text(info.shape));
    bytes *= static_cast<uint64_t>(d);
  }
  if (info.begin > info.end || info.end > data_bytes || bytes != info.end - info.begin) {
    corrupt(path, "tensor '" + name + "' " + shape_text(info.shape) + " does not fit its bytes " + std::to_string(info.begin) + " to " + std::to_string(info.end));
  }
  return info;
}

std::ifstream open_file(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) throw_errno(errno, "open model " + path);
  if (!S_ISREG(status.st_mode)) throw Error(code::kIo, "open model " + path + ": not a regular file");
  std::ifstream file(path, std::ios::binary);
  if (!file) throw_errno(errno == 0 ? EIO : errno, "open model " + path);
  return file;
}

}  // namespace

void save_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors, const Metadata& metadata) {
  const std::string header = header_json(tensors, metadata);
  AtomicFile file(path);
  const uint64_t length = header.size();  // little-endian, as every machine that we build for
  file.write(&length, sizeof length);
  file.write(header.data(), header.size());
  for (const NamedTensor& tensor : tensors) file.write(tensor.data, tensor.size() * sizeof(float));
  file.commit();
}

SafetensorsHeader read_safetensors_header(const std::string& path) {
  std::ifstream file = open_file(path);
  file.seekg(0, std::ios::end);
  const auto size = static_cast<uint64_t>(file.tellg());
  file.seekg(0);
  uint64_t length = 0;
  if (!file.read(reinterpret_cast<char*>(&length), sizeof length)) corrupt(path, "shorter than 8 bytes");
  if (length > kMaxHeader || length > size - sizeof length) corrupt(path, "a header of " + std::to_string(length) + " bytes in a file of " + std::to_string(size));
  std::string text(length, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(length))) corrupt(path, "the header is cut off");
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) corrupt(path, "the header is not a JSON object");

  SafetensorsHeader header;
  header.data_offset = sizeof length + length;
  for (const auto& [name, entry] : json.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object()) corrupt(path, "__metadata__ is not an object");
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) corrupt(path, "metadata '" + key + "' is not a string");
        header.metadata.emplace_back(key, value.get<std::string>());
      }
    } else {
      if (!entry.is_object()) corrupt(path, "tensor '" + name + "' is not an object");
      header.tensors.push_back(tensor_info(path, name, entry, size - header.data_offset));
    }
  }
  return header;
}

void load_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors) {
  const SafetensorsHeader header = read_safetensors_header(path);
  std::map<std::string, const TensorInfo*> found;
  for (const TensorInfo& info : header.tensors) found[info.name] = &info;
  std::string problems;
  for (const NamedTensor& tensor : tensors) {
    const auto it = found.find(tensor.name);
    if (it == found.end()) {
      problems += "; " + tensor.name + " is missing";
    } else {
      if (it->second->shape != tensor.shape) problems += "; " + tensor.name + " is " + shape_text(it->second->shape) + ", the model needs " + shape_text(tensor.shape);
      if (it->second->dtype != "F32") problems += "; " + tensor.name + " is " + it->second->dtype + ", the model needs F32";
    }
  }
  std::set<std::string> wanted;
  for (const NamedTensor& tensor : tensors) wanted.insert(tensor.name);
  for (const TensorInfo& info : header.tensors) {
    if (wanted.count(info.name) == 0) problems += "; " + info.name + " is not part of the model";
  }
  if (!problems.empty()) throw Error(code::kShape, path + ": does not fit the model: " + problems.substr(2));
  std::ifstream file = open_file(path);
  for (const NamedTensor& tensor : tensors) {
    const TensorInfo& info = *found[tensor.name];
    file.seekg(static_cast<std::streamoff>(header.data_offset + info.begin));
    if (!file.read(reinterpret_cast<char*>(tensor.data), static_cast<std::streamsize>(info.end - info.begin))) corrupt(path, "cut off in tensor '" + tensor.name + "'");
  }
}

}  // namespace sluice
