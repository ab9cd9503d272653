#include "train/script/pickle_scan.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <vector>

#include "base/error.h"

namespace sluice {

namespace {

constexpr size_t kMaxPickle = 256'000'000;
constexpr uint16_t kMaxHeight = 200;      // how deep values may lie in one another; LibTorch visits them recursively
constexpr uint64_t kMaxValues = 100'000'000;  // with every shared value counted as often as it is met: LibTorch visits it as often
constexpr int kMaxBrackets = 50;          // in a string, which may be a type that LibTorch parses recursively

enum class Kind : uint8_t { kMark, kGlobal, kUnbuilt, kString, kInt, kBool, kOther, kTuple, kList, kDict, kStorage };

struct Value {
  Kind kind = Kind::kOther;
  bool kept = false;      // reachable through the memo: must not change any more, or values could hold themselves
  uint16_t height = 0;
  uint64_t values = 1;    // that it holds, itself included
  uint32_t length = 0;    // of a string or tuple
  uint64_t start = 0;     // of a string or global: its place in the pickle; of a tuple: its first item in the pool
  int64_t number = 0;     // of an integer; of a storage: its elements
};

const std::map<std::string, int64_t>& storage_types() {
  static const std::map<std::string, int64_t> bytes{{"DoubleStorage", 8}, {"FloatStorage", 4}, {"HalfStorage", 2}, {"BFloat16Storage", 2}, {"LongStorage", 8},
                                                    {"IntStorage", 4},    {"ShortStorage", 2}, {"CharStorage", 1}, {"ByteStorage", 1},     {"BoolStorage", 1}};
  return bytes;
}

/// Functions that a pickle may call, all of them known to LibTorch's reader and free of effects.
const std::set<std::string>& functions() {
  static const std::set<std::string> names{"torch._utils _rebuild_tensor_v2",      "torch.jit._pickle restore_type_tag", "torch.jit._pickle build_intlist",
                                           "torch.jit._pickle build_doublelist",   "torch.jit._pickle build_boollist",   "torch.jit._pickle build_tensorlist",
                                           "collections OrderedDict",              "torch device"};
  return names;
}

class Scanner {
 public:
  Scanner(std::string_view bytes, const PickleRules& rules) : bytes_(bytes), rules_(rules) {}

  void run() {
    if (bytes_.size() > kMaxPickle) corrupt("it has " + std::to_string(bytes_.size()) + " bytes; the limit is " + std::to_string(kMaxPickle));
    if (byte() != 0x80 || byte() != 2) corrupt("it does not begin with protocol 2");
    for (;;) {
      const unsigned char opcode = byte();
      if (opcode == '.') break;
      if (!constant(opcode) && !memo(opcode) && !container(opcode) && !construction(opcode)) {
        throw Error(code::kScript, rules_.where + ": the opcode " + std::to_string(opcode) + " at byte " + std::to_string(at_ - 1) + " is not one that PyTorch writes for a module");
      }
    }
    if (stack_.size() != 1 || top().kind == Kind::kMark) corrupt("it leaves " + std::to_string(stack_.size()) + " values");
    if (at_ != bytes_.size() && bytes_.substr(at_).find_first_not_of('\0') != std::string_view::npos) corrupt("bytes follow its end");
  }

 private:
  [[noreturn]] void corrupt(const std::string& what) const { throw Error(code::kCorrupt, rules_.where + ": not a sound pickle: " + what); }
  [[noreturn]] void refuse(const std::string& what) const { throw Error(code::kScript, rules_.where + ": " + what); }

  unsigned char byte() {
    if (at_ >= bytes_.size()) corrupt("it ends too early");
    return static_cast<unsigned char>(bytes_[at_++]);
  }

  uint64_t number(int width) {
    uint64_t value = 0;
    for (int i = 0; i < width; ++i) value |= static_cast<uint64_t>(byte()) << (8 * i);
    return value;
  }

  std::string_view text(const Value& value) const { return bytes_.substr(value.start, value.length); }
  Value& top() { return stack_.back(); }
  void push(Kind kind, int64_t number = 0) {
    Value value;
    value.kind = kind;
    value.number = number;
    stack_.push_back(value);
  }

  Value pop(Kind kind, const char* what) {
    if (stack_.empty() || stack_.back().kind != kind) corrupt("byte " + std::to_string(at_) + " lacks " + what);
    const Value value = stack_.back();
    stack_.pop_back();
    return value;
  }

  bool constant(unsigned char opcode) {
    switch (opcode) {
      case 'N': push(Kind::kOther); return true;
      case 0x88:
      case 0x89: push(Kind::kBool); return true;
      case 'J': push(Kind::kInt, static_cast<int32_t>(number(4))); return true;
      case 'K': push(Kind::kInt, static_cast<int64_t>(number(1))); return true;
      case 'M': push(Kind::kInt, static_cast<int64_t>(number(2))); return true;
      case 'G': number(8); push(Kind::kOther); return true;
      case 0x8A: {  // LONG1; PyTorch writes eight bytes
        if (byte() != 8) corrupt("an integer that is not 64 bits wide");
        push(Kind::kInt, static_cast<int64_t>(number(8)));
        return true;
      }
      case 'X': string(); return true;
      default: return false;
    }
  }

  void string() {
    const uint64_t length = number(4);
    if (length > bytes_.size() - at_) corrupt("a string of " + std::to_string(length) + " bytes at byte " + std::to_string(at_));
    push(Kind::kString);
    top().start = at_;
    top().length = static_cast<uint32_t>(length);
    at_ += length;
    int open = 0;
    for (const char c : text(top())) {
      if (c == '[' || c == '(') ++open;
      if (c == ']' || c == ')') --open;
      if (open > kMaxBrackets) refuse("a string nests more than " + std::to_string(kMaxBrackets) + " brackets");
    }
  }

  bool memo(unsigned char opcode) {
    if (opcode == 'q' || opcode == 'r') {
      const uint64_t index = number(opcode == 'q' ? 1 : 4);
      if (stack_.empty() || top().kind == Kind::kMark) corrupt("it remembers a value that is not there");
      if (index != memo_.size()) corrupt("it remembers values out of order");  // LibTorch's reader resizes its memo to the index
      top().kept = true;
      memo_.push_back(top());
      return true;
    }
    if (opcode == 'h' || opcode == 'j') {
      const uint64_t index = number(opcode == 'h' ? 1 : 4);
      if (index >= memo_.size()) corrupt("it recalls value " + std::to_string(index) + " of " + std::to_string(memo_.size()));
      stack_.push_back(memo_[index]);
      return true;
    }
    return false;
  }

  bool container(unsigned char opcode) {
    switch (opcode) {
      case '(': push(Kind::kMark); return true;
      case ')': push(Kind::kTuple); return true;
      case ']': push(Kind::kList); return true;
      case '}': push(Kind::kDict); return true;
      case 't': tuple(items_to_mark()); return true;
      case 0x85:
      case 0x86:
      case 0x87: tuple(opcode - 0x84U); return true;
      case 'a': fill(Kind::kList, 1, "a list"); return true;
      case 's': fill(Kind::kDict, 2, "a dictionary"); return true;
      case 'e': fill(Kind::kList, items_to_mark(), "a list"); return true;
      case 'u': {
        const size_t items = items_to_mark();
        if (items % 2 != 0) corrupt("a dictionary's key without a value");
        fill(Kind::kDict, items, "a dictionary");
        return true;
      }
      default: return false;
    }
  }

  /// Removes the topmost mark and returns how many values lie above it.
  size_t items_to_mark() {
    for (size_t i = stack_.size(); i-- > 0;) {
      if (stack_[i].kind != Kind::kMark) continue;
      stack_.erase(stack_.begin() + static_cast<std::ptrdiff_t>(i));
      return stack_.size() - i;
    }
    corrupt("byte " + std::to_string(at_) + " lacks a mark");
  }

  /// Makes `holder` hold the topmost `items` of the stack, which must be finished values.
  void hold(Value& holder, size_t items) const {
    if (items > stack_.size()) corrupt("byte " + std::to_string(at_) + " takes more values than there are");
    for (size_t i = stack_.size() - items; i < stack_.size(); ++i) hold(holder, stack_[i]);
  }

  void hold(Value& holder, const Value& item) const {
    if (item.kind == Kind::kMark || item.kind == Kind::kUnbuilt) corrupt("byte " + std::to_string(at_) + " takes a value that is not finished");
    if (item.height >= kMaxHeight) refuse("its values nest more than " + std::to_string(kMaxHeight) + " deep");
    holder.height = std::max(holder.height, static_cast<uint16_t>(item.height + 1));
    holder.values += item.values;
    if (holder.values > kMaxValues) refuse("it holds more than " + std::to_string(kMaxValues) + " values");
  }

  void tuple(size_t items) {
    Value made;
    made.kind = Kind::kTuple;
    hold(made, items);
    made.start = pool_.size();
    made.length = static_cast<uint32_t>(items);
    pool_.insert(pool_.end(), stack_.end() - static_cast<std::ptrdiff_t>(items), stack_.end());
    stack_.resize(stack_.size() - items);
    stack_.push_back(made);
  }

  void fill(Kind kind, size_t items, const char* what) {
    if (items >= stack_.size() || stack_[stack_.size() - items - 1].kind != kind) corrupt("byte " + std::to_string(at_) + " fills what is not " + what);
    Value& holder = stack_[stack_.size() - items - 1];
    if (holder.kept) corrupt("byte " + std::to_string(at_) + " changes a value that is remembered");
    hold(holder, items);
    stack_.resize(stack_.size() - items);
  }

  bool construction(unsigned char opcode) {
    switch (opcode) {
      case 'c': global(); return true;
      case 0x81: {  // NEWOBJ: a class and no arguments
        const Value arguments = pop(Kind::kTuple, "arguments");
        const Value made = pop(Kind::kGlobal, "a class");
        if (arguments.length != 0 || !is_class(made)) refuse("it constructs '" + name(made) + "' from arguments");
        push(Kind::kUnbuilt);
        return true;
      }
      case 'b': {  // BUILD: sets an object's attributes
        const Value attributes = pop(Kind::kDict, "attributes");
        pop(Kind::kUnbuilt, "an object");
        push(Kind::kOther);
        hold(top(), attributes);
        return true;
      }
      case 'Q': storage(); return true;
      case 'R': reduce(); return true;
      default: return false;
    }
  }

  std::string name(const Value& global) const {
    std::string text(bytes_.substr(global.start, global.length));
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
  }

  bool is_class(const Value& global) const {
    std::string qualified = name(global);
    std::replace(qualified.begin(), qualified.end(), ' ', '.');
    return rules_.classes.count(qualified) != 0;
  }

  void global() {
    Value value;
    value.kind = Kind::kGlobal;
    value.start = at_;
    for (int line = 0; line < 2; ++line) {
      while (byte() != '\n') {
      }
    }
    value.length = static_cast<uint32_t>(at_ - value.start - 1);
    const std::string text = name(value);
    const bool type = text.compare(0, 6, "torch ") == 0 && storage_types().count(text.substr(6)) != 0;
    if (!type && !is_class(value) && functions().count(text) == 0) refuse("it names '" + text + "', which is not among the classes of the archive's code or what PyTorch writes for a module");
    stack_.push_back(value);
  }

  const Value& item(const Value& tuple, uint32_t index, Kind kind, const char* what) const {
    if (index >= tuple.length || pool_[tuple.start + index].kind != kind) corrupt("byte " + std::to_string(at_) + " lacks " + what);
    return pool_[tuple.start + index];
  }

  /// ("storage", type, record, device, elements)
  void storage() {
    const Value id = pop(Kind::kTuple, "a storage");
    if (id.length != 5 || text(item(id, 0, Kind::kString, "a storage's tag")) != "storage") corrupt("a storage that is not of five parts");
    const std::string type = name(item(id, 1, Kind::kGlobal, "a storage's type"));
    const auto bytes = storage_types().find(type.substr(std::min<size_t>(6, type.size())));
    if (type.compare(0, 6, "torch ") != 0 || bytes == storage_types().end()) refuse("a tensor of '" + type + "'");
    const std::string record(text(item(id, 2, Kind::kString, "a storage's record")));
    item(id, 3, Kind::kString, "a storage's device");
    const int64_t elements = item(id, 4, Kind::kInt, "a storage's size").number;
    const int64_t present = rules_.storage_bytes(record);
    if (present < 0) corrupt("the tensor record '" + record + "' is missing");
    if (elements < 0 || elements > present / bytes->second) corrupt("the tensor record '" + record + "' has " + std::to_string(present) + " bytes, too few for " + std::to_string(elements) + " elements");
    const auto [known, added] = storage_bytes_.emplace(record, bytes->second);
    if (!added && known->second != bytes->second) refuse("the tensor record '" + record + "' is used with two types");
    push(Kind::kStorage, elements);
  }

  void reduce() {
    if (stack_.empty()) corrupt("byte " + std::to_string(at_) + " lacks arguments");
    const Value arguments = top();
    stack_.pop_back();
    const Value called = pop(Kind::kGlobal, "a function");
    const std::string text = name(called);
    if (functions().count(text) == 0 && !is_class(called)) refuse("it calls '" + text + "'");
    if (arguments.kind != Kind::kTuple && !is_class(called)) corrupt("byte " + std::to_string(at_) + " lacks arguments");  // an enumeration's value comes alone
    if (text == "torch._utils _rebuild_tensor_v2") tensor(arguments);
    if (text.find("list", 18) != std::string::npos && text.compare(0, 18, "torch.jit._pickle ") == 0) item(arguments, 0, Kind::kList, "a list");
    if (text == "torch.jit._pickle restore_type_tag" && (arguments.length != 2 || item(arguments, 1, Kind::kString, "a type").length == 0)) corrupt("a type tag without a type");
    push(Kind::kOther);
    hold(top(), arguments);
  }

  /// (storage, offset, sizes, strides, requires_grad, hooks): every element must lie inside the storage.
  void tensor(const Value& arguments) const {
    const int64_t elements = item(arguments, 0, Kind::kStorage, "a tensor's storage").number;
    const int64_t offset = item(arguments, 1, Kind::kInt, "a tensor's offset").number;
    const Value& sizes = item(arguments, 2, Kind::kTuple, "a tensor's sizes");
    const Value& strides = item(arguments, 3, Kind::kTuple, "a tensor's strides");
    if (arguments.length != 6 || sizes.length != strides.length || sizes.length > 64) corrupt("a tensor of " + std::to_string(sizes.length) + " sizes and " + std::to_string(strides.length) + " strides");
    __int128 last = offset;
    bool empty = false;
    bool bad = offset < 0 || offset > elements;
    for (uint32_t d = 0; d < sizes.length && !bad; ++d) {
      const int64_t size = item(sizes, d, Kind::kInt, "a tensor's size").number;
      const int64_t stride = item(strides, d, Kind::kInt, "a tensor's stride").number;
      bad = size < 0 || stride < 0 || (size > 0 && size > (int64_t{1} << 48)) || stride > (int64_t{1} << 48);
      empty = empty || size == 0;
      last += static_cast<__int128>(size - 1) * stride;
    }
    if (bad || (!empty && last >= elements)) corrupt("a tensor at byte " + std::to_string(at_) + " reaches outside its storage of " + std::to_string(elements) + " elements");
  }

  std::string_view bytes_;
  const PickleRules& rules_;
  size_t at_ = 0;
  std::vector<Value> stack_;
  std::vector<Value> memo_;
  std::vector<Value> pool_;  // the items of tuples
  std::unordered_map<std::string, int64_t> storage_bytes_;
};

}  // namespace

void scan_pickle(std::string_view bytes, const PickleRules& rules) { Scanner(bytes, rules).run(); }

}  // namespace sluice
