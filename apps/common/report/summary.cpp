#include "apps/common/report/summary.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "apps/common/html.h"
#include "apps/common/report/values.h"
#include "engine/base/check.h"
#include "engine/base/text.h"

namespace boxcam {

namespace {

constexpr int64_t kFewestPairs = 6;     // below, no sign-flip test can reach 0.05
constexpr double kLevel = 0.05;         // of p after Holm
constexpr double kManyEmptyCams = 0.1;  // from here on Content-Heatmap means little

std::string percent_text(double share) { return formatted("%.1f %%", 100 * share); }
std::string points_text(double share) { return formatted("%.1f points", 100 * std::abs(share)); }
std::string quoted(const std::string& label) { return "“" + label + "”"; }
std::string p_text(double p) { return p < 0.001 ? "below 0.001" : formatted("%.3f", p); }
std::string plural(size_t count, const std::string& one, const std::string& many) {
  return str(count, " ", count == 1 ? one : many);
}

// A run.

/// Of several labels.
std::string precision_sentence(const nlohmann::json& t) {
  const double in = number_in(t, "test_mean_average_precision"),
               out = number_in(t, "out_of_context_mean_average_precision");
  if (std::isnan(in)) return "";
  return str("The mean average precision on the ", number_in(t, "test_images"), " images of the split “",
             text_in(t, "split", "test"), "” is ", percent_text(in),
             std::isnan(out) ? "" : str(", and out of context ", percent_text(out)), ".");
}

std::string accuracy_sentence(const RunRecord& run) {
  const nlohmann::json& t = run.test;
  const double in = number_in(t, "test_accuracy"), out = number_in(t, "out_of_context_accuracy");
  if (std::isnan(in)) return precision_sentence(t);
  std::string text = str("Of the ", number_in(t, "test_images"), " images of the split “", text_in(t, "split", "test"),
                         "” ", percent_text(in), " are classified right");
  if (!std::isnan(out))
    text += str(", and of the ", number_in(t, "out_of_context_images"), " out of context ", percent_text(out), ", ",
                points_text(in - out), out < in ? " fewer" : " more");
  return text + ".";
}

std::string cam_sentence(const RunRecord& run) {
  const double in = number_in(run.test, "test_content_heatmap"),
               out = number_in(run.test, "out_of_context_content_heatmap");
  if (std::isnan(in)) return "";
  return str("The share of the CAM's mass that lies in the boxes (Content-Heatmap) is ", percent_text(in),
             std::isnan(out) ? "" : " and out of context " + percent_text(out), ".");
}

std::string worst_class_sentence(const RunRecord& run) {
  if (!run.test.contains("per_class_accuracy")) return "";
  std::string name;
  double least = 2;
  for (const auto& [label, value] : run.test["per_class_accuracy"].items())
    if (value.is_number() && value.get<double>() < least) name = label, least = value.get<double>();
  return name.empty() ? "" : str("The class with the lowest accuracy is ", name, ", with ", percent_text(least), ".");
}

std::string empty_sentence(const std::string& who, double share) {
  return str(who, percent_text(share),
             " of the CAMs are empty. Content-Heatmap leaves those images out, and a network that empties its CAMs "
             "looks like one that looks at the object.");
}

std::string no_test_out_of_context() {
  return "There is no test out of context here, so nothing tests whether the network would do without it.";
}

// A study.

bool is_certain(const PairedDifference& d) { return d.pairs >= kFewestPairs && d.holm_p <= kLevel; }

std::string difference_text(const Measure& measure, const PairedDifference& d) {
  const auto amount = [&](double value) {
    return (value < 0 ? "−" : "") +
           (measure.share ? formatted("%.1f", 100 * std::abs(value)) : formatted("%.3g", std::abs(value)));
  };
  std::string text = str(measure.title, d.mean < 0 ? " lower by " : " higher by ", amount(std::abs(d.mean)),
                         measure.share ? " points" : "", " (");
  if (!std::isnan(d.low)) text += str("95 % interval of the difference ", amount(d.low), " to ", amount(d.high), ", ");
  text += str("n = ", d.pairs, ", p ", d.p < 0.001 ? "" : "= ", p_text(d.p));
  if (!std::isnan(d.holm_p)) text += str(", after Holm ", d.holm_p < 0.001 ? "" : "= ", p_text(d.holm_p));
  return text + ")";
}

/// Calls visit(row's label, measure, difference) for every comparison of a table.
template <class Visit>
void comparisons(const StudyTable& table, const Visit& visit) {
  for (const StudyTableRow& row : table.rows)
    for (size_t c = 0; c < std::min(row.cells.size(), table.columns.size()); ++c)
      if (row.cells[c].difference && !std::isnan(row.cells[c].difference->mean))
        visit(row.label, table.columns[c], *row.cells[c].difference);
}

std::vector<std::string> certain_differences(const StudyRecord& study) {
  std::vector<std::string> sentences;
  if (study.tables.empty()) return sentences;
  std::map<std::string, std::vector<std::string>> by_row;
  std::vector<std::string> order;
  comparisons(study.tables[0], [&](const std::string& row, const Measure& measure, const PairedDifference& d) {
    if (!is_certain(d)) return;
    if (!by_row.contains(row)) order.push_back(row);
    by_row[row].push_back(difference_text(measure, d));
  });
  for (const std::string& row : order)
    sentences.push_back(
        str("Against ", quoted(study.reference), ", ", quoted(row), " has ", join(by_row[row], "; "), "."));
  return sentences;
}

void say_what_is_uncertain(const StudyRecord& study, std::vector<std::string>& says) {
  if (study.tables.empty()) return;
  int64_t all = 0, few = 0, unseen = 0, agreeing = 0, fewest = kFewestPairs;
  comparisons(study.tables[0], [&](const std::string&, const Measure&, const PairedDifference& d) {
    ++all;
    if (d.pairs < kFewestPairs)
      ++few, fewest = std::min(fewest, d.pairs);
    else if (!is_certain(d))
      ++(d.out_of_reach ? agreeing : unseen);
  });
  if (few > 0)
    says.push_back(str(few == all ? "There is no verdict: with "
                                  : str("There is no verdict on ", few, " of ", all, " comparisons: with "),
                       "n = ", fewest, fewest == 1 ? " pair" : " pairs",
                       " of seeds the exact sign-flip test cannot give a p below ",
                       formatted("%.3g", std::min(1.0, 2 / std::pow(2.0, static_cast<double>(fewest)))),
                       ", and from n = ", kFewestPairs, " on it can come below 0.05."));
  if (agreeing > 0)
    says.push_back(str("In ", agreeing, " of ", all, " comparisons with ", quoted(study.reference),
                       " all seeds agree, but with so many rows the smallest p that so few seeds can give is, after "
                       "Holm, not below ",
                       kLevel, ": more seeds, or a study of fewer rows, would tell."));
  if (unseen > 0)
    says.push_back(str("In ", unseen, " of ", all, " comparisons with ", quoted(study.reference),
                       " no difference was seen (p after Holm above ", kLevel,
                       "). That is no evidence that there is none."));
}

/// The mean of a row's runs.
double mean_in(const StudyRow& row, const std::string& key) { return mean_of(values_of(row.runs, key)); }

bool is_control(const StudyRow& row) {
  if (row.runs.empty()) return false;
  const std::string boxes = option_of(row.runs[0], "boxes");
  return !boxes.empty() && boxes != "own";
}

/// Whether a row's losses read boxes at all.
bool reads_boxes(const StudyRow& row) {
  if (row.runs.empty()) return false;
  for (const char* weight : {"lambda", "evidence-split", "background-swap", "context-only"})
    if (const std::string value = option_of(row.runs[0], weight); !value.empty() && std::atof(value.c_str()) > 0)
      return true;
  return false;
}

std::string controls_sentence(const StudyRecord& study) {
  const bool out = std::any_of(study.rows.begin(), study.rows.end(), [](const StudyRow& row) {
    return !std::isnan(mean_in(row, "out_of_context_accuracy"));
  });
  const std::string key = out ? "out_of_context_accuracy" : "test_accuracy";
  const StudyRow *control = nullptr, *own = nullptr;
  for (const StudyRow& row : study.rows) {
    const StudyRow*& best = is_control(row) ? control : own;
    if (!reads_boxes(row) || std::isnan(mean_in(row, key))) continue;
    if (!best || mean_in(row, key) > mean_in(*best, key)) best = &row;
  }
  if (!own) return "";
  if (!control)
    return "No row trains with wrong boxes or with none, so nothing tells how much of a gain the boxes' places earn, "
           "and how much comes from any penalty.";
  return str("The best control, ", quoted(control->label), ", has an accuracy", out ? " out of context" : "", " of ",
             percent_text(mean_in(*control, key)), ", the best row with the images' own boxes, ", quoted(own->label),
             ", ", percent_text(mean_in(*own, key)),
             ": only what lies between them can be owed to where the boxes are.");
}

void say_which_cams_are_empty(const StudyRecord& study, std::vector<std::string>& says) {
  for (const StudyRow& row : study.rows) {
    const double most = std::fmax(mean_in(row, "test_empty_cams"), mean_in(row, "out_of_context_empty_cams"));
    if (most > kManyEmptyCams) says.push_back(empty_sentence("In " + quoted(row.label) + ", ", most));
  }
}

/// A CAM that moved while the accuracy that would need it did not.
void say_which_cams_only_moved(const StudyRecord& study, std::vector<std::string>& says) {
  const auto reference = std::find_if(study.rows.begin(), study.rows.end(),
                                      [&](const StudyRow& row) { return row.label == study.reference; });
  if (reference == study.rows.end()) return;
  std::vector<std::string> rows;
  for (const StudyRow& row : study.rows) {
    const auto change = [&](const std::string& key) { return mean_in(row, key) - mean_in(*reference, key); };
    if (change("out_of_context_content_heatmap") > 0.05 && change("out_of_context_accuracy") < 0.01)
      rows.push_back(quoted(row.label));
  }
  if (!rows.empty())
    says.push_back(str(join(rows), rows.size() == 1 ? " moves" : " move",
                       " the CAM into the boxes out of context by more than 5 points and gain",
                       rows.size() == 1 ? "s" : "",
                       " less than 1 point of accuracy there: a CAM in the right place is no proof that the network "
                       "uses what is there."));
}

/// The values of an identity's entry over all runs.
std::set<std::string> identities(const std::vector<RunRecord>& runs, const std::string& key) {
  std::set<std::string> values;
  for (const RunRecord& run : runs)
    if (run.run.contains("identity") && run.run["identity"].contains(key))
      values.insert(plain_text(run.run["identity"][key]));
  return values;
}

std::string machines_sentence(const std::vector<RunRecord>& runs) {
  std::vector<std::string> differ;
  for (const char* key : {"processor", "gpu", "device", "threads", "onednn", "boxcam"})
    if (const auto values = identities(runs, key); values.size() > 1)
      differ.push_back(str(key, " (", join({values.begin(), values.end()}), ")"));
  return differ.empty() ? ""
                        : "The runs were not all computed alike: they differ in " + join(differ) +
                              ", which changes the last bits, and with them what a training makes of a seed.";
}

/// Whether runs of different seeds trained on different images.
bool seeds_draw_data(const std::vector<RunRecord>& runs) {
  std::set<std::string> identities;
  for (const RunRecord& run : runs)
    if (run.run.contains("data") && run.run["data"].contains("train") && run.run["data"]["train"].is_object())
      identities.insert(text_in(run.run["data"]["train"], "identity"));
  return identities.size() > 1;
}

std::string scope_sentence(const std::vector<RunRecord>& runs) {
  std::set<std::string> models, data;
  for (const RunRecord& run : runs) models.insert(option_of(run, "model")), data.insert(option_of(run, "data"));
  return str("This is ", plural(models.size(), "model", "models"), " on ", plural(data.size(), "data set", "data sets"),
             "; a seed stands for its initial weights and the order of its batches",
             seeds_draw_data(runs) ? ", and for the images it was trained and tested on" : "",
             ". Elsewhere the numbers may be others.");
}

void add(std::vector<std::string>& sentences, const std::string& sentence) {
  if (!sentence.empty()) sentences.push_back(sentence);
}

}  // namespace

Summary summary_of(const RunRecord& run) {
  Summary s;
  for (const auto& sentence : {accuracy_sentence(run), cam_sentence(run), worst_class_sentence(run)})
    add(s.shows, sentence);
  s.does_not_show.emplace_back(
      "This is one run, of one seed: how far another seed would have come out is not known. A study of at least six "
      "seeds a row can tell a difference from noise.");
  if (std::isnan(number_in(run.test, "out_of_context_accuracy")) &&
      std::isnan(number_in(run.test, "out_of_context_mean_average_precision")))
    s.does_not_show.push_back(no_test_out_of_context());
  else
    s.does_not_show.emplace_back(
        "Content-Heatmap says where the CAM lies, not what the network uses; that is what the test out of context is "
        "for.");
  const double in = number_in(run.test, "test_empty_cams"), out = number_in(run.test, "out_of_context_empty_cams");
  if (in > kManyEmptyCams) s.does_not_show.push_back(empty_sentence("", in));
  if (out > kManyEmptyCams) s.does_not_show.push_back(empty_sentence("Out of context ", out));
  if (const std::string boxes = option_of(run, "boxes"); !boxes.empty() && boxes != "own")
    s.does_not_show.push_back("Its losses read “" + boxes + "” boxes: the run is a control.");
  if (run.test.contains("note")) s.does_not_show.push_back("Note: " + plain_text(run.test["note"]) + ".");
  return s;
}

Summary summary_of(const StudyRecord& study) {
  Summary s;
  const std::vector<RunRecord> runs = runs_of(study.rows);
  s.shows = certain_differences(study);
  if (s.shows.empty())
    s.shows.push_back(str("By its own test nothing in this study differs from ", quoted(study.reference),
                          ": the tables describe these ", runs.size(), " runs, and no more."));
  say_what_is_uncertain(study, s.does_not_show);
  add(s.does_not_show, controls_sentence(study));
  say_which_cams_only_moved(study, s.does_not_show);
  say_which_cams_are_empty(study, s.does_not_show);
  if (std::isnan(mean_of(values_of(runs, "out_of_context_accuracy"))))
    s.does_not_show.push_back(no_test_out_of_context());
  if (!study.failed.empty())
    s.does_not_show.push_back(plural(study.failed.size(), "run failed and is", "runs failed and are") +
                              " in none of the numbers.");
  add(s.does_not_show, machines_sentence(runs));
  add(s.does_not_show, scope_sentence(runs));
  s.does_not_show.insert(s.does_not_show.end(), study.remarks.begin(), study.remarks.end());
  return s;
}

}  // namespace boxcam
