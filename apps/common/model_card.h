// What a model file says of itself: which network it is, and how it was explained and measured in training. It lies in
// the file's metadata under the names of the options, so that what reads a file need not be told again. docs/files.md
// has the table.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "apps/common/json.h"
#include "apps/common/options/data.h"
#include "nn/files/safetensors.h"

namespace boxcam {

struct ModelCard {
  std::string path;                         ///< of the file; empty: no file
  std::map<std::string, std::string> says;  ///< the values of options by name without dashes, as `OptionTable::value`
  std::vector<std::string> classes;         ///< names of the outputs in order; empty: the file does not name them
};

/// Of a file that boxcam wrote; any other says nothing, and neither does one that is not there (whoever reads its
/// tensors will say so). Throws Error for one whose input is normalised otherwise than boxcam does.
ModelCard read_card(const std::string& path);

/// The metadata of a model with these classes that the options trained, for write_safetensors: no path, time or host.
std::map<std::string, std::string> card_metadata(const OptionTable& table, const std::vector<std::string>& classes);

/// What is taken from a card.
enum class Adopt {
  network,     ///< model and classes: where training starts from it
  everything,  ///< resize, and how it was explained and measured, as well
};
/// Gives the options that were not given, and that the program has, what the card says of them. Call before
/// settle_data_options: what the data say stands above it. Returns a sentence about what is no default now; empty:
/// nothing.
std::string adopt(const ModelCard& card, Adopt what, OptionTable& table, DataOptions& data);

/// The options of the data that the run beside the file used (run.json), for those that were not given, where --data
/// is not given or names data of the same kind. Returns a sentence about what was taken; empty: nothing.
std::string adopt_data(const std::string& checkpoint, OptionTable& table, const DataOptions& data);

/// After all options are settled: throws Error where the network is another one than the options ask for.
void check_network(const ModelCard& card, Adopt what, const OptionTable& table);
/// The same of the names of the outputs, "none" included, and of their order.
void check_classes(const ModelCard& card, const std::vector<std::string>& names);

/// An option that is not as it was when the file was trained.
struct Override {
  std::string option, value, trained;
};
std::vector<Override> overrides(const ModelCard& card, const OptionTable& table);
/// "not as trained: --image-size 224 (trained with 96)"; empty where nothing differs.
std::string summary(const std::vector<Override>& overrides);
/// {"image-size": {"value": "224", "trained": "96"}}
nlohmann::json to_json(const std::vector<Override>& overrides);

/// What a weight file is: digests of the file and of its tensors, what it says of itself, and of the run.json beside it
/// the identity of program and machine, the data's, and the weights the run began with. Reading it compares every
/// checksum that the file has. Throws Error for what is no weight file.
nlohmann::json file_identity(const std::string& path);

}  // namespace boxcam
