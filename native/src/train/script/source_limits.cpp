#include "train/script/source_limits.h"

#include <torch/csrc/jit/frontend/lexer.h>

#include <vector>

#include "base/error.h"

namespace sluice {

namespace {

constexpr int kMaxEmptyLines = 100;  // in a row: the lexer skips each by a call
constexpr size_t kMaxExpression = 400;  // tokens that can lie in one another: those since the last comma of each open bracket
constexpr size_t kMaxBlocks = 60;

void check_lines(const std::string& text, const std::string& where) {
  int empty = 0;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    const size_t first = text.find_first_not_of(" \t\r\f\v", begin);
    empty = first >= end || text[first] == '#' ? empty + 1 : 0;
    if (empty > kMaxEmptyLines) throw Error(code::kScript, where + ": more than " + std::to_string(kMaxEmptyLines) + " empty lines in a row");
    if (end > begin && text[end - 1] == '\\') throw Error(code::kScript, where + ": a line ends with a backslash");
    begin = end + 1;
  }
}

/// Follows how deep expressions and blocks can lie in one another, without building them.
class Depth {
 public:
  explicit Depth(const std::string& where) : where_(where) {}

  void take(int kind) {
    switch (kind) {
      case torch::jit::TK_INDENT: check(++blocks_, kMaxBlocks, "blocks"); break;
      case torch::jit::TK_DEDENT: --blocks_; break;
      case torch::jit::TK_NEWLINE: open_.assign(1, 0); total_ = 0; return;
      case torch::jit::TK_ELIF: throw Error(code::kScript, where_ + ": elif, which PyTorch does not write");
      case ',': total_ -= open_.back(); open_.back() = 0; return;
      case '(':
      case '[':
      case '{': open_.push_back(0); break;
      case ')':
      case ']':
      case '}': close(); break;
      default: break;
    }
    ++open_.back();
    check(++total_, kMaxExpression, "parts of an expression");
  }

 private:
  void close() {
    if (open_.size() == 1) throw Error(code::kScript, where_ + ": a bracket is closed that was not opened");
    total_ -= open_.back();
    open_.pop_back();
  }

  void check(size_t depth, size_t limit, const char* what) const {
    if (depth > limit) throw Error(code::kScript, where_ + ": more than " + std::to_string(limit) + " " + what + " in one another");
  }

  const std::string& where_;
  size_t blocks_ = 0;
  size_t total_ = 0;
  std::vector<size_t> open_ = {0};
};

}  // namespace

void check_source_limits(const std::string& text, const std::string& where) {
  if (text.find('\0') != std::string::npos) throw Error(code::kScript, where + ": a zero byte in the code");
  check_lines(text, where);
  torch::jit::Lexer lexer(std::make_shared<torch::jit::Source>(text));
  Depth depth(where);
  while (lexer.cur().kind != torch::jit::TK_EOF) depth.take(lexer.next().kind);
}

}  // namespace sluice
