// Goodness of fit for tests of samplers. Seeds are fixed, so a test either always passes or always fails.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

namespace sluice::testing {

/// Pearson's statistic of observed counts against expected ones.
inline double chi_square(const std::vector<uint64_t>& observed, const std::vector<double>& expected) {
  double sum = 0.0;
  for (size_t i = 0; i < observed.size(); ++i) {
    const double difference = static_cast<double>(observed[i]) - expected.at(i);
    sum += difference * difference / expected[i];
  }
  return sum;
}

/// The value that Pearson's statistic exceeds with probability 1e-4 (Wilson and Hilferty, 1931).
inline double chi_square_limit(double degrees) {
  constexpr double kNormal = 3.719;  // the standard normal's quantile
  const double a = 2.0 / (9.0 * degrees);
  return degrees * std::pow(1.0 - a + kNormal * std::sqrt(a), 3.0);
}

}  // namespace sluice::testing
