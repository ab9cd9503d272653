#include "base/error.h"

#include <cstdio>
#include <cerrno>
#include <cstring>

namespace sluice {

void require(bool ok, const std::string& name, const char* expected, double value) {
  if (ok) return;
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  throw Error(code::kArgument, name + ": expected " + expected + ", got " + text);
}

void throw_errno(int error, const std::string& what) {
  const char* code = code::kIo;
  std::string hint;
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      code = code::kNoSpace;
      hint = "; free some space and run the command again, it goes on where it stopped";
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      code = code::kReadOnly;
      hint = "; the folder must be writable";
      break;
    case ENOENT:
      code = code::kNotFound;
      break;
    default:
      break;
  }
  throw Error(code, what + ": " + std::strerror(error) + hint);
}

}  // namespace sluice
