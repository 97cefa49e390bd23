#include "models/name_fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

namespace boxcam {
namespace {

using Set = std::vector<std::string_view>;

const ModelNames kModel({"conv1.weight", "bn1.weight", "bn1.num_batches_tracked", "layer1.0.conv1.weight",
                         "fc.weight"});

/// "1 model." for the set 1 with the prefix "model.", and how many names were found in each.
std::string found(const std::vector<Set>& sets) {
  std::string text;
  for (const NameFit& fit : kModel.best_fits(sets))
    text += std::to_string(fit.set) + " " + std::string(fit.prefix) + ": " + std::to_string(fit.found) + "\n";
  return text;
}

TEST(NameFit, MostNamesWin) {
  EXPECT_EQ(found({{"conv1.weight"}, {"fc.weight", "bn1.weight"}, {"loss"}}), "1 : 2\n");
  EXPECT_EQ(found({{"loss", "layer"}, {}}), "");
  EXPECT_EQ(found({{"xconv1.weight", "fc.weights", ".", ""}}), "");
  EXPECT_EQ(found({{"conv1.weight"}, {"fc.weight"}}), "0 : 1\n1 : 1\n");
}

TEST(NameFit, BatchCountersDoNotCount) {
  EXPECT_EQ(kModel.size(), 4u);
  EXPECT_EQ(found({{"fc.weight", "bn1.num_batches_tracked"}, {"fc.weight"}}), "0 : 1\n1 : 1\n");
  EXPECT_EQ(found({{"bn1.num_batches_tracked"}}), "");
  EXPECT_TRUE(kModel.contain("bn1.num_batches_tracked"));
}

TEST(NameFit, APrefixIsAllThatStandsBeforeTheNames) {
  EXPECT_EQ(found({{"a.b.fc.weight", "a.b.conv1.weight", "c.fc.weight"}}), "0 a.b.: 2\n");
  EXPECT_EQ(found({{"layer1.0.conv1.weight", "fc.weight"}}), "0 : 2\n");
  EXPECT_EQ(found({{"a.fc.weight", "a.bn1.weight", "b.fc.weight", "b.bn1.weight"}}), "0 a.: 2\n0 b.: 2\n");
  EXPECT_EQ(found({{"a.fc.weight", "a.bn1.weight", "fc.weight", "bn1.weight"}}), "0 : 2\n");
}

TEST(NameFit, OfTwoThatHaveAllTheOneWithoutStrangersInTheModelsPartsWins) {
  const Set small = {"fc.weight", "conv1.weight", "loss"},
            large = {"fc.weight", "conv1.weight", "layer1.1.conv1.weight"};
  EXPECT_EQ(found({large, small}), "1 : 2\n");
  EXPECT_EQ(found({{"s.fc.weight", "s.bn1.weight", "fc.weight", "bn1.weight", "fc.1.weight"}}), "0 s.: 2\n");
  EXPECT_TRUE(kModel.have_part_of("layer1.1.conv1.weight"));
  EXPECT_FALSE(kModel.have_part_of("layer10.conv1.weight"));
}

TEST(NameFit, AsManyPrefixesAsNamesCostNoMoreThanTheNames) {
  std::vector<std::string> names;
  for (int i = 0; i < 100'000; ++i) names.push_back(std::to_string(i) + ".fc.weight");
  names.emplace_back("7.fc.stray");
  const Set set(names.begin(), names.end());
  const auto begin = std::chrono::steady_clock::now();
  const std::vector<NameFit> fits = kModel.best_fits({set});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_EQ(fits.size(), 99'999u);
  EXPECT_TRUE(std::none_of(fits.begin(), fits.end(), [](const NameFit& fit) { return fit.prefix == "7."; }));
}

TEST(NameFit, FewNamesAreListedAndManyCounted) {
  EXPECT_EQ(few({"a", "b"}), "a, b");
  EXPECT_EQ(few({"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}), "1, 2, 3, 4, 5, 6, 7, 8 and 2 more");
}

}  // namespace
}  // namespace boxcam
