// Studies as a user runs them: what is made, kept, gone on with, waited for, told.
#include <gtest/gtest.h>

#include <csignal>
#include <set>

#include "tests/programs.h"

namespace boxcam {
namespace {

namespace fs = std::filesystem;

/// Two rows, two seeds: four runs of a fraction of a second.
std::vector<std::string> tiny_study(const std::string& folder, const std::vector<std::string>& more = {}) {
  Arguments options = tiny_run();
  options.erase("--threads");
  std::vector<std::string> words = {"--grid", "lambda=0,1", "--seeds", "2", "--output", folder};
  for (const std::string& word : words_of(options)) words.push_back(word);
  words.insert(words.end(), more.begin(), more.end());
  return words;
}
Outcome experiment(const std::vector<std::string>& words) { return Program("experiment", words).finish(); }

/// What must be equal in two studies: everything in the runs' folders but run.json's place and measured times.
std::map<std::string, std::string> bytes_of_runs(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().filename().string(), path = entry.path().string();
    if (!entry.is_regular_file() || name.ends_with(".log") || name == "run.json") continue;
    std::string bytes = bytes_of(path);
    if (name == "epochs.jsonl") {
      std::string lines;
      std::istringstream in(bytes);
      for (std::string line; std::getline(in, line);) {
        auto json = nlohmann::json::parse(line);
        json.erase("seconds"), json.erase("images_per_second");
        lines += json.dump() + "\n";
      }
      bytes = lines;
    }
    files[path.substr(folder.size())] = bytes;
  }
  return files;
}

TEST(Experiment, MakesEveryRunOnceAndPutsThemSideBySide) {
  const TemporaryFolder folder;
  const Outcome first = experiment(tiny_study(folder / "s"));
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_TRUE(contains(first.out, "2 rows x 2 seeds"));
  EXPECT_TRUE(contains(first.out, "[4/4]"));
  EXPECT_TRUE(contains(first.out, "no verdict"));  // of two seeds
  for (const char* file : {"table.md", "table.csv", "table.tex", "report.html"})
    EXPECT_TRUE(fs::exists(folder / (std::string("s/") + file))) << file;
  const auto files = bytes_of_runs(folder / "s");
  const auto time = fs::last_write_time(folder / "s/lambda=0");
  const Outcome again = experiment(tiny_study(folder / "s"));
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_TRUE(contains(again.out, "4 of 4 runs are finished already"));
  EXPECT_EQ(bytes_of_runs(folder / "s"), files);
  EXPECT_EQ(fs::last_write_time(folder / "s/lambda=0"), time);
  // One more seed is two more runs.
  auto more = tiny_study(folder / "s");
  more[3] = "3";
  EXPECT_TRUE(contains(experiment(more).out, "[6/6]"));
}

TEST(Experiment, GoesOnAfterAnInterruptAndAKillAndGivesTheSameBytes) {
  const TemporaryFolder folder;
  const std::vector<std::string> longer = {"--epochs", "12"};
  ASSERT_EQ(experiment(tiny_study(folder / "whole", longer)).status, 0);
  const auto words = tiny_study(folder / "cut", longer);
  int cuts = 0;
  for (const int signal : {SIGINT, SIGKILL, SIGTERM, SIGKILL}) {
    Program program("experiment", words);
    program.wait_for("begins");
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    program.interrupt(signal);
    const Outcome stopped = program.finish();
    cuts += stopped.status == 128 + signal;
    if (signal != SIGKILL && stopped.status != 0) {
      EXPECT_TRUE(contains(stopped.err, "the same command goes on"));
    }
  }
  EXPECT_GT(cuts, 0);
  const Outcome done = experiment(words);
  ASSERT_EQ(done.status, 0) << done.out << done.err;
  EXPECT_EQ(bytes_of_runs(folder / "cut"), bytes_of_runs(folder / "whole"));
}

TEST(Experiment, MakesThePageOfARunThatWasKilledBeforeIt) {
  const TemporaryFolder folder;
  ASSERT_EQ(experiment(tiny_study(folder / "s")).status, 0);
  const auto files = bytes_of_runs(folder / "s");
  for (const auto& [name, bytes] : files)
    if (name.ends_with("/report.html") && name != "/report.html") fs::remove((folder / "s") + name);
  EXPECT_NE(bytes_of_runs(folder / "s"), files);
  ASSERT_EQ(experiment(tiny_study(folder / "s")).status, 0);
  EXPECT_EQ(bytes_of_runs(folder / "s"), files);
}

TEST(Experiment, TwoProcessesShareAStudy) {
  const TemporaryFolder folder;
  const auto words = tiny_study(folder / "s", {"--jobs", "1", "--epochs", "6"});
  Program one("experiment", words), two("experiment", words);
  const Outcome a = one.finish(), b = two.finish();
  EXPECT_EQ(a.status, 0) << a.err;
  EXPECT_EQ(b.status, 0) << b.err;
  // Each run was finished by one of them.
  const auto count = [](const std::string& text, const std::string& part) {
    size_t times = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++times;
    return times;
  };
  EXPECT_EQ(count(a.out, "finished in") + count(b.out, "finished in"), 4u) << a.out << b.out;
  size_t epochs = 0;
  for (const auto& [name, bytes] : bytes_of_runs(folder / "s"))
    if (name.ends_with("epochs.jsonl")) epochs += count(bytes, "\n");
  EXPECT_EQ(epochs, 24u);
}

TEST(Experiment, AFailedRunIsTheOnlyOneThatIsMissing) {
  const TemporaryFolder folder;
  std::ofstream(folder / "s.toml") << "seeds = 1\n[options]\nmodel = 'resnet-mini'\nimage-size = 32\nbatch = 8\n"
                                      "epochs = 1\ntrain-images = 32\nval-images = 16\ntest-images = 16\n"
                                      "[[row]]\nname = 'good'\n[[row]]\nname = 'bad'\nlr = 1e30\n";
  const Outcome result = experiment({"--study", folder / "s.toml", "--output", folder / "s"});
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.out, "bad, seed 0: failed: step "));
  EXPECT_TRUE(contains(result.out, "- bad, seed 0: "));
  EXPECT_TRUE(contains(result.err, "1 runs failed"));
  EXPECT_TRUE(fs::exists(folder / "s/report.html"));
}

TEST(Experiment, ListsWhatIsMissingAsCommands) {
  const TemporaryFolder folder;
  const Outcome listed = experiment(tiny_study(folder / "s", {"--list-missing"}));
  ASSERT_EQ(listed.status, 0) << listed.err;
  std::istringstream lines(listed.out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    EXPECT_EQ(std::system((line + " > /dev/null 2>&1").c_str()), 0) << line;
  EXPECT_EQ(count, 4);
  EXPECT_EQ(experiment(tiny_study(folder / "s", {"--list-missing"})).out, "");
  EXPECT_TRUE(contains(experiment(tiny_study(folder / "s")).out, "4 of 4 runs are finished already"));
}

TEST(Experiment, DoesNotClearOrFillAFolderBehindALink) {
  const TemporaryFolder folder;
  const std::string line = experiment(tiny_study(folder / "s", {"--list-missing"})).out;
  const std::string run = line.substr(line.find(" --output ") + 10, line.find('\n') - line.find(" --output ") - 10);
  fs::create_directories(folder / "precious/below");
  write_bytes(folder / "precious/thesis.txt", "years");
  fs::create_directories(fs::path(run).parent_path());
  fs::create_directory_symlink(folder / "precious", run);
  const Outcome result = experiment(tiny_study(folder / "s"));
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.out + result.err, run + " is a link: expected a run's own folder")) << result.err;
  EXPECT_EQ(bytes_of(folder / "precious/thesis.txt"), "years");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder / "precious"), {}), 2);
}

TEST(Experiment, SaysBeforehandWhatItWillTake) {
  const TemporaryFolder folder;
  const Outcome result = experiment(tiny_study(folder / "s", {"--dry-run"}));
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "2 rows x 2 seeds = 4 runs, 4 of them to be made"));
  EXPECT_FALSE(fs::exists(folder / "s"));
}

TEST(Experiment, TakesRunsThatWereMadeElsewhere) {
  const TemporaryFolder folder;
  train(folder / "old/any/name", {{"--lambda", "1"}, {"--seed", "1"}, {"--data-seed", "1"}});
  // As results are kept in a repository: without weights and pictures.
  for (const auto& entry : fs::directory_iterator(folder / "old/any/name")) {
    const std::string name = entry.path().filename().string();
    if (name != "run.json" && name != "test.json" && name != "epochs.jsonl") fs::remove_all(entry.path());
  }
  const Outcome result = experiment(tiny_study(folder / "s", {"--import", folder / "old"}));
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "1 runs are taken from"));
  EXPECT_TRUE(contains(result.out, "1 of 4 runs are finished already"));
  EXPECT_TRUE(contains(result.out, "their intervals are over seeds alone"));
}

TEST(Experiment, SaysWhichFileIsNoRecordOfARun) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "old");
  write_bytes(folder / "old/test.json", "{}");
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  for (const std::string& run : {std::string("{}"), std::string(R"({"options": [], "data": 3})"), std::string("{"),
                                 R"({"options": {"lambda": )" + deep + R"(}, "data": {}})"}) {
    write_bytes(folder / "old/run.json", run);
    const Outcome result = experiment(tiny_study(folder / "s", {"--import", folder / "old", "--dry-run"}));
    EXPECT_EQ(result.status, 1);
    EXPECT_TRUE(contains(result.err, "old/run.json is n")) << result.err;  // not JSON, not a record, or nested too deep
  }
}

TEST(Experiment, ComparesTwoRunsAndTellsTheirFirstDifference) {
  const TemporaryFolder folder;
  train(folder / "a");
  train(folder / "b");
  train(folder / "c", {{"--lambda", "1"}});
  const Outcome same = experiment({"diff", folder / "a", folder / "b"});
  EXPECT_EQ(same.status, 0);
  EXPECT_TRUE(contains(same.out, "the same epochs and the same weights, bit for bit"));
  const Outcome other = experiment({"diff", folder / "a", folder / "c"});
  EXPECT_EQ(other.status, 1);
  EXPECT_TRUE(contains(other.out, "  lambda: 0 | 1"));
  EXPECT_TRUE(contains(other.out, "epoch 1 is the first with other numbers"));
  EXPECT_TRUE(contains(other.out, "weights: the first byte that differs is byte "));
  const Outcome beside = experiment({"compare", folder / "a", folder / "c"});
  EXPECT_EQ(beside.status, 0);
  EXPECT_TRUE(contains(beside.out, "  lambda: 0 | 1"));
  EXPECT_EQ(experiment({"diff", folder / "a", folder / "nowhere"}).status, 1);
}

TEST(Experiment, ComparesWhatExplainersShowOfRuns) {
  const TemporaryFolder folder;
  const auto page_of = [&](const std::string& row, const std::string& seed, const Arguments& more = {}) {
    const Outcome outcome =
        run_program("evaluate", with({{"--checkpoint", folder / row + "/" + seed + "/last.safetensors"},
                                      {"--threads", "1"},
                                      {"--explainers", "grad-cam,eigen-cam"},
                                      {"--metrics", "epg"},
                                      {"--json", folder / row + "/" + seed + "/page.json"}},
                                     more));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
  };
  for (const char* seed : {"1", "2"}) {
    train(folder / "a/" + seed, {{"--seed", seed}});
    train(folder / "b,c/" + seed, {{"--seed", seed}, {"--lambda", "1"}});
    page_of("a", seed);
  }
  page_of("b,c", "1");
  // Names of rows may hold commas, as a grid's do.
  const std::vector<std::string> words = {"--runs", folder / "", "--rows", "a,b,c", "--pages", "page.json"};
  const Outcome missing = experiment(words);
  EXPECT_EQ(missing.status, 1);
  EXPECT_TRUE(contains(missing.err, "b,c/2/page.json")) << missing.err;
  page_of("b,c", "2");
  const Outcome all = experiment(words);
  ASSERT_EQ(all.status, 0) << all.err;
  EXPECT_TRUE(contains(all.out, "## epg, test (in context)"));
  EXPECT_TRUE(contains(all.out, "## undefined maps, test (in context)"));
  EXPECT_TRUE(contains(all.out, "| grad-cam"));
  EXPECT_TRUE(contains(all.out, "no verdict"));
  // A cell is the mean over seeds of what evaluate said of each.
  double sum = 0;
  for (const char* seed : {"1", "2"}) {
    const nlohmann::json page = json_of(folder / "b,c/" + seed + "/page.json");
    sum += page["test (in context)"]["explainers"]["eigen-cam"]["epg"]["value"].get<double>();
  }
  const size_t table = all.out.find("## epg, test (in context)");
  const size_t row = all.out.find("\n| b,c ", table);
  const std::string line = all.out.substr(row + 1, all.out.find('\n', row + 1) - row - 1);
  char mean[16];
  std::snprintf(mean, sizeof mean, "%.1f ±", 100 * sum / 2);
  EXPECT_TRUE(contains(line, mean)) << line << mean;
  // A file that is no page.
  const Outcome no_page = experiment({"--runs", folder / "", "--rows", "a,b,c", "--pages", "run.json"});
  EXPECT_EQ(no_page.status, 1);
  EXPECT_TRUE(contains(no_page.err, "a/1/run.json holds no page: expected what evaluate")) << no_page.err;
}

TEST(Experiment, OnlyNamesRowsOfAGridToo) {
  const TemporaryFolder folder;
  const auto lines = [&](const std::string& names) {
    const Outcome result =
        experiment({"--preset", "boxes", "--grid", "context-fill=blur,mean", "--grid", "epochs=1,2", "--context-only",
                    "1", "--only", names, "--seeds", "1", "--list-missing", "--output", folder / "s"});
    EXPECT_EQ(result.status, 0) << result.err;
    return std::count(result.out.begin(), result.out.end(), '\n');
  };
  EXPECT_EQ(lines("lambda-0"), 4);
  EXPECT_EQ(lines("lambda-0,box"), 8);
  EXPECT_EQ(lines("lambda-0,context-fill=mean"), 2);
  EXPECT_EQ(lines("box,lambda-0,context-fill=mean,epochs=2"), 5);
  // A name that there is, is that row alone.
  const std::string file =
      write_bytes(folder / "two.toml", "[[row]]\nname = \"a\"\nlambda = 0\n[[row]]\nname = \"a,b\"\nlambda = 1\n");
  for (const char* name : {"a", "a,b"}) {
    const Outcome one =
        experiment({"--study", file, "--only", name, "--seeds", "1", "--list-missing", "--output", folder / "t"});
    EXPECT_EQ(std::count(one.out.begin(), one.out.end(), '\n'), 1) << one.out << one.err;
  }
}

TEST(Experiment, RefusesInASentence) {
  const auto refused = [](const std::vector<std::string>& words) {
    const Outcome result = experiment(words);
    EXPECT_NE(result.status, 0);
    return result.err;
  };
  EXPECT_TRUE(contains(refused({}), "--study: is required, or --preset, --grid or --runs"));
  EXPECT_TRUE(contains(refused({"--grid", "lamda=1"}), "'lamda' is not an option of train; did you mean 'lambda'?"));
  EXPECT_TRUE(contains(refused({"--grid", "lambda=0,1", "--sedes", "3"}), "unknown option --sedes"));
  EXPECT_TRUE(contains(refused({"--preset", "demo", "--only", "centrd"}), "there is no row 'centrd'; did you mean"));
  EXPECT_TRUE(
      contains(refused({"--preset", "demo", "--only", "centred,centred"}), "--only: names the row 'centred' twice"));
  EXPECT_TRUE(contains(refused({"--preset", "demo", "--pages", "page.json"}), "--pages: belongs to --runs"));
  EXPECT_TRUE(contains(refused({"--study", "/nowhere.toml"}), "/nowhere.toml"));
  EXPECT_TRUE(contains(refused({"--preset", "demo", "--lambda", "3"}), "--lambda is what the rows of this study say"));
}

}  // namespace
}  // namespace boxcam
