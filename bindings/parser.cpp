// A user's parser: native/src/train/parser_queue.h. One environment makes the queue; worker threads, each an environment of its
// own, find it by its number and take chunks from it.
#include "train/parser_queue.h"

#include <atomic>
#include <limits>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "arrays.h"
#include "guard.h"
#include "handles.h"
#include "module.h"
#include "plans.h"

namespace sluice::bindings {

namespace {

constexpr size_t kMaxName = 4096;
constexpr size_t kMaxMessage = 4096;
constexpr uint32_t kMaxInputs = 65'536;
constexpr uint64_t kMaxValues = uint64_t{1} << 28;
constexpr uint32_t kMaxWaitMs = 1000;  // a blocked worker cannot be ended
constexpr size_t kMaxRank = 8;

/// The queues of the process by number.
struct Registry {
  std::mutex mutex;
  std::unordered_map<uint64_t, std::weak_ptr<ParserQueue>> queues;
  uint64_t next = 1;

  static Registry& instance() {
    static auto* registry = new Registry;  // never destroyed: workers may come late
    return *registry;
  }
  uint64_t add(const std::shared_ptr<ParserQueue>& queue) {
    const std::lock_guard lock(mutex);
    std::erase_if(queues, [](const auto& entry) { return entry.second.expired(); });
    queues.emplace(next, queue);
    return next++;
  }
  std::shared_ptr<ParserQueue> find(const Arg& number) {
    const uint64_t id = number.integer(1, kMaxSafeInteger);
    const std::lock_guard lock(mutex);
    const auto found = queues.find(id);
    auto queue = found == queues.end() ? nullptr : found->second.lock();
    if (queue == nullptr) throw Error(code::kClosed, std::string("[") + number.op() + "] the parser is closed");
    return queue;
  }
};

ParsedShape read_shape(const Arg& arg) {
  ParsedShape shape;
  shape.dense = arg.field("dense").integer32(0, kMaxInputs);
  for (const Arg& rows : arg.field("categorical").elements(kMaxInputs)) shape.buckets.push_back(rows.integer32(1, std::numeric_limits<int32_t>::max()));
  uint64_t values = 1;
  for (const Arg& side : arg.field("values").elements(kMaxRank)) {
    shape.values.push_back(side.integer32(1, kMaxInputs));
    values *= shape.values.back();  // both factors below 2^32: no overflow
    if (values > kMaxValues) arg.field("values").fail("a shape of at most " + std::to_string(kMaxValues) + " values");
  }
  shape.ids = arg.field("ids").integer32(0, kMaxInputs);
  return shape;
}

// C++: ParserQueue(std::string name, ParsedShape shape, double seconds)
// TS:  parser_create(name: string, shape: RawParsedShape, seconds: number): ParserHandle;
Napi::Value create(Call& call) {
  const std::string name = call.arg(0, "name").text(1, kMaxName);
  ParsedShape shape = read_shape(call.arg(1, "shape"));
  const double seconds = call.arg(2, "seconds").number(0.001, 1e6);
  auto queue = std::make_shared<ParserQueue>(name, std::move(shape), seconds);
  const uint64_t number = Registry::instance().add(queue);
  return make_handle(call.env(), std::make_shared<ParserHandle>(std::move(queue), number));
}

// TS:  parser_number(parser: ParserHandle): number;
Napi::Value number_of(Call& call) { return Napi::Number::New(call.env(), static_cast<double>(call.arg(0, "parser").handle<ParserHandle>()->number())); }

// C++: void ParserQueue::fail(const std::string& message)
// TS:  parser_fail(parser: ParserHandle, message: string): void;
Napi::Value fail(Call& call) {
  const std::string message = call.arg(1, "message").text(1, kMaxMessage);
  call.arg(0, "parser").handle<ParserHandle>()->queue()->fail(message);
  return call.undefined();
}

// C++: void ParserQueue::close()
// TS:  parser_close(parser: ParserHandle): void;
Napi::Value close(Call& call) {
  unwrap_handle<ParserHandle>(call.arg(0, "parser"))->close();
  return call.undefined();
}

/// A chunk's contents, copied while its records are sure to be there.
struct Copied {
  std::vector<uint64_t> keys;
  std::vector<int64_t> timestamps;
  std::vector<uint8_t> bytes;
  std::vector<int32_t> offsets;
  std::optional<Augment> augment;

  explicit Copied(const ParseChunk& chunk)
      : keys(chunk.keys, chunk.keys + chunk.rows), timestamps(chunk.timestamps, chunk.timestamps + chunk.rows), offsets{0}, augment(chunk.augment) {
    uint64_t total = 0;
    for (size_t r = 0; r < chunk.rows; ++r) total += chunk.bytes(r).second;
    if (total > static_cast<uint64_t>(std::numeric_limits<int32_t>::max())) throw Error(code::kArgument, "parser: more than 2 GiB in a chunk");
    bytes.reserve(total);
    for (size_t r = 0; r < chunk.rows; ++r) {
      const auto [data, length] = chunk.bytes(r);
      bytes.insert(bytes.end(), data, data + length);
      offsets.push_back(static_cast<int32_t>(bytes.size()));
    }
  }
};

// C++: std::optional<uint64_t> ParserQueue::take(std::chrono::milliseconds wait, const std::function<void(const ParseChunk&)>& copy)
// TS:  parser_take(parser: number, waitMs: number): RawParseChunk | null;
Napi::Value take(Call& call) {
  const auto queue = Registry::instance().find(call.arg(0, "parser"));
  const std::chrono::milliseconds wait(call.arg(1, "waitMs").integer32(0, kMaxWaitMs));
  std::optional<Copied> copied;
  const auto number = queue->take(wait, [&](const ParseChunk& chunk) { copied.emplace(chunk); });
  const Napi::Env env = call.env();
  if (!number) return env.Null();
  const Napi::Object object = Napi::Object::New(env);
  object.Set("chunk", static_cast<double>(*number));
  object.Set("keys", to_typed_array(env, std::move(copied->keys)));
  object.Set("timestamps", to_typed_array(env, std::move(copied->timestamps)));
  object.Set("bytes", to_typed_array(env, std::move(copied->bytes)));
  object.Set("offsets", to_typed_array(env, std::move(copied->offsets)));
  object.Set("training", Napi::Boolean::New(env, copied->augment.has_value()));
  object.Set("epoch", static_cast<double>(copied->augment ? copied->augment->epoch : 0));
  object.Set("seed", static_cast<double>(copied->augment ? copied->augment->seed : 0));
  return object;
}

// C++: void ParserQueue::give(uint64_t chunk, const ParsedChunk& results)
// TS:  parser_give(parser: number, chunk: number, rows: number, results: RawParsed): void;
Napi::Value give(Call& call) {
  const auto queue = Registry::instance().find(call.arg(0, "parser"));
  const uint64_t chunk = call.arg(1, "chunk").integer(1, kMaxSafeInteger);
  const size_t rows = call.arg(2, "rows").integer(1, kMaxInputs);
  const Arg results = call.arg(3, "results");
  const Arg dense = results.field("dense"), categorical = results.field("categorical"), values = results.field("values"), ids = results.field("ids");
  const ParsedShape& shape = queue->shape();
  queue->give(chunk, rows, {dense.array<float>(rows * shape.dense).data(), categorical.array<int32_t>(rows * shape.buckets.size()).data(),
                            values.array<float>(rows * shape.value_count()).data(), ids.array<int32_t>(rows * shape.ids).data()});
  return call.undefined();
}

// C++: void ParserQueue::reject(uint64_t chunk, size_t row, const std::string& message)
// TS:  parser_reject(parser: number, chunk: number, row: number, message: string): void;
Napi::Value reject(Call& call) {
  const auto queue = Registry::instance().find(call.arg(0, "parser"));
  const uint64_t chunk = call.arg(1, "chunk").integer(1, kMaxSafeInteger);
  const size_t row = call.arg(2, "row").integer(0, kMaxInputs);
  queue->reject(chunk, row, call.arg(3, "message").text(1, kMaxMessage));
  return call.undefined();
}

}  // namespace

void define_parser(Napi::Object exports) {
  define<create>(exports, "parser_create");
  define<number_of>(exports, "parser_number");
  define<fail>(exports, "parser_fail");
  define<close>(exports, "parser_close");
  define<take>(exports, "parser_take");
  define<give>(exports, "parser_give");
  define<reject>(exports, "parser_reject");
}

}  // namespace sluice::bindings
