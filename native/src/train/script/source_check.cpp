#include "train/script/source_check.h"

#include <torch/csrc/jit/frontend/parser.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/error.h"
#include "train/script/operators.h"
#include "train/script/source_limits.h"

namespace sluice {

namespace {

using torch::jit::TreeRef;

constexpr size_t kMaxDefinitions = 20'000;
constexpr size_t kMaxFields = 10'000;  // of a named tuple with all named tuples in it: LibTorch compares such types field by field

/// What takes part in deserialization, or runs elsewhere than on the calling thread.
const std::set<std::string>& forbidden_names() {
  static const std::set<std::string> names{"__setstate__", "__getstate__", "__reduce__", "__del__", "__forward_hooks__", "__forward_pre_hooks__", "fork", "awaitable",
                                           "rpc_async",    "rpc_sync",     "rpc_remote", "print",   "setattr",           "delattr",               "open"};
  return names;
}

bool known_operator(const std::string& name) {
  for (const char* space : {"aten::", "prim::"}) {
    if (!torch::jit::getAllOperatorsFor(c10::Symbol::fromQualString(space + name)).empty()) return true;
  }
  return false;
}

const std::string& ident(const TreeRef& tree) { return tree->tree(0)->stringValue(); }

struct Definition {
  std::string space;  // the dotted name of its file
  TreeRef tree;
};

class SourceCheck {
 public:
  explicit SourceCheck(const std::string& path) : path_(path) {}

  void parse(const std::string& space, const std::string& text) {
    const auto source = std::make_shared<torch::jit::Source>(text, path_ + " code/" + file_name(space), 1);
    torch::jit::Parser parser(source);
    torch::jit::Lexer& lexer = parser.lexer();
    while (lexer.cur().kind != torch::jit::TK_EOF) {
      const bool is_class = lexer.cur().kind == torch::jit::TK_CLASS_DEF;
      if (!is_class && lexer.cur().kind != torch::jit::TK_DEF) {
        throw Error(code::kScript, path_ + ": code/" + file_name(space) + " holds more than classes and functions; export the model with a newer PyTorch");
      }
      definitions_.push_back({space, is_class ? parser.parseClass() : parser.parseFunction(false)});
      declare(definitions_.back());
    }
    if (definitions_.size() > kMaxDefinitions) throw Error(code::kScript, path_ + ": more than " + std::to_string(kMaxDefinitions) + " classes and functions");
  }

  void check() {
    for (const Definition& definition : definitions_) {
      if (definition.tree->kind() == torch::jit::TK_CLASS_DEF) {
        check_class(definition.tree);
      } else {
        check_function(definition.tree);
      }
    }
    for (const auto& [name, fields] : tuples_) count_fields(name);
  }

  const std::set<std::string>& classes() const { return classes_; }

 private:
  static std::string file_name(std::string space) {
    std::replace(space.begin(), space.end(), '.', '/');
    return space + ".py";
  }

  [[noreturn]] static void refuse(const TreeRef& at, const std::string& what) {
    const auto place = at->range().file_line_col();
    std::string where;
    if (place) {
      const auto& [file, line, column] = *place;
      where = file + ", line " + std::to_string(line) + ": ";
    }
    throw Error(code::kScript, where + what);
  }

  /// First pass: which names the archive's code defines.
  void declare(const Definition& definition) {
    const TreeRef& tree = definition.tree;
    const std::string full = definition.space + "." + ident(tree->tree(0));
    if (tree->kind() != torch::jit::TK_CLASS_DEF) {
      declare_name(tree, ident(tree->tree(0)));
      functions_.insert(full);
      return;
    }
    if (full.compare(0, 24, "__torch__.torch.classes.") == 0) refuse(tree, "the class '" + full + "' takes a name of LibTorch's own classes");
    classes_.insert(full);
    if (!tree->tree(1)->trees().empty() && is_name(tree->tree(1)->tree(0), "NamedTuple")) tuples_[full] = tree->tree(2);
    for (const TreeRef& statement : tree->tree(2)->trees()) {
      if (statement->kind() == torch::jit::TK_DEF) {
        declare_name(statement, ident(statement->tree(0)));
      } else if (statement->kind() == torch::jit::TK_ASSIGN) {
        declare_attribute(statement);
      } else {
        refuse(statement, "a class may hold only attributes and methods");
      }
    }
    if (tree->trees().size() > 3 && !tree->tree(3)->trees().empty() && !tree->tree(3)->tree(0)->trees().empty()) refuse(tree, "properties are not supported");
  }

  void declare_attribute(const TreeRef& assign) {
    const TreeRef& targets = assign->tree(0);
    if (targets->trees().size() != 1) refuse(assign, "an attribute is declared in an unknown way");
    const TreeRef& target = targets->tree(0);
    if (target->kind() == torch::jit::TK_VAR) {
      declare_name(target, ident(target->tree(0)));
    } else if (target->kind() == torch::jit::TK_SUBSCRIPT && target->tree(1)->trees().size() == 1 && target->tree(1)->tree(0)->kind() == torch::jit::TK_STRINGLITERAL) {
      declare_name(target, target->tree(1)->tree(0)->tree(0)->stringValue());
    } else {
      refuse(assign, "an attribute is declared in an unknown way");
    }
  }

  void declare_name(const TreeRef& at, const std::string& name) {
    if (forbidden_names().count(name) != 0) refuse(at, "'" + name + "' may not be defined");
    if (allowed_operator(name)) return;
    if (declared_.count(name) == 0 && known_operator(name)) refuse(at, "'" + name + "' is the name of an operator that is not allowed");
    declared_.insert(name);
  }

  void check_class(const TreeRef& tree) {
    const TreeRef& base = tree->tree(1);
    if (!base->trees().empty()) {
      const TreeRef& name = base->tree(0);
      if (!is_name(name, "Module") && !is_name(name, "NamedTuple") && !is_name(name, "Enum")) refuse(tree, "a class that is neither a module nor a named tuple nor an enumeration");
    }
    for (const TreeRef& statement : tree->tree(2)->trees()) {
      if (statement->kind() == torch::jit::TK_DEF) {
        check_function(statement);
      } else {
        locals_.clear();
        for (size_t i = 1; i < statement->trees().size(); ++i) walk(statement->tree(i));
      }
    }
  }

  static bool is_name(const TreeRef& tree, const char* name) { return tree->kind() == torch::jit::TK_VAR && ident(tree->tree(0)) == name; }

  size_t count_fields(const std::string& tuple) {
    const auto known = fields_.find(tuple);
    if (known != fields_.end()) return known->second;
    fields_[tuple] = kMaxFields;  // what a tuple that holds itself is taken for
    const size_t count = count_in(tuples_.at(tuple));
    if (count > kMaxFields) refuse(tuples_.at(tuple), "the named tuple '" + tuple + "' has more than " + std::to_string(kMaxFields) + " fields with those that it holds");
    return fields_[tuple] = count;
  }

  size_t count_in(const TreeRef& tree) {
    const std::string name = tree->kind() == '.' ? dotted(tree) : "";
    if (tuples_.count(name) != 0) return count_fields(name);
    size_t count = 1;
    for (const TreeRef& child : tree->trees()) count = std::min(count + count_in(child), kMaxFields + 1);
    return count;
  }

  /// "a.b.c" of the expression a.b.c, without a if that is no name.
  static std::string dotted(const TreeRef& tree) {
    if (tree->kind() == torch::jit::TK_VAR) return ident(tree->tree(0));
    return tree->kind() == '.' ? dotted(tree->tree(0)) + "." + ident(tree->tree(1)) : "";
  }

  /// Def(name, Decl(parameters, return type), statements)
  void check_function(const TreeRef& def) {
    locals_.clear();
    for (const TreeRef& parameter : def->tree(1)->tree(0)->trees()) add_local(def, ident(parameter->tree(0)));
    collect_locals(def->tree(2));
    walk(def->tree(1));
    walk(def->tree(2));
  }

  void add_local(const TreeRef& at, const std::string& name) {
    if (allowed_root(name) || name == "getattr" || forbidden_names().count(name) != 0) refuse(at, "'" + name + "' is used as a variable");
    locals_.insert(name);
  }

  void add_targets(const TreeRef& tree) {
    if (tree->kind() == torch::jit::TK_VAR) {
      add_local(tree, ident(tree->tree(0)));
    } else if (tree->kind() == torch::jit::TK_LIST || tree->kind() == torch::jit::TK_TUPLE_LITERAL || tree->kind() == torch::jit::TK_STARRED || tree->kind() == torch::jit::TK_OPTION) {
      for (const TreeRef& child : tree->trees()) add_targets(child);
    }
  }

  void collect_locals(const TreeRef& tree) {
    switch (tree->kind()) {
      case torch::jit::TK_ASSIGN: add_targets(tree->tree(0)); break;
      case torch::jit::TK_FOR: add_targets(tree->tree(0)); break;
      case torch::jit::TK_LIST_COMP: add_targets(tree->tree(1)); break;
      case torch::jit::TK_DICT_COMP: add_targets(tree->tree(2)); break;
      case torch::jit::TK_WITH_ITEM: add_targets(tree->tree(1)); break;
      default: break;
    }
    for (const TreeRef& child : tree->trees()) collect_locals(child);
  }

  void walk(const TreeRef& tree) {
    switch (tree->kind()) {
      case torch::jit::TK_VAR: return check_variable(tree);
      case '.': return check_select(tree);
      case torch::jit::TK_DEF:
      case torch::jit::TK_CLASS_DEF:
      case torch::jit::TK_GLOBAL: refuse(tree, "a definition inside a function");
      case torch::jit::TK_APPLY:
        if (is_getattr(tree)) return;
        break;
      default: break;
    }
    for (const TreeRef& child : tree->trees()) walk(child);
  }

  void check_variable(const TreeRef& tree) const {
    const std::string& name = ident(tree->tree(0));
    if (locals_.count(name) == 0 && !allowed_builtin(name)) refuse(tree, "'" + name + "' is not allowed");
  }

  /// getattr(object, "name") stands for object.name where the name is no identifier, as in nn.Sequential.
  bool is_getattr(const TreeRef& apply) {
    const TreeRef& callee = apply->tree(0);
    if (callee->kind() != torch::jit::TK_VAR || ident(callee->tree(0)) != "getattr") return false;
    const auto& arguments = apply->tree(1)->trees();
    if (arguments.size() != 2 || arguments[1]->kind() != torch::jit::TK_STRINGLITERAL || !apply->tree(2)->trees().empty()) refuse(apply, "getattr without a constant name");
    check_member(apply, arguments[1]->tree(0)->stringValue());
    walk(arguments[0]);
    return true;
  }

  void check_member(const TreeRef& at, const std::string& name) const {
    if (declared_.count(name) == 0 && !allowed_operator(name)) refuse(at, "the operator '" + name + "' is not allowed");
  }

  /// A dotted name: of an operator, of a class or function of the archive, or members of a value.
  void check_select(const TreeRef& tree) {
    std::vector<std::string> names;
    TreeRef root = tree;
    while (root->kind() == '.') {
      names.insert(names.begin(), ident(root->tree(1)));
      root = root->tree(0);
    }
    size_t known = 0;
    if (root->kind() == torch::jit::TK_VAR && allowed_root(ident(root->tree(0)))) {
      known = check_root(tree, ident(root->tree(0)), names);
    } else {
      walk(root);
    }
    for (size_t i = known; i < names.size(); ++i) check_member(tree, names[i]);
  }

  /// How many of the names the root explains.
  size_t check_root(const TreeRef& at, const std::string& root, const std::vector<std::string>& names) const {
    if (root == "torch") {
      if (!allowed_operator(names[0])) refuse(at, "the operator 'torch." + names[0] + "' is not allowed");
      return 1;
    }
    if (root == "ops") {
      const std::string name = names.size() < 2 ? names[0] : names[0] + "." + names[1];
      if (!allowed_in_namespace(name)) refuse(at, "the operator 'ops." + name + "' is not allowed");
      return 2;
    }
    if (root == "CONSTANTS") {
      if (names[0].size() < 2 || names[0].size() > 9 || names[0][0] != 'c' || names[0].find_first_not_of("0123456789", 1) != std::string::npos) refuse(at, "the constant '" + names[0] + "' is not allowed");
      return 1;
    }
    std::string full = root;
    size_t explained = 0;
    for (size_t i = 0; i < names.size(); ++i) {
      full += "." + names[i];
      if (classes_.count(full) != 0 || functions_.count(full) != 0) explained = i + 1;
    }
    if (explained == 0) refuse(at, "'" + full + "' is not a class or function of the archive");
    return explained;
  }

  const std::string& path_;
  std::vector<Definition> definitions_;
  std::set<std::string> classes_;
  std::set<std::string> functions_;
  std::set<std::string> declared_;
  std::map<std::string, TreeRef> tuples_;  // the bodies of named tuples
  std::map<std::string, size_t> fields_;
  std::set<std::string> locals_;
};

}  // namespace

std::set<std::string> check_script_sources(const ScriptSources& sources, const std::string& path) {
  SourceCheck check(path);
  try {
    for (const auto& [space, text] : sources) {
      check_source_limits(text, path + ": " + space);
      check.parse(space, text);
    }
    check.check();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {  // of the parser
    throw Error(code::kScript, path + ": its code cannot be parsed: " + std::string(error.what()).substr(0, 500));
  }
  return check.classes();
}

}  // namespace sluice
