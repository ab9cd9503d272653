// Runs a fuzz target where there is no libFuzzer: every file of the given folders once, then mutations of them until the time is
// over. The same seed and corpus give the same mutations. An input that ends the process is left in the working folder.
//   target [-max_total_time=S] [-seed=N] [-max_len=N] [-artifact_prefix=P] FOLDER|FILE …
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/rng.h"
#include "input.h"

extern "C" void __sanitizer_set_death_callback(void (*callback)());

namespace {

using Bytes = std::vector<uint8_t>;

struct Options {
  double seconds = 0;
  uint64_t seed = 1;
  size_t max_length = 1 << 16;
  std::string prefix = "./";
  std::vector<std::string> paths;
};

const Bytes* current = nullptr;
std::string crash_file;

/// Keeps the input that is being run.
void keep_input() {
  if (current == nullptr) return;
  std::FILE* file = std::fopen(crash_file.c_str(), "wb");
  if (file == nullptr) return;
  std::fwrite(current->data(), 1, current->size(), file);
  std::fclose(file);
  std::fprintf(stderr, "the input is in %s (%zu bytes)\n", crash_file.c_str(), current->size());
}

void on_abort(int signal) {
  keep_input();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(const Bytes& input) {
  current = &input;
  // In its exact length on the heap: a read beyond it is seen.
  const Bytes exact(input);
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

/// One change at a random place, of the kinds that libFuzzer makes.
void mutate(Bytes& input, const std::vector<Bytes>& corpus, sluice::Rng& rng, size_t max_length) {
  const auto place = [&](size_t more) { return static_cast<size_t>(rng.below(input.size() + more)); };
  static constexpr int64_t kNumbers[] = {0, 1, -1, 127, 255, 256, 32767, 65535, 65536, INT32_MAX, INT32_MIN, UINT32_MAX, INT64_MAX, INT64_MIN};
  if (input.empty()) input.push_back(static_cast<uint8_t>(rng.below(256)));
  switch (rng.below(7)) {
    case 0: input[place(0)] ^= static_cast<uint8_t>(1U << rng.below(8)); break;
    case 1: input[place(0)] = static_cast<uint8_t>(rng.below(256)); break;
    case 2: {
      const size_t at = place(0);
      const size_t width = std::min(size_t{1} << rng.below(4), input.size() - at);
      std::memcpy(input.data() + at, &kNumbers[rng.below(std::size(kNumbers))], width);
      break;
    }
    case 3: {
      const size_t at = place(0);
      input.erase(input.begin() + static_cast<std::ptrdiff_t>(at), input.begin() + static_cast<std::ptrdiff_t>(std::min(input.size(), at + 1 + rng.below(16))));
      break;
    }
    case 4: {
      const size_t at = place(1);
      for (uint64_t i = 1 + rng.below(8); i > 0; --i) input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), static_cast<uint8_t>(rng.below(256)));
      break;
    }
    case 5: {  // a piece of another input
      const Bytes& other = corpus[rng.below(corpus.size())];
      if (other.empty()) break;
      const size_t from = rng.below(other.size());
      const size_t n = std::min<size_t>(1 + rng.below(64), other.size() - from);
      const size_t at = place(1);
      input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), other.begin() + static_cast<std::ptrdiff_t>(from), other.begin() + static_cast<std::ptrdiff_t>(from + n));
      break;
    }
    default: {
      const size_t at = place(0);
      input[at] = static_cast<uint8_t>(input[at] + (rng.below(2) == 0 ? 1 : -1));
      break;
    }
  }
  if (input.size() > max_length) input.resize(max_length);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const size_t equals = argument.find('=');
    if (argument.front() != '-' || equals == std::string::npos) {
      if (argument.front() != '-') options.paths.push_back(argument);
      continue;
    }
    const std::string name = argument.substr(1, equals - 1);
    const std::string value = argument.substr(equals + 1);
    if (name == "max_total_time") options.seconds = std::strtod(value.c_str(), nullptr);
    if (name == "seed") options.seed = std::strtoull(value.c_str(), nullptr, 10);
    if (name == "max_len") options.max_length = std::strtoull(value.c_str(), nullptr, 10);
    if (name == "artifact_prefix") options.prefix = value;
  }
  return options;
}

std::vector<Bytes> read_corpus(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    if (!std::filesystem::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  std::vector<Bytes> corpus;
  for (const std::string& name : files) {
    std::ifstream file(name, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    corpus.emplace_back(bytes.begin(), bytes.end());
  }
  return corpus;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  crash_file = options.prefix + "crash-" + std::to_string(getpid());
  __sanitizer_set_death_callback(keep_input);
  std::signal(SIGABRT, on_abort);
  std::vector<Bytes> corpus = read_corpus(options.paths);
  for (const Bytes& input : corpus) run(input);
  uint64_t runs = corpus.size();
  if (corpus.empty()) corpus.emplace_back();
  sluice::Rng rng(options.seed);
  const auto begin = std::chrono::steady_clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  while (passed() < options.seconds) {
    Bytes input = corpus[rng.below(corpus.size())];
    for (uint64_t n = uint64_t{1} << rng.below(5); n > 0; --n) mutate(input, corpus, rng, options.max_length);
    run(input);
    ++runs;
  }
  current = nullptr;
  std::fprintf(stderr, "Done %llu runs in %d second(s)\n", static_cast<unsigned long long>(runs), static_cast<int>(passed()));
  return 0;
}
