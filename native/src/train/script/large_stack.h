// LibTorch's compiler calls itself once per class or function that refers to a further one, and a thread's usual stack
// holds only some hundred of those.
#pragma once
#include <functional>

namespace sluice {

/// Runs the call on a thread of its own with 512 MB of stack, of which only what is used costs memory, and waits for it.
/// What the call throws is thrown here. E_MEMORY where no such thread can be had.
void on_large_stack(const std::function<void()>& call);

}  // namespace sluice
