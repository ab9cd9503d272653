#include "describe.h"

#include <charconv>
#include <cmath>

#include "handles.h"

namespace sluice::bindings {

namespace {

std::string describe_typed_array(Napi::Value value) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  napi_value buffer = nullptr;
  size_t offset = 0;
  if (napi_get_typedarray_info(value.Env(), value, &type, &length, &data, &buffer, &offset) != napi_ok) return "a typed array";
  bool detached = false;
  napi_is_detached_arraybuffer(value.Env(), buffer, &detached);
  std::string text = array_type_name(type, true);
  if (detached) return text + " whose buffer was detached";
  text += " of length " + std::to_string(length);
  bool own = false;
  napi_is_arraybuffer(value.Env(), buffer, &own);
  return own ? text : text + " over shared memory";
}

std::string describe_object(Napi::Value value) {
  if (const char* kind = handle_kind(value)) return std::string("a ") + kind + " handle";
  if (value.IsTypedArray()) return describe_typed_array(value);
  if (value.IsArray()) {
    uint32_t length = 0;
    napi_get_array_length(value.Env(), value, &length);
    return "an array of length " + std::to_string(length);
  }
  if (value.IsArrayBuffer()) return "an ArrayBuffer";
  if (value.IsDataView()) return "a DataView";
  if (value.IsPromise()) return "a Promise";
  if (value.IsDate()) return "a Date";
  return "an object";
}

std::string describe_string(Napi::Value value) {
  // A prefix is enough: the string may be of any length.
  char text[256];
  size_t length = 0;
  if (napi_get_value_string_utf8(value.Env(), value, text, sizeof text, &length) != napi_ok) return "a string";
  return quoted(std::string(text, length));
}

}  // namespace

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  if (value == std::floor(value) && std::abs(value) <= 0x1p53) return std::to_string(static_cast<int64_t>(value));
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  return error == std::errc() ? std::string(text, end) : "a number";
}

std::string quoted(const std::string& text, size_t limit) {
  std::string out = "\"";
  size_t end = std::min(text.size(), limit);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  for (size_t i = 0; i < end; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += text[i];
    } else if (c < 0x20U || c == 0x7FU) {
      constexpr const char* kHex = "0123456789abcdef";
      out += "\\u00";
      out += kHex[c >> 4U];
      out += kHex[c & 15U];
    } else {
      out += text[i];
    }
  }
  return out + (end < text.size() ? "…\"" : "\"");
}

std::string array_type_name(napi_typedarray_type type, bool article) {
  static constexpr const char* kNames[] = {"Int8Array",   "Uint8Array",   "Uint8ClampedArray", "Int16Array",
                                           "Uint16Array", "Int32Array",   "Uint32Array",       "Float32Array",
                                           "Float64Array", "BigInt64Array", "BigUint64Array"};
  const auto index = static_cast<size_t>(type);
  const std::string name = index < std::size(kNames) ? kNames[index] : "typed array";
  if (!article) return name;
  return (name.front() == 'I' ? "an " : "a ") + name;
}

std::string describe(Napi::Value value) {
  switch (value.Type()) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_boolean: return value.As<Napi::Boolean>().Value() ? "true" : "false";
    case napi_number: return number_text(value.As<Napi::Number>().DoubleValue());
    case napi_string: return describe_string(value);
    case napi_symbol: return "a symbol";
    case napi_function: return "a function";
    case napi_bigint: return "a BigInt";
    case napi_external: return "an external value";
    default: return describe_object(value);
  }
}

}  // namespace sluice::bindings
