#include "apps/common/sanity_page.h"

#include <cmath>
#include <cstdio>
#include <iostream>

#include "apps/common/progress.h"
#include "nn/input.h"

namespace boxcam {

namespace {

using Similarity = double (MapSimilarity::*)() const;

const char* word(Randomisation how) { return how == Randomisation::cascading ? "cascading" : "independent"; }

std::string padded(const std::string& text, size_t width) {
  return text.size() < width ? text + std::string(width - text.size(), ' ') : text;
}

std::string cell(const MapSimilarity& s, Similarity similarity) {
  const double value = (s.*similarity)();
  if (std::isnan(value)) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", value);
  return text;
}

/// An explainer a row, a part of the network a column.
void print_table(const SanityCheck& check, Randomisation how, const std::string& title, Similarity similarity) {
  constexpr size_t kName = 22, kColumn = 10;
  std::cout << "  " << title << ", " << word(how) << "\n  " << padded("", kName);
  for (const SanityRow& row : check.rows())
    if (row.how == how) std::cout << padded(row.part, kColumn);
  std::cout << "undefined\n";
  for (size_t i = 0; i < check.explainers().size(); ++i) {
    std::cout << "  " << padded(check.explainers()[i]->name, kName);
    int64_t undefined = 0, images = 0;
    for (const SanityRow& row : check.rows()) {
      if (row.how != how) continue;
      std::cout << padded(cell(row.explainers[i], similarity), kColumn);
      undefined += row.explainers[i].undefined, images += row.explainers[i].images;
    }
    std::cout << undefined << " of " << images << "\n";
  }
}

nlohmann::json to_json(const SanityCheck& check, int64_t images) {
  nlohmann::json json = {{"images", images}};
  for (const SanityRow& row : check.rows())
    for (size_t i = 0; i < row.explainers.size(); ++i) {
      const MapSimilarity& s = row.explainers[i];
      nlohmann::json& of_how = json.emplace(word(row.how), nlohmann::json::array()).first.value();
      of_how.push_back({{"explainer", check.explainers()[i]->name},
                        {"part", row.part},
                        {"rank_correlation", number(s.rank())},
                        {"ssim", number(s.ssim())},
                        {"undefined", s.undefined}});
    }
  return json;
}

}  // namespace

void declare_sanity(OptionTable& table, bool& on) {
  table.group("Explanation");
  table.flag("--sanity", on,
             "instead of measuring: how alike the maps stay when the network's parameters are drawn anew, part by part "
             "(Adebayo et al. 2018), for each of --explainers");
}

nlohmann::json check_sanity(Classifier& model, const Classifier& fresh, const DataSplit& split, const DataOptions& data,
                            const ExplainOptions& explain, const std::vector<const Explainer*>& explainers) {
  std::vector<const Explainer*> chosen = explainers;
  if (chosen.empty()) chosen = {explain.cam.explainer};
  SanityCheck check(model, fresh, chosen, explain);
  Loader loader(*split.data, loader_options(data, *split.data, false, 0));
  loader.start_epoch(0);
  ProgressBar bar("sanity of " + split.name, split.data->size());
  int64_t images = 0;
  while (!interrupted()) {
    const auto batch = loader.next();
    if (!batch) break;
    check.add(input_tensor(*batch, model.device()), label_tensor(*batch, model.device()));
    images += batch->size;
    bar.advance(batch->size, str(images, " images"));
  }
  bar.clear();
  std::cout << split.name << ": " << images << " of " << split.data->size()
            << " images; maps before and after parts of the network are drawn anew (1: the same, 0: unlike)\n";
  for (const Randomisation how : {Randomisation::cascading, Randomisation::independent}) {
    print_table(check, how, "rank correlation", &MapSimilarity::rank);
    print_table(check, how, "SSIM", &MapSimilarity::ssim);
  }
  return to_json(check, images);
}

}  // namespace boxcam
