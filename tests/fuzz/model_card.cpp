// What a model file says of itself, and options that adopt it.
#include "apps/common/model_card.h"

#include "apps/training.h"
#include "tests/fuzz/target.h"

namespace boxcam::fuzz {

void run(std::string_view input) {
  const ModelCard card = read_card(write("model.safetensors", input));
  CLI::App app("", "train");
  TrainingOptions options;
  OptionTable table(app);
  declare_training(table, options);
  adopt(card, Adopt::everything, table, options.data);
  const std::vector<Override> differences = overrides(card, table);
  summary(differences);
  json_text(to_json(differences));
  check_network(card, Adopt::everything, table);
  check_classes(card, options.data.classes);
}

}  // namespace boxcam::fuzz
