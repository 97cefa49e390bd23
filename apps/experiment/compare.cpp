#include "apps/experiment/compare.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>

#include "apps/common/report/report.h"
#include "engine/base/text.h"
#include "nn/files/safetensors.h"

namespace boxcam {

namespace {

/// Keys of both objects, each once, in order.
std::set<std::string> keys_of(const nlohmann::json& a, const nlohmann::json& b) {
  std::set<std::string> keys;
  for (const auto* json : {&a, &b})
    for (const auto& [key, value] : json->items()) keys.insert(key);
  return keys;
}

std::string said(const nlohmann::json& json, const std::string& key) {
  return json.contains(key) ? plain_text(json[key]) : "-";
}

/// A line for each key whose values differ.
std::string differing(const nlohmann::json& a, const nlohmann::json& b, const std::set<std::string>& but = {}) {
  std::string text;
  for (const std::string& key : keys_of(a, b))
    if (!but.contains(key) && said(a, key) != said(b, key))
      text += str("  ", key, ": ", said(a, key), " | ", said(b, key), "\n");
  return text;
}

nlohmann::json identities(const nlohmann::json& run) {
  nlohmann::json found = nlohmann::json::object();
  for (const auto& [split, is] : run.at("data").items())
    if (is.is_object()) found[split] = is.at("identity");
  return found;
}

const std::set<std::string> kPlaces = {"output", "resume"};
const std::set<std::string> kTimes = {"seconds", "images_per_second"};

std::string first_other_epoch(const RunRecord& a, const RunRecord& b) {
  for (size_t i = 0; i < std::min(a.epochs.size(), b.epochs.size()); ++i) {
    const std::string lines = differing(a.epochs[i], b.epochs[i], kTimes);
    if (!lines.empty()) return str("epoch ", i + 1, " is the first with other numbers:\n", lines);
  }
  if (a.epochs.size() != b.epochs.size())
    return str("epochs: ", a.epochs.size(), " | ", b.epochs.size(), ", as far as both go the same\n");
  return "";
}

/// Of files as boxcam writes them: f32 and int64 tensors.
std::string first_other_byte(const std::string& a, const std::string& b) {
  const TensorFile first = read_safetensors(a), second = read_safetensors(b);
  if (tensors_sha256(first) == tensors_sha256(second)) return "";
  for (size_t t = 0; t < first.tensors.size(); ++t) {
    const FileTensor& x = first.tensors[t];
    const auto y = std::find_if(second.tensors.begin(), second.tensors.end(),
                                [&](const FileTensor& other) { return other.name == x.name; });
    if (y == second.tensors.end()) return str("weights: ", x.name, " is in ", a, " alone\n");
    if (x.shape() != y->shape() || x.is_int64() != y->is_int64())
      return str("weights: ", x.name, " has shape ", x.shape(), " | ", y->shape(), "\n");
    const char* bytes =
        x.is_int64() ? reinterpret_cast<const char*>(x.int64.data()) : static_cast<const char*>(x.tensor.raw_data());
    const char* others =
        x.is_int64() ? reinterpret_cast<const char*>(y->int64.data()) : static_cast<const char*>(y->tensor.raw_data());
    const size_t item = x.is_int64() ? sizeof(int64_t) : item_size(x.tensor.dtype());
    const size_t count = static_cast<size_t>(x.shape().numel()) * item;
    const size_t same = static_cast<size_t>(std::mismatch(bytes, bytes + count, others).first - bytes);
    if (same == count) continue;
    std::string values;
    if (!x.is_int64()) {
      const auto v = x.tensor.to_vector(), w = y->tensor.to_vector();
      char text[96];
      std::snprintf(text, sizeof text, ", %.9g | %.9g", v[same / item], w[same / item]);
      values = text;
    }
    return str("weights: the first byte that differs is byte ", same, " of ", x.name, " (element ", same / item, values,
               ")\n");
  }
  return str("weights: ", b, " has tensors that ", a, " has not\n");
}

}  // namespace

std::string compare_runs(const std::string& a, const std::string& b) {
  const RunRecord first = read_run_record(a), second = read_run_record(b);
  std::string text = str("                                     ", "first   second   difference (percent)\n");
  for (const Measure& m : measures_of({first, second})) {
    const auto value = [&](const RunRecord& run) {
      const auto found = run.test.find(m.key);
      return found != run.test.end() && found->is_number() ? found->get<double>() * (m.share ? 100 : 1) : kUnknown;
    };
    char line[160];
    std::snprintf(line, sizeof line, "  %-34s %7.2f  %7.2f  %+10.2f\n", m.title.c_str(), value(first), value(second),
                  value(second) - value(first));
    text += line;
  }
  const std::string options = differing(first.run.at("options"), second.run.at("options"), kPlaces);
  text += options.empty() ? "the same options\n" : "options that differ:\n" + options;
  if (identities(first.run) != identities(second.run)) text += "the data are not the same\n";
  return text;
}

RunDifference diff_runs(const std::string& a, const std::string& b) {
  const RunRecord first = read_run_record(a), second = read_run_record(b);
  const std::string options = differing(first.run.at("options"), second.run.at("options"), kPlaces);
  const std::string data = differing(identities(first.run), identities(second.run));
  const std::string machine = differing(first.run.at("identity"), second.run.at("identity"));
  const std::string epochs = first_other_epoch(first, second);
  const std::string weights = first_other_byte(a + "/last.safetensors", b + "/last.safetensors");
  RunDifference result;
  if (!options.empty()) result.text += "options that differ:\n" + options;
  if (!data.empty()) result.text += "data that differ (identities):\n" + data;
  if (!machine.empty()) result.text += "computed by other means:\n" + machine;
  result.text += epochs + weights;
  result.same = epochs.empty() && weights.empty() && data.empty();
  result.text += result.same ? "the same epochs and the same weights, bit for bit\n" : "";
  return result;
}

}  // namespace boxcam
