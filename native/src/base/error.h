// Errors of the core. A caller's mistake or a failing environment throws Error with a stable code;
// the codes are listed once more, for users, in ts/errors.ts.
#pragma once
#include <stdexcept>
#include <string>

namespace sluice {

/// A stable code plus one sentence that says what was wrong with which value.
class Error : public std::runtime_error {
 public:
  Error(const char* code, const std::string& message) : std::runtime_error(message), code_(code) {}
  const char* code() const noexcept { return code_; }

 private:
  const char* code_;  // always a string literal from namespace code
};

namespace code {
inline constexpr const char* kArgument = "E_ARGUMENT";      // a value outside its range
inline constexpr const char* kClosed = "E_CLOSED";          // used after close()
inline constexpr const char* kAborted = "E_ABORTED";        // stopped on request
inline constexpr const char* kIo = "E_IO";                  // the operating system refused a read or write
inline constexpr const char* kNoSpace = "E_NO_SPACE";       // disk or map full
inline constexpr const char* kReadOnly = "E_READ_ONLY";     // no permission to write
inline constexpr const char* kNotFound = "E_NOT_FOUND";     // no such dataset, model, key …
inline constexpr const char* kExists = "E_EXISTS";          // would overwrite
inline constexpr const char* kLocked = "E_LOCKED";          // open in another process
inline constexpr const char* kCorrupt = "E_CORRUPT";        // stored bytes fail their check
inline constexpr const char* kNotFinite = "E_NOT_FINITE";   // a NaN or infinite feature, weight or label
inline constexpr const char* kLabelRange = "E_LABEL_RANGE"; // a label outside its classes
inline constexpr const char* kSource = "E_SOURCE";          // a value of a source that cannot be taken
inline constexpr const char* kShape = "E_SHAPE";            // tensors that do not fit the model
inline constexpr const char* kScript = "E_SCRIPT";          // a TorchScript model that uses what it may not use
inline constexpr const char* kParser = "E_PARSER";          // a user's parser failed or gave something that is not allowed
inline constexpr const char* kDiverged = "E_DIVERGED";      // the loss became NaN or infinite
inline constexpr const char* kMemory = "E_MEMORY";          // an allocation failed
inline constexpr const char* kDevice = "E_DEVICE";          // no such device, or it cannot be used
inline constexpr const char* kTorch = "E_TORCH";            // LibTorch reported an error we did not foresee
inline constexpr const char* kInternal = "E_INTERNAL";      // our own mistake
}  // namespace code

/// Throws E_ARGUMENT "<name>: expected <expected>, got <value>" unless ok.
void require(bool ok, const std::string& name, const char* expected, double value);

/// Throws E_NO_SPACE, E_READ_ONLY, E_NOT_FOUND or E_IO for an errno value; `what` names operation and path.
[[noreturn]] void throw_errno(int error, const std::string& what);

}  // namespace sluice
