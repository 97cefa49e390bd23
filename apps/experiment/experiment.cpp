// Runs a study, row by row and seed by seed, and puts its runs side by side: tables, and a page.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <iostream>

#include "apps/common/options/table.h"
#include "apps/common/program.h"
#include "apps/common/progress.h"
#include "apps/common/report/report.h"
#include "apps/experiment/compare.h"
#include "apps/experiment/import.h"
#include "apps/experiment/tables.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "engine/machine.h"

using namespace boxcam;
namespace fs = std::filesystem;

namespace {

struct Options {
  std::string study, preset, seeds, reference, output, import;
  std::vector<std::string> grid, only;
  int64_t jobs = 0;
  bool dry_run = false, list_missing = false, tables = false;
  std::string runs, pages;
  std::vector<std::string> rows;
};

/// Words that were split at commas, as the names that they are: those of a grid's rows hold commas themselves, and the
/// longest that is known is meant. What is not known stays a word.
std::vector<std::string> names_of(const std::vector<std::string>& words,
                                  const std::function<bool(const std::string&)>& known) {
  std::vector<std::string> names;
  for (auto begin = words.begin(); begin != words.end();) {
    auto end = words.end();
    while (end != begin + 1 && !known(join({begin, end}, ","))) --end;
    names.push_back(join({begin, end}, ","));
    begin = end;
  }
  return names;
}

/// The rows named, in that order. The name of a row that --grid has crossed means all that it became; of two rows "a"
/// and "a,b" of a file, "a" is the first alone.
std::vector<StudyRowOptions> only(const std::vector<StudyRowOptions>& all, const std::vector<std::string>& words) {
  const auto of = [&](const std::string& name) {
    std::vector<StudyRowOptions> found;
    for (const StudyRowOptions& row : all)
      if (row.name == name) return std::vector{row};
    for (const StudyRowOptions& row : all)
      if (row.name.starts_with(name + ",")) found.push_back(row);
    return found;
  };
  std::vector<std::string> known;
  for (const StudyRowOptions& row : all) known.push_back(row.name);
  std::vector<StudyRowOptions> rows;
  for (const std::string& name : names_of(words, [&](const std::string& text) { return !of(text).empty(); })) {
    const std::vector<StudyRowOptions> found = of(name);
    check(!found.empty(), "--only: there is no row '", name, "'", did_you_mean(name, known));
    for (const StudyRowOptions& row : found) {
      check(std::none_of(rows.begin(), rows.end(), [&](const auto& other) { return other.name == row.name; }),
            "--only: names the row '", row.name, "' twice");
      rows.push_back(row);
    }
  }
  return rows;
}

Study study_of(const OptionTable& table, const Options& o) {
  table.refuse(!o.study.empty() && !o.preset.empty(), "--preset", "is a study of its own, and so is --study");
  Study study;
  if (!o.study.empty()) {
    study = read_study(read_file(o.study, "study"), o.study);
    study.name = fs::path(o.study).stem().string();
  } else if (!o.preset.empty()) {
    study = preset(o.preset);
  } else {
    table.refuse(o.grid.empty(), "--study", "is required, or --preset, --grid or --runs (see --help)");
  }
  std::vector<GridAxis> axes;
  for (const std::string& text : o.grid) axes.push_back(read_axis(text));
  study.rows = crossed(study.rows, axes);
  if (!o.only.empty()) study.rows = only(study.rows, o.only);
  if (!o.reference.empty()) study.reference = o.reference;
  std::vector<std::string> names;
  for (const StudyRowOptions& row : study.rows) names.push_back(row.name);
  const bool has_reference = std::find(names.begin(), names.end(), study.reference) != names.end();
  check(o.reference.empty() || has_reference, "--reference: there is no row '", study.reference, "'",
        did_you_mean(study.reference, names));
  if (!has_reference) study.reference = names.front();
  if (!o.seeds.empty()) {
    try {
      study.seeds = read_seeds(o.seeds);
    } catch (const Error& e) {
      fail("--seeds: ", e.what());
    }
  }
  if (study.seeds.empty()) study.seeds = read_seeds("8");
  return study;
}

/// Tables and page into the study's folder.
void write_tables(const StudyRecord& record, const std::string& folder) {
  const std::string tables = as_markdown(record);
  write_file(folder + "/table.md", {tables});
  write_file(folder + "/table.csv", {as_csv(record)});
  write_file(folder + "/table.tex", {as_latex(record)});
  write_file(folder + "/report.html", {study_page(record)});
  std::cout << "\n"
            << tables << "\ntables      " << folder << "/table.md, table.csv, table.tex\npage        " << folder
            << "/report.html\n";
}

void tell_costs(const Study& study, const std::vector<PlannedRun>& runs, int64_t jobs) {
  const std::vector<RunCost> costs = measured_costs(study, runs);
  double seconds = 0, bytes = 0;
  size_t left = 0;
  for (const PlannedRun& run : runs) {
    if (state_of(run) == RunState::finished) continue;
    seconds += costs[run.row].seconds, bytes += costs[run.row].bytes, ++left;
  }
  for (size_t r = 0; r < study.rows.size(); ++r)
    std::cout << "  " << study.rows[r].name << ": about " << duration(costs[r].seconds) << " a run\n";
  std::cout << study.rows.size() << " rows x " << study.seeds.size() << " seeds = " << runs.size() << " runs, " << left
            << " of them to be made\nabout " << duration(seconds / static_cast<double>(std::max<int64_t>(jobs, 1)))
            << " with " << jobs << " runs side by side, and " << static_cast<int64_t>(std::ceil(bytes / 1e6))
            << " MB on the disk (from a few measured steps)\n";
}

int run(const Options& o, const OptionTable& table, const std::vector<std::string>& words) {
  if (!o.runs.empty()) {
    table.refuse(o.rows.empty(), "--rows", "is required beside --runs");
    const auto is_folder = [&](const std::string& name) {
      std::error_code error;
      return fs::is_directory(o.runs + "/" + name, error);
    };
    const std::vector<std::string> rows = names_of(o.rows, is_folder);
    std::cout << as_markdown(o.pages.empty() ? record_of_folders(o.runs, rows)
                                             : record_of_pages(o.runs, rows, o.pages));
    return 0;
  }
  table.refuse(!o.pages.empty(), "--pages", "belongs to --runs");
  table.refuse(!o.rows.empty(), "--rows", "belongs to --runs; of a study, --only chooses rows");
  const OptionList given = read_options(words);
  const Study study = study_of(table, o);
  const std::string folder = o.output.empty() ? "runs/" + study.name : o.output;
  const bool gpu = std::any_of(given.begin(), given.end(),
                               [](const auto& option) { return option.first == "device" && option.second != "cpu"; });
  const auto all = static_cast<int64_t>(study.rows.size() * study.seeds.size());
  // One thread each is what the cores do most with; a GPU is one.
  const int64_t jobs = o.jobs > 0 ? o.jobs : std::min<int64_t>(gpu ? 1 : usable_processors(), all);
  const int threads = std::max<int>(usable_processors() / static_cast<int>(jobs), 1);
  std::vector<PlannedRun> runs = plan_runs(study, given, folder, threads);
  if (!o.import.empty()) std::cout << import_runs(o.import, runs) << " runs are taken from " << o.import << "\n";
  if (o.dry_run) {
    tell_costs(study, runs, jobs);
    return 0;
  }
  const std::string train = train_program();
  if (o.list_missing) {
    for (const PlannedRun& one : runs)
      if (const RunState state = state_of(one); state != RunState::finished && state != RunState::running)
        std::cout << command_of(one, train) << "\n";
    return 0;
  }
  catch_interrupts();
  std::error_code error;
  fs::create_directories(folder, error);
  check(!error, "--output: cannot make the folder ", folder, ": ", error.message());
  std::vector<Failure> failures;
  if (!o.tables) {
    std::cout << study.rows.size() << " rows x " << study.seeds.size() << " seeds in " << folder << ", " << jobs
              << " at a time with " << threads << (threads == 1 ? " thread" : " threads") << " each" << std::endl;
    failures = make_runs(study, runs, {train, jobs});
  }
  write_tables(study_record(study, runs, failures), folder);
  if (interrupted()) return exit_status();
  if (!failures.empty()) std::cerr << "experiment: " << failures.size() << " runs failed; the rest is done\n";
  return failures.empty() ? 0 : 1;
}

/// `experiment compare A B` and `experiment diff A B`.
int two_runs(int argc, char** argv) {
  const std::string what = argv[1];
  const bool comparing = what == "compare";
  CLI::App app(comparing ? "What two finished runs measured, side by side, and the options they differ in."
                         : "What two runs differ in: options, data, the first epoch and the first byte of the last "
                           "weights. Exit status 1 where it is not the same.",
               "experiment " + what);
  std::string a, b;
  app.add_option("A", a, "a run's folder")->required();
  app.add_option("B", b, "another")->required();
  return run_app(app, argc - 1, argv + 1, [&] {
    if (comparing) {
      std::cout << compare_runs(a, b);
      return 0;
    }
    const RunDifference difference = diff_runs(a, b);
    std::cout << difference.text;
    return difference.same ? 0 : 1;
  });
}

int program(int argc, char** argv) {
  if (argc > 1 && (std::string(argv[1]) == "compare" || std::string(argv[1]) == "diff")) return two_runs(argc, argv);
  std::vector<std::string> names;
  for (const Preset& p : presets()) names.push_back(p.name);
  CLI::App app(
      "Runs a study: every row with every seed, each a run of train, and puts them side by side, in tables and on a "
      "page. What is not an option of experiment is one of train, for every row. The same command goes on where it was "
      "stopped. Also: experiment compare A B, experiment diff A B.",
      "experiment");
  Options o;
  OptionTable table(app);
  table.group("Study");
  table.text("--study", o.study, "a TOML file with the rows (docs/study.md)");
  table.text("--preset", o.preset, "a study that is built in: " + join(names));
  app.add_option("--grid", o.grid,
                 "KEY=A,B,...: a row for each value of an option of train; several: for each combination")
      ->type_name("KEY=A,B")
      ->take_all()
      ->group("Study");
  table.text("--seeds", o.seeds,
             "how many (8: 0 to 7), a range (201-210) or a list (3,5,9); of data, weights and order");
  table.text("--reference", o.reference,
             "the row that the others are compared with (default: the study's, or the first)");
  table.list("--only", o.only, "only these rows; a name without what --grid added to it: all of its rows");
  table.group("Work");
  table.text("--output", o.output, "the study's folder (default: runs/NAME)");
  table.whole("--jobs", o.jobs, between(0, 1024),
              "runs at a time, which share the threads; 0: one for each processor, on a GPU one");
  table.text("--import", o.import, "take finished runs from the folders under this one, by what they are");
  table.flag("--dry-run", o.dry_run, "say how many runs, hours and bytes that is, from a few measured steps, and stop");
  table.flag("--list-missing", o.list_missing,
             "print a command for each run that is not finished, for xargs, parallel or Slurm, and stop");
  table.flag("--tables", o.tables, "make no run; only the tables of those that are finished");
  table.group("Finished runs that no study made");
  table.text("--runs", o.runs, "a folder with runs: DIR/<row>/<any name>, each the --output of train");
  table.list("--rows", o.rows, "its rows; the first is what the others are compared with");
  table.text(
      "--pages", o.pages,
      "compare what explainers show instead: the file in each run's folder that evaluate --explainers --json wrote");
  app.allow_extras();
  return run_app(app, argc, argv, [&] {
    std::vector<std::string> words = app.remaining();
    std::erase(words, "--");
    return run(o, table, words);
  });
}

}  // namespace

int main(int argc, char** argv) { return guarded("experiment", program, argc, argv); }
