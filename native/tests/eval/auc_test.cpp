#include <cmath>

#include "eval/evaluate.h"
#include "fixtures.h"

namespace sluice {
namespace {

TEST(RocAuc, EqualsScikitLearn) {
  for (const auto& c : testing::fixture("auc.json")["cases"]) {
    const auto scores = c["scores"].get<std::vector<float>>();
    const auto labels = c["labels"].get<std::vector<float>>();
    const auto auc = roc_auc(scores.data(), labels.data(), scores.size());
    ASSERT_TRUE(auc.has_value());
    EXPECT_NEAR(*auc, c["auc"].get<double>(), 1e-12) << scores.size() << " samples";
  }
}

TEST(RocAuc, TiesCountHalfAndSignedZerosAreEqual) {
  const std::vector<float> scores{0.0F, -0.0F, 0.0F, -0.0F};
  const std::vector<float> labels{1.0F, 0.0F, 0.0F, 1.0F};
  EXPECT_EQ(roc_auc(scores.data(), labels.data(), 4), 0.5);
}

TEST(RocAuc, IsEmptyWithOneClassAndRefusesNan) {
  const std::vector<float> scores{0.1F, 0.2F};
  const std::vector<float> ones{1.0F, 1.0F};
  EXPECT_FALSE(roc_auc(scores.data(), ones.data(), 2).has_value());
  EXPECT_FALSE(roc_auc(scores.data(), ones.data(), 0).has_value());
  const std::vector<float> nan{0.1F, NAN};
  EXPECT_EQ(testing::error_of([&] { roc_auc(nan.data(), ones.data(), 2); }).first, "E_NOT_FINITE");
}

}  // namespace
}  // namespace sluice
