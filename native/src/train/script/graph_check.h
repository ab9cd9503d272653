// Checks and limits on a model that LibTorch has compiled but not yet run.
#pragma once
#include <string>

namespace torch::jit {
struct Module;
}

namespace sluice {

/// Throws E_SCRIPT, naming `path` and what is wrong, unless every node of every function is one that operators.cpp lists,
/// the functions put into one another stay below a limit, and every attribute holds a value of its declared type.
void check_compiled(const torch::jit::Module& module, const std::string& path);

/// Puts a call of sluice::tick at the beginning of every function and of every loop's body; remove_ticks() takes them out.
void insert_ticks(const torch::jit::Module& module);
void remove_ticks(const torch::jit::Module& module);

/// While it lives, code with ticks that the calling thread runs is ended by an exception once `seconds` have passed.
class ScriptDeadline {
 public:
  explicit ScriptDeadline(double seconds);
  ~ScriptDeadline();
  ScriptDeadline(const ScriptDeadline&) = delete;
  ScriptDeadline& operator=(const ScriptDeadline&) = delete;
  /// True once a tick has ended the code.
  bool passed() const;
};

}  // namespace sluice
