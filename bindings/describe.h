// Words for JavaScript values in error messages.
#pragma once
#include <string>

#include "napi_setup.h"

namespace sluice::bindings {

/// What a value is, without running any JavaScript (no toString, no getter): `-3`, `"abc"`, `a Float32Array of length 2`.
std::string describe(Napi::Value value);

/// A number as JavaScript prints it: whole numbers without an exponent, NaN, Infinity.
std::string number_text(double value);

/// Cut to `limit` bytes at a character's border, with quotes and control characters escaped.
std::string quoted(const std::string& text, size_t limit = 60);

/// "Float32Array" …, with its article where asked for.
std::string array_type_name(napi_typedarray_type type, bool article);

}  // namespace sluice::bindings
