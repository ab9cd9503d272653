// The operator sluice::tick: does nothing, except that it throws once the calling thread's deadline has passed.
#pragma once
#include <ATen/core/interned_strings.h>

namespace sluice {

/// Registers the operator on first use.
c10::Symbol tick_symbol();

}  // namespace sluice
