#include "args.h"

#include <cmath>
#include <limits>

#include "base/error.h"
#include "describe.h"

namespace sluice::bindings {

namespace {

std::string range_text(double min, double max) { return "from " + number_text(min) + " to " + number_text(max); }

}  // namespace

void Arg::fail(const std::string& expected) const {
  throw Error(code::kArgument, std::string("[") + op_ + "] " + path_ + ": expected " + expected + ", got " + describe(value_));
}

double Arg::number(double min, double max) const {
  if (value_.IsNumber()) {
    const double x = value_.As<Napi::Number>().DoubleValue();
    if (std::isfinite(x) && x >= min && x <= max) return x;
  }
  fail("a number " + range_text(min, max));
}

float Arg::real() const {
  if (value_.IsNumber()) {
    const double x = value_.As<Napi::Number>().DoubleValue();
    if (std::abs(x) <= static_cast<double>(std::numeric_limits<float>::max())) return static_cast<float>(x);
  }
  fail("a finite number within the range of a 32-bit float");
}

uint64_t Arg::integer(uint64_t min, uint64_t max) const {
  const auto low = static_cast<double>(min);
  const auto high = static_cast<double>(max);
  if (value_.IsNumber()) {
    const double x = value_.As<Napi::Number>().DoubleValue();
    if (x >= low && x <= high && x == std::floor(x)) return static_cast<uint64_t>(x);
  }
  fail("an integer " + range_text(low, high));
}

int64_t Arg::time_ms() const {
  constexpr auto kLimit = static_cast<double>(kMaxSafeInteger);
  if (value_.IsNumber()) {
    const double x = value_.As<Napi::Number>().DoubleValue();
    if (x >= -kLimit && x <= kLimit && x == std::floor(x)) return static_cast<int64_t>(x);
  }
  fail("an integer (milliseconds since 1970-01-01 UTC)");
}

bool Arg::boolean() const {
  if (!value_.IsBoolean()) fail("true or false");
  return value_.As<Napi::Boolean>().Value();
}

std::string Arg::text(size_t min_bytes, size_t max_bytes) const {
  size_t length = 0;
  const std::string expected = "a string of " + std::to_string(min_bytes) + " to " + std::to_string(max_bytes) + " bytes without NUL";
  if (!value_.IsString() || napi_get_value_string_utf8(value_.Env(), value_, nullptr, 0, &length) != napi_ok) fail(expected);
  if (length < min_bytes || length > max_bytes) fail(expected);
  std::string text(length + 1, '\0');
  napi_get_value_string_utf8(value_.Env(), value_, text.data(), text.size(), &length);
  text.resize(length);
  if (text.find('\0') != std::string::npos) fail(expected);
  return text;
}

std::string Arg::set_id() const {
  constexpr size_t kDigits = 32;
  const std::string id = value_.IsString() ? text(0, kMaxPathBytes) : std::string();
  if (id.size() != kDigits || id.find_first_not_of("0123456789abcdef") != std::string::npos)
    fail("a training set's id of 32 hexadecimal digits");
  return id;
}

Napi::Function Arg::function() const {
  if (!value_.IsFunction()) fail("a function");
  return value_.As<Napi::Function>();
}

void Arg::require_object() const {
  if (value_.Type() != napi_object || value_.IsArray() || value_.IsTypedArray() || value_.IsArrayBuffer()) fail("an object");
}

Arg Arg::field(const char* name) const {
  require_object();
  return {op_, path_ + "." + name, value_.As<Napi::Object>().Get(name)};
}

bool Arg::has(const char* name) const {
  require_object();
  return value_.As<Napi::Object>().Has(name);
}

std::vector<Arg> Arg::elements(size_t max) const {
  if (!value_.IsArray()) fail("an array");
  const auto array = value_.As<Napi::Array>();
  const uint32_t length = array.Length();
  if (length > max) fail("an array of at most " + std::to_string(max) + " elements");
  std::vector<Arg> elements;
  elements.reserve(length);
  for (uint32_t i = 0; i < length; ++i) elements.emplace_back(op_, path_ + "[" + std::to_string(i) + "]", array.Get(i));
  return elements;
}

Entries Arg::dictionary(size_t max_entries, size_t max_key_bytes, size_t max_value_bytes) const {
  require_object();
  const auto object = value_.As<Napi::Object>();
  const auto filter = static_cast<napi_key_filter>(napi_key_enumerable | napi_key_skip_symbols);
  napi_value names = nullptr;
  if (napi_get_all_property_names(object.Env(), object, napi_key_own_only, filter, napi_key_numbers_to_strings, &names) != napi_ok)
    throw Napi::Error::New(object.Env());
  Entries entries;
  for (const Arg& name : Arg(op_, path_ + " (keys)", Napi::Value(object.Env(), names)).elements(max_entries)) {
    std::string key = name.text(1, max_key_bytes);
    const Arg value(op_, path_ + "[" + quoted(key) + "]", object.Get(name.value_));
    std::string content = value.text(0, max_value_bytes);
    entries.emplace_back(std::move(key), std::move(content));
  }
  return entries;
}

Arg::RawArray Arg::raw_array(napi_typedarray_type type, const size_t* length) const {
  const std::string expected =
      array_type_name(type, true) + (length == nullptr ? "" : " of length " + std::to_string(*length));
  if (!value_.IsTypedArray()) fail(expected);
  napi_typedarray_type actual;
  size_t elements = 0;
  void* data = nullptr;
  napi_value buffer = nullptr;
  size_t offset = 0;
  if (napi_get_typedarray_info(value_.Env(), value_, &actual, &elements, &data, &buffer, &offset) != napi_ok) fail(expected);
  bool own = false;
  bool detached = true;
  napi_is_arraybuffer(value_.Env(), buffer, &own);
  napi_is_detached_arraybuffer(value_.Env(), buffer, &detached);
  // Another thread may change shared memory while the core reads it.
  if (actual != type || !own || (length != nullptr && elements != *length)) fail(expected);
  if (detached) fail(expected + " that is not detached");
  return {data, elements};
}

}  // namespace sluice::bindings
