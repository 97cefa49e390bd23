// Options: declared once, and what follows from a declaration: parsing, ranges, words, run.json, and which programs
// offer which.
#include <gtest/gtest.h>

#include <set>

#include "apps/common/options/explain.h"
#include "apps/common/options/machine.h"
#include "apps/common/options/table.h"
#include "apps/common/options/train.h"
#include "tests/programs.h"

namespace boxcam {
namespace {

enum class Fruit { apple, pear };

struct Fields {
  double number = 0.5;
  int64_t whole = 3;
  uint64_t seed = 0;
  bool flag = false;
  std::string text = "abc", file;
  std::vector<std::string> list = {"x", "y"};
  Fruit fruit = Fruit::pear;
  CamProfile profile = CamProfile::pgc_1_4;
};

/// A table of every kind of option, after parsing.
struct Parsed {
  Fields f;
  CLI::App app;
  OptionTable table{app};

  explicit Parsed(std::vector<std::string> words) {
    table.group("Group");
    table.number("--number", f.number, between(0, 1), "a share");
    table.whole("--whole", f.whole, at_least(1), "a count");
    table.whole("--seed", f.seed, "a seed");
    table.flag("--flag", f.flag, "a flag");
    table.text("--text", f.text, "words");
    table.text("--file", f.file, "a file");
    table.unrecorded();
    table.list("--list", f.list, "several");
    table.choice("--fruit", f.fruit, Words<Fruit>{{"apple", Fruit::apple}, {"pear", Fruit::pear}}, "a fruit");
    table.word("--cam-profile", f.profile, "a profile");
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    app.parse(words);
  }
};

std::string error_of(const std::vector<std::string>& words) {
  try {
    const Parsed parsed(words);
  } catch (const CLI::ParseError& e) {
    return e.what();
  }
  return "no error";
}

TEST(OptionTable, DefaultsAreTheFields) {
  const Parsed p({});
  EXPECT_EQ(p.table.json(), (nlohmann::json{{"number", "0.5"},
                                            {"whole", "3"},
                                            {"seed", "0"},
                                            {"flag", false},
                                            {"text", "abc"},
                                            {"list", "x,y"},
                                            {"fruit", "pear"},
                                            {"cam-profile", "pgc-1.4"}}));
  EXPECT_FALSE(p.table.given("--number"));
  EXPECT_TRUE(p.table.has("--file"));
  EXPECT_FALSE(p.table.has("--fil"));
}

TEST(OptionTable, ParsesEveryKind) {
  const Parsed p({"--number", "0.25", "--whole=7", "--seed", "18446744073709551615", "--flag", "--text", "a b",
                  "--list", "u,v", "--fruit", "apple", "--cam-profile", "paper", "--file", "somewhere"});
  EXPECT_EQ(p.f.number, 0.25);
  EXPECT_EQ(p.f.whole, 7);
  EXPECT_EQ(p.f.seed, 18446744073709551615u);
  EXPECT_TRUE(p.f.flag);
  EXPECT_EQ(p.f.text, "a b");
  EXPECT_EQ(p.f.list, (std::vector<std::string>{"u", "v"}));
  EXPECT_EQ(p.f.fruit, Fruit::apple);
  EXPECT_EQ(p.f.profile, CamProfile::paper);
  EXPECT_TRUE(p.table.given("--fruit"));
  const nlohmann::json json = p.table.json();
  EXPECT_EQ(json["seed"], "18446744073709551615");
  EXPECT_EQ(json["cam-profile"], "paper");
  EXPECT_EQ(json["flag"], true);
  EXPECT_FALSE(json.contains("file"));
}

// What is written down is the value that is used, however it came about and however it was typed.
TEST(OptionTable, JsonIsWrittenFromTheFields) {
  Parsed p({"--number", "2.5e-1"});
  EXPECT_EQ(p.table.json()["number"], "0.25");
  p.f.number = 0.1 + 0.2;
  EXPECT_EQ(p.table.json()["number"], "0.30000000000000004");
  p.f.fruit = Fruit::apple;
  EXPECT_EQ(p.table.value("--fruit"), "apple");
  p.table.assign("--list", "k,l,m");
  EXPECT_EQ(p.f.list.size(), 3u);
  p.table.assign("--whole", "12");
  EXPECT_EQ(p.f.whole, 12);
  EXPECT_THROW(p.table.assign("--fruit", "plum"), CLI::ParseError);
}

TEST(OptionTable, RefusesWhatIsOutOfRangeOrNoWordAndSaysWhatWasFound) {
  EXPECT_EQ(error_of({"--number", "1.5"}), "--number: expected a number from 0 to 1, found '1.5'");
  EXPECT_EQ(error_of({"--number", "nan"}), "--number: expected a number from 0 to 1, found 'nan'");
  EXPECT_EQ(error_of({"--number", "half"}), "--number: expected a number from 0 to 1, found 'half'");
  EXPECT_EQ(error_of({"--whole", "0"}), "--whole: expected a whole number of 1 or more, found '0'");
  EXPECT_EQ(error_of({"--whole", "2.5"}), "--whole: expected a whole number of 1 or more, found '2.5'");
  EXPECT_EQ(error_of({"--seed", "-1"}), "--seed: expected a whole number of 0 or more, found '-1'");
  EXPECT_EQ(error_of({"--seed", "18446744073709551616"}),
            "--seed: expected a whole number of 0 or more, found '18446744073709551616'");
  EXPECT_EQ(error_of({"--fruit", "aple"}), "--fruit: 'aple' is not one of apple, pear; did you mean 'apple'?");
}

TEST(OptionTable, ImpliesAValueOrSaysWhyNot) {
  Parsed p({"--fruit", "apple"});
  p.table.imply("--cam-profile", p.f.profile, CamProfile::paper, "because");
  EXPECT_EQ(p.table.json()["cam-profile"], "paper");
  p.table.imply("--fruit", p.f.fruit, Fruit::apple, "given, and the same");
  try {
    p.table.imply("--fruit", p.f.fruit, Fruit::pear, "contradicts --pears");
    FAIL();
  } catch (const CLI::ParseError& e) {
    EXPECT_STREQ(e.what(), "--fruit: contradicts --pears");
  }
}

TEST(OptionTable, AnOptionIsDeclaredOnce) {
  Parsed p({});
  EXPECT_THROW(p.table.number("--number", p.f.number, at_least(0), "again"), Error);
  EXPECT_THROW(p.table.value("--nothing"), Error);
}

// Every enum that is an option's value: each word reads as the value that writes it.
template <class E>
void expect_words() {
  std::set<std::string> seen;
  for (const auto& [word, value] : words_of<E>()) {
    EXPECT_EQ(word_of(value), word);
    EXPECT_TRUE(seen.insert(word).second) << word;
  }
  EXPECT_GE(seen.size(), 2u);
}

TEST(Words, AreUniqueAndReadAsTheyAreWritten) {
  expect_words<Task>();
  expect_words<CamProfile>();
  expect_words<CamTarget>();
  expect_words<CamNormalizer>();
  expect_words<ContentHeatmap>();
  expect_words<Reading::Teaches>();
  expect_words<Reading::CamModel>();
  expect_words<Reading::BatchNorm>();
  expect_words<BoxControl>();
  expect_words<ContextFill>();
  expect_words<Penalty::Unboxed>();
  expect_words<TrainOptions::BestBy>();
  expect_words<OptimizerOptions::Kind>();
  expect_words<Schedule::Kind>();
  expect_words<Preprocess::Augment>();
  expect_words<Device>();
}

// ---- the programs: each offers what acts in it, and nothing else
// ------------------------------------------------------

/// The options that --help lists.
std::set<std::string> options_of(const std::string& program) {
  const Outcome help = run_program(program, {{"--help", ""}});
  EXPECT_EQ(help.status, 0) << help.err;
  std::set<std::string> found;
  std::istringstream lines(help.out);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word;
    if (!line.starts_with("  ") || !(words >> word)) continue;
    if (word.starts_with("-h,")) word = "--help";
    if (word.starts_with("--")) found.insert(word.substr(0, word.find(',')));
  }
  return found;
}

using Names = std::set<std::string>;

Names operator+(Names a, const Names& b) {
  a.insert(b.begin(), b.end());
  return a;
}

const Names kAlways = {"--help", "--version"};
const Names kSize = {"--task", "--classes", "--class-names", "--image-size", "--resize"};
const Names kImages = {
    "--data",        "--data-seed",           "--group-of",   "--several-classes", "--expand-children",
    "--sources",     "--context-correlation", "--none-class", "--missing-images",  "--difficult",
    "--scenes-level"};
const Names kCounts = {"--train-images", "--val-images", "--test-images"};
const Names kExplain = {"--model", "--explainer", "--tap", "--cam-target", "--cam-profile"};
const Names kMeasure = {"--cam-class", "--content-heatmap", "--eval-margin"};
const Names kCpu = {"--threads", "--conv-algorithm", "--precision", "--profile"};
const Names kCuda = {"--device", "--allow-tf32", "--fast-algorithms"};
const Names kStep = {"--cam-normalizer",
                     "--lambda",
                     "--margin",
                     "--loss",
                     "--unboxed",
                     "--boxes",
                     "--evidence-split",
                     "--swap-shape",
                     "--swap-consistency",
                     "--context-only",
                     "--context-fill",
                     "--class-balance",
                     "--head-bias",
                     "--background-swap",
                     "--penalty-gradient",
                     "--cam-model",
                     "--seed",
                     "--thesis",
                     "--cam-batch-norm",
                     "--transfer-gradient",
                     "--epochs",
                     "--optimizer",
                     "--lr",
                     "--momentum",
                     "--nesterov",
                     "--weight-decay",
                     "--schedule",
                     "--warmup",
                     "--clip-grad-norm",
                     "--batch",
                     "--augment",
                     "--weights",
                     "--weights-allow-missing"};

TEST(Programs, TrainWithExplainersThatCanTeachAlone) {
  for (const char* program : {"train", "walkthrough"}) {
    const Outcome result = run_program(program, {{"--explainer", "eigen-cam"}});
    EXPECT_EQ(result.status, 2) << program;
    EXPECT_TRUE(contains(result.err,
                         "--explainer: eigen-cam cannot teach: a singular vector has no derivative where "
                         "the two largest singular values are equal; evaluate and explain take it"))
        << result.err;
  }
}

TEST(Programs, OfferWhatActsInThem) {
  const Names trained = kSize + kImages + kExplain + kMeasure + kCpu + kStep;
  const Names of_train = {"--best-by",     "--keep-epochs",    "--test-margins",        "--output", "--resume",
                          "--tensorboard", "--loader-threads", "--background-variants", "--verify", "--verify-steps"};
  const Names of_walk = {"--train-images", "--checkpoint", "--html", "--dump"};
  const Names of_evaluate = {"--batch",  "--checkpoint",          "--split",   "--json", "--loader-threads",
                             "--csv",    "--explainers",          "--metrics", "--seed", "--ablation",
                             "--sanity", "--background-variants", "--identity"};
  const Names of_explain = {"--checkpoint", "--image",        "--class",    "--output",
                            "--dump",       "--overlay-size", "--ablation", "--metrics"};
  const Names of_prepare = {"--augment", "--output"},
              of_experiment = {"--study",        "--preset", "--grid", "--seeds",  "--reference",
                               "--only",         "--output", "--jobs", "--import", "--dry-run",
                               "--list-missing", "--tables", "--runs", "--rows",   "--pages"};
  EXPECT_EQ(options_of("train"), kAlways + trained + kCounts + kCuda + of_train);
  EXPECT_EQ(options_of("walkthrough"), kAlways + trained + of_walk);
  EXPECT_EQ(options_of("evaluate"),
            kAlways + kSize + kImages + kCounts + kExplain + kMeasure + kCpu + kCuda + of_evaluate);
  EXPECT_EQ(options_of("explain"), kAlways + kSize + kExplain + kCpu + kCuda + of_explain);
  EXPECT_EQ(options_of("prepare"), kAlways + kSize + kImages + kCounts + of_prepare);
  EXPECT_EQ(options_of("experiment"), kAlways + of_experiment);
}

TEST(Programs, RefuseWhatWouldDoNothing) {
  for (const auto& [program, option] :
       std::vector<std::pair<std::string, std::string>>{{"explain", "--batch"},
                                                        {"explain", "--data"},
                                                        {"explain", "--cam-class"},
                                                        {"explain", "--weights"},
                                                        {"evaluate", "--weights"},
                                                        {"evaluate", "--augment"},
                                                        {"evaluate", "--cam-normalizer"},
                                                        {"walkthrough", "--device"},
                                                        {"prepare", "--batch"}}) {
    const Outcome result = run_program(program, {{option, "1"}});
    EXPECT_EQ(result.status, 2) << program << " " << option;
    EXPECT_TRUE(contains(result.err, program + ": unknown option " + option)) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

}  // namespace
}  // namespace boxcam
