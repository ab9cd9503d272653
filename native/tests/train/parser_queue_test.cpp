#include "train/parser_queue.h"

#include <atomic>
#include <cstring>
#include <thread>

#include "fixtures.h"

namespace sluice {
namespace {

using testing::error_of;
using namespace std::chrono_literals;

constexpr uint32_t kCapacity = 8;
constexpr size_t kRows = 300;

/// Records of one byte, the key modulo 100, and workers that give it as a number and as an index.
class ParserQueueTest : public ::testing::Test {
 protected:
  ParserQueueTest() : queue_("my.ts", {1, {100}, {}, 0}, 0.2), keys_(kRows), times_(kRows, 0), records_(kRows, std::vector<uint8_t>(4 + kCapacity)) {
    for (size_t i = 0; i < kRows; ++i) {
      keys_[i] = i;
      records_[i][0] = 1;
      records_[i][4] = static_cast<uint8_t>(i % 100);
      at_.push_back(records_[i].data());
    }
  }

  void parse(const StopFlag* stop = nullptr) {
    ParserQueue::Target target;
    target.rows.dense = dense_;
    target.rows.categorical = codes_;
    target.rows.stride = kRows;
    target.width = 3;
    target.dense = 2;
    target.stops = {stop, nullptr};
    queue_.parse({kRows, keys_.data(), times_.data(), at_.data(), 0, kCapacity, std::nullopt}, target);
  }

  /// Serves chunks until the queue is closed; `change` may spoil their results.
  template <typename Change>
  void serve(const Change& change) {
    try {
      while (true) {
        std::vector<float> dense;
        std::vector<int32_t> codes;
        const auto chunk = queue_.take(20ms, [&](const ParseChunk& c) {
          for (size_t r = 0; r < c.rows; ++r) {
            const auto [bytes, length] = c.bytes(r);
            dense.push_back(bytes[0]);
            codes.push_back(bytes[length - 1]);
          }
        });
        if (chunk && change(*chunk, dense, codes)) queue_.give(*chunk, dense.size(), {dense.data(), codes.data(), nullptr, nullptr});
      }
    } catch (const Error& error) {
      EXPECT_STREQ(error.code(), code::kClosed);
    }
  }

  ParserQueue queue_;
  std::vector<uint64_t> keys_;
  std::vector<int64_t> times_;
  std::vector<std::vector<uint8_t>> records_;
  std::vector<const uint8_t*> at_;
  float dense_[3 * kRows] = {};
  int32_t codes_[kRows] = {};
};

TEST_F(ParserQueueTest, ResultsLandInTheirRowsWhoeverParsesThem) {
  const auto good = [](uint64_t, auto&, auto&) { return true; };
  std::thread first([&] { serve(good); }), second([&] { serve(good); });
  for (int pass = 0; pass < 20; ++pass) parse();
  queue_.close();
  first.join();
  second.join();
  for (size_t i = 0; i < kRows; ++i) {
    EXPECT_EQ(dense_[3 * i + 2], static_cast<float>(i % 100));
    EXPECT_EQ(dense_[3 * i], 0.0F);
    EXPECT_EQ(codes_[i], static_cast<int32_t>(i % 100));
  }
  EXPECT_EQ(error_of([&] { parse(); }).first, "E_CLOSED");
}

TEST_F(ParserQueueTest, WhatMayNotBeIsRefusedWithItsSample) {
  std::atomic<int> wrong{0};
  std::thread worker([&] {
    serve([&](uint64_t chunk, std::vector<float>& dense, std::vector<int32_t>& codes) {
      if (wrong == 0) dense[7] = NAN;
      if (wrong == 1) codes[3] = 100;
      if (wrong == 2) codes[3] = -1;
      if (wrong == 3) queue_.reject(chunk, 5, "no such thing");
      return wrong != 3;
    });
  });
  const char* expected[] = {"sample 7: my.ts: dense[0] is nan", "sample 3: my.ts: categorical[0]: expected 0 to 99, got 100", "sample 3: my.ts: categorical[0]: expected 0 to 99, got -1",
                            "sample 5: my.ts: no such thing"};
  for (wrong = 0; wrong < 4; ++wrong) {
    // Chunks are parsed at once, so that the error may be that of a later one.
    const auto [code, message] = error_of([&] { parse(); });
    EXPECT_EQ(code, "E_PARSER");
    EXPECT_NE(message.find(std::string(expected[wrong]).substr(std::string(expected[wrong]).find(": "))), std::string::npos) << message;
  }
  queue_.close();
  worker.join();
}

TEST_F(ParserQueueTest, AStopATimeLimitAndTheEndOfAllWorkersEndTheWaiting) {
  StopFlag stop;
  stop.request();
  EXPECT_EQ(error_of([&] { parse(&stop); }).first, "E_ABORTED");
  std::thread worker([&] { serve([](uint64_t, auto&, auto&) { return false; }); });  // takes chunks and gives nothing
  EXPECT_EQ(error_of([&] { parse(); }), std::make_pair(std::string("E_PARSER"), std::string("my.ts took longer than 1 s on 128 samples, the first of which is 0")));
  EXPECT_EQ(error_of([&] { parse(); }).first, "E_PARSER") << "a worker that was lost is not waited for again";
  queue_.close();
  worker.join();
  ParserQueue other("other.ts", {1, {}, {}, 0}, 60);
  other.fail("other.ts: gone");
  EXPECT_EQ(error_of([&] { other.parse({1, keys_.data(), times_.data(), at_.data(), 0, kCapacity, std::nullopt}, {}); }), std::make_pair(std::string("E_PARSER"), std::string("other.ts: gone")));
}

TEST_F(ParserQueueTest, ALateResultIsIgnoredAndAWrongNumberOfSamplesRefused) {
  queue_.give(1, 128, {});
  queue_.reject(1, 0, "late");
  std::thread worker([&] {
    std::optional<uint64_t> chunk;
    while (!chunk) chunk = queue_.take(20ms, [](const ParseChunk&) {});
    EXPECT_EQ(error_of([&] { queue_.give(*chunk, 3, {}); }).first, "E_ARGUMENT");
    queue_.reject(*chunk, 0, "enough");
  });
  EXPECT_EQ(error_of([&] { parse(); }).second, "sample 0: my.ts: enough");
  worker.join();
}

TEST_F(ParserQueueTest, AStoredLengthBeyondTheCapacityIsCorrupt) {
  records_[0][1] = 1;  // 257
  std::thread worker([&] {
    EXPECT_EQ(error_of([&] {
                while (true) queue_.take(20ms, [](const ParseChunk& c) { c.bytes(0); });
              }).first, "E_CORRUPT");
  });
  EXPECT_EQ(error_of([&] { parse(); }).first, "E_CORRUPT");
  worker.join();
}

TEST_F(ParserQueueTest, ARejectionOfAChunkThatNobodyTookIsIgnored) {
  std::string message;
  std::thread caller([&] {
    try {
      parse();
    } catch (const Error& error) {
      message = error.what();
    }
  });
  const auto copy = [](const ParseChunk&) {};
  const auto give = [&](uint64_t chunk, size_t rows) {
    const std::vector<float> dense(rows);
    const std::vector<int32_t> codes(rows);
    queue_.give(chunk, rows, {dense.data(), codes.data(), nullptr, nullptr});
  };
  for (const size_t rows : {128U, 128U, 44U}) {
    std::optional<uint64_t> chunk;
    while (!chunk) chunk = queue_.take(20ms, copy);
    queue_.reject(*chunk + 1, 0, "not mine");
    give(*chunk, rows);
  }
  caller.join();
  EXPECT_EQ(message, "");
}

}  // namespace
}  // namespace sluice
