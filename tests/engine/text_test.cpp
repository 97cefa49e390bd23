#include "engine/base/text.h"

#include <gtest/gtest.h>

namespace boxcam {
namespace {

using Words = std::vector<std::string>;

TEST(Text, NearestGivesTheLikelyWordsFirst) {
  const Words known{"Airplane", "Boat", "Boot", "Car", "Cart", "Truck"};
  EXPECT_EQ(nearest("airplan", known), Words{"Airplane"});
  EXPECT_EQ(nearest("boat", known), (Words{"Boat", "Boot"}));
  EXPECT_EQ(nearest("car", known), (Words{"Car", "Cart"}));
  EXPECT_EQ(nearest("car", known, 1), Words{"Car"});
  EXPECT_EQ(nearest("--image", {"--lambda", "--images", "--image-size"}), (Words{"--images", "--image-size"}));
}

TEST(Text, NearestAlwaysGivesOneWordWhereThereIsAny) {
  EXPECT_EQ(nearest("zzzzzzzzzz", {"Boat", "Car"}).size(), 1u);
  EXPECT_EQ(nearest("", {"Boat", "Car"}), Words{"Car"});
  EXPECT_TRUE(nearest("boat", {}).empty());
  EXPECT_TRUE(nearest("boat", {"Boat"}, 0).empty());
}

TEST(Text, LongWordsAreNotComparedLetterByLetter) {  // which would take hours
  const std::string long_word(1 << 20, 'a');
  EXPECT_EQ(nearest(long_word, {"Boat", long_word + "b"}), Words{long_word + "b"});
}

TEST(Text, JoinAndLower) {
  EXPECT_EQ(join({"a", "b", "c"}), "a, b, c");
  EXPECT_EQ(join({}), "");
  EXPECT_EQ(join({"", "b"}, "|"), "|b");
  EXPECT_EQ(lower("Van-42"), "van-42");
}

}  // namespace
}  // namespace boxcam
