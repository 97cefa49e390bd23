// Data with groups in the programs: accuracy of each group, the worst and their mean wherever accuracy is told, the
// epoch chosen by the worst, and packed files that keep them.
#include <gtest/gtest.h>

#include "apps/common/groups.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

using Sizes = std::map<std::string, int64_t>;

/// Of each group so many images, of which so many are right.
Evaluation evaluation(const std::map<std::string, std::pair<int, int>>& groups) {
  Evaluation e{Metrics(2), 0, {}, {}, {0, 0}, {0, 0}, {}};
  const int32_t label = 0;
  const CamRecord record;
  for (const auto& [group, counts] : groups)
    for (int i = 0; i < counts.second; ++i) {
      const int32_t predicted = i < counts.first ? 0 : 1;
      e.by_group.try_emplace(group, 2).first->second.add({&label, 1}, {&predicted, 1}, {&record, 1});
    }
  return e;
}

TEST(GroupAccuracy, WorstMeanAndWeightedAsInTraining) {
  const Evaluation e = evaluation({{"a", {9, 10}}, {"b", {1, 4}}, {"c", {2, 4}}});
  const GroupAccuracy groups = group_accuracy(e, Sizes{{"a", 6}, {"b", 3}, {"c", 1}});
  EXPECT_EQ(groups.worst_group, "b");
  EXPECT_EQ(groups.worst, 0.25);
  EXPECT_NEAR(groups.mean, (0.9 + 0.25 + 0.5) / 3, 1e-15);
  EXPECT_NEAR(groups.training_weighted, 0.6 * 0.9 + 0.3 * 0.25 + 0.1 * 0.5, 1e-15);
  for (const Sizes& training :
       {Sizes{}, Sizes{{"a", 5}}, Sizes{{"a", 5}, {"b", 3}, {"d", 1}}, Sizes{{"a", 5}, {"b", 3}, {"c", 1}, {"d", 1}}})
    EXPECT_TRUE(std::isnan(group_accuracy(e, training).training_weighted));
  EXPECT_TRUE(group_accuracy(evaluation({}), {}).each.empty());
}

/// DIR/table.csv and 48 pictures of two classes on two grounds; at most `odd` of 24 training images are on the ground
/// of the other class. `groups`: whether the table has that column.
void write_birds(const TemporaryFolder& folder, int odd, bool groups) {
  std::filesystem::create_directories(folder / "p");
  std::ofstream csv(folder / "table.csv");
  csv << "# boxes: pixels\npath,label,xmin,ymin,xmax,ymax,split" << (groups ? ",group\n" : "\n");
  int number = 0;
  for (const auto& [split, count] : {std::pair{"train", 24}, {"validation", 12}, {"test", 12}})
    for (int i = 0; i < count; ++i) {
      const int label = i % 2;
      const bool other = split == std::string("train") ? i < odd : i % 4 >= 2;
      const int ground = other ? 1 - label : label;
      Image image(32, 32);
      std::fill(image.pixels.begin(), image.pixels.end(), static_cast<uint8_t>(ground ? 200 : 60));
      for (int y = 8; y < 20; ++y)
        for (int x = 8; x < 20; ++x) image.at(y, x)[label] = 255;
      const std::string name = "p/" + std::to_string(number++) + ".png";
      write_png(folder / name, image);
      csv << name << (label ? ",water,8,8,20,20," : ",land,8,8,20,20,") << split;
      if (groups) csv << (label ? ",water" : ",land") << " on " << (ground ? "water" : "land");
      csv << "\n";
    }
}

Arguments arguments(const TemporaryFolder& folder, const Arguments& more = {}) {
  return with({{"--data", "csv:" + folder / "table.csv"},
               {"--model", "plain-mini"},
               {"--image-size", "32"},
               {"--batch", "8"},
               {"--epochs", "3"},
               {"--threads", "1"},
               {"--output", folder / "run"}},
              more);
}

double lowest(const nlohmann::json& accuracies) {
  double least = 1;
  for (const nlohmann::json& a : accuracies) least = std::min(least, a.get<double>());
  return least;
}

TEST(Groups, AreToldByTrainAndEvaluateAlike) {
  const TemporaryFolder folder;
  write_birds(folder, 4, true);
  const Outcome trained = run_program("train", arguments(folder, {{"--best-by", "worst-group"}}));
  ASSERT_EQ(trained.status, 0) << trained.err;
  const nlohmann::json test = json_of(folder / "run/test.json");
  const nlohmann::json& each = test["test_group_accuracy"];
  ASSERT_EQ(each.size(), 4u);
  double sum = 0;
  for (const nlohmann::json& a : each) sum += a.get<double>();
  EXPECT_EQ(test["test_worst_group_accuracy"], lowest(each));
  EXPECT_EQ(each[test["test_worst_group"].get<std::string>()], lowest(each));
  EXPECT_DOUBLE_EQ(test["test_mean_group_accuracy"].get<double>(), sum / 4);
  const double weighted = (2 * each["land on water"].get<double>() + 2 * each["water on land"].get<double>() +
                           10 * each["land on land"].get<double>() + 10 * each["water on water"].get<double>()) /
                          24;
  EXPECT_DOUBLE_EQ(test["test_training_weighted_accuracy"].get<double>(), weighted);
  EXPECT_EQ(test["test_worst_class_accuracy"], lowest(test["per_class_accuracy"]));
  EXPECT_TRUE(contains(trained.out, "  worst group "));
  EXPECT_TRUE(contains(trained.out, "group land on water: 3 images, accuracy "));

  // The epoch that was kept is the first of the highest worst group.
  std::ifstream lines(folder / "run/epochs.jsonl");
  std::vector<double> worst;
  for (std::string line; std::getline(lines, line);) {
    const auto epoch = nlohmann::json::parse(line);
    EXPECT_EQ(epoch["val_worst_group_accuracy"], lowest(epoch["val_group_accuracy"]));
    EXPECT_TRUE(epoch.contains("val_mean_group_accuracy") && epoch.contains("val_worst_class_accuracy"));
    worst.push_back(epoch["val_worst_group_accuracy"]);
  }
  ASSERT_EQ(worst.size(), 3u);
  EXPECT_EQ(test["best_epoch"], std::max_element(worst.begin(), worst.end()) - worst.begin());

  const Outcome measured = run_program(
      "evaluate",
      {{"--checkpoint", folder / "run/best.safetensors"}, {"--threads", "1"}, {"--json", folder / "e.json"}});
  ASSERT_EQ(measured.status, 0) << measured.err;
  const nlohmann::json entry = json_of(folder / "e.json")["test"];
  for (const char* key : {"group_accuracy", "worst_group", "worst_group_accuracy", "mean_group_accuracy",
                          "training_weighted_accuracy", "worst_class_accuracy"})
    EXPECT_EQ(entry[key], test[std::string("test_") + key]) << key;
  EXPECT_TRUE(contains(measured.out, "weighted as in training "));
}

// Also where the data would name them in another.
TEST(Groups, EvaluateTakesTheClassesInTheOrderOfTheModelFile) {
  const TemporaryFolder folder;
  write_birds(folder, 4, true);
  const Outcome trained = run_program("train", arguments(folder, {{"--classes", "water,land"}}));
  ASSERT_EQ(trained.status, 0) << trained.err;
  const Outcome measured = run_program(
      "evaluate",
      {{"--checkpoint", folder / "run/best.safetensors"}, {"--threads", "1"}, {"--json", folder / "e.json"}});
  ASSERT_EQ(measured.status, 0) << measured.err;
  EXPECT_EQ(json_of(folder / "e.json")["test"]["accuracy"], json_of(folder / "run/test.json")["test_accuracy"]);
}

TEST(Groups, PackedFilesKeepThem) {
  const TemporaryFolder folder;
  write_birds(folder, 0, true);
  const std::string packed = folder / "packed";
  const Outcome made =
      run_program("prepare", {{"--data", "csv:" + folder / "table.csv"}, {"--image-size", "32"}, {"--output", packed}});
  ASSERT_EQ(made.status, 0) << made.err;
  const Outcome plain = run_program("train", arguments(folder));
  ASSERT_EQ(plain.status, 0) << plain.err;
  const Outcome from_packed =
      run_program("train", arguments(folder, {{"--data", "packed:" + packed}, {"--output", folder / "run2"}}));
  ASSERT_EQ(from_packed.status, 0) << from_packed.err;
  const nlohmann::json test = json_of(folder / "run/test.json");
  EXPECT_EQ(json_of(folder / "run2/test.json"), test);
  EXPECT_EQ(test["test_group_accuracy"].size(), 4u);
  EXPECT_FALSE(test.contains("test_training_weighted_accuracy")) << "training lacks two of the groups";

  DataOptions options;
  options.data = "packed:" + packed;
  options.classes = {"land", "water"};
  options.image_size = 32;
  EXPECT_EQ(training_groups(options), (Sizes{{"land on land", 12}, {"water on water", 12}}));
  const std::string identity = open_splits(options, {"test"})[0].data->identity();
  std::string table = bytes_of(folder / "table.csv");
  table.replace(table.rfind("water on land"), 13, "water on moon");
  write_bytes(folder / "table.csv", table);
  ASSERT_EQ(
      run_program("prepare",
                  {{"--data", "csv:" + folder / "table.csv"}, {"--image-size", "32"}, {"--output", folder / "other"}})
          .status,
      0);
  options.data = "packed:" + folder / "other";
  EXPECT_NE(open_splits(options, {"test"})[0].data->identity(), identity);
}

TEST(Groups, AreAskedForOnlyWhereThereAreAny) {
  const TemporaryFolder folder;
  write_birds(folder, 0, false);
  const Outcome refused = run_program("train", arguments(folder, {{"--best-by", "worst-group"}}));
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(contains(refused.err, "--best-by: the validation split of --data csv:" + folder / "table.csv" +
                                        " knows no groups: expected content-heatmap, accuracy, worst-class or last"));
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
  const Outcome by_class = run_program("train", arguments(folder, {{"--best-by", "worst-class"}}));
  ASSERT_EQ(by_class.status, 0) << by_class.err;
  EXPECT_FALSE(contains(bytes_of(folder / "run/test.json"), "group"));
  EXPECT_FALSE(contains(by_class.out, "worst group"));
}

TEST(Groups, ChoicesThatDecideNothingAreRefused) {
  const TemporaryFolder folder;
  write_birds(folder, 0, false);
  const Outcome difficult = run_program("train", arguments(folder, {{"--difficult", "drop"}}));
  EXPECT_EQ(difficult.status, 2);
  EXPECT_TRUE(contains(difficult.err, "train: --difficult: decides nothing of --data csv:FILE"));
  std::string table = bytes_of(folder / "table.csv");
  for (size_t at; (at = table.find(",8,8,20,20")) != std::string::npos;) table.erase(at, 10);
  table.erase(table.find(",xmin,ymin,xmax,ymax"), 20);
  write_bytes(folder / "table.csv", table);
  const Outcome boxes = run_program("train", arguments(folder, {{"--lambda", "1"}}));
  EXPECT_EQ(boxes.status, 2);
  EXPECT_TRUE(contains(boxes.err, "train: --lambda: there are no boxes in --data csv:"));
}

}  // namespace
}  // namespace boxcam
