#include "apps/download/addresses.h"

#include <toml++/toml.h>

#include "engine/base/check.h"

namespace boxcam {

extern const char* const addresses_text;

namespace {

/// A value of the built-in file, moved below `base`.
std::string moved(const toml::node& node, const std::string& base) {
  const std::string url = node.value<std::string>().value();
  return base.empty() ? url : base + url.substr(url.find('/', url.find("://") + 3));
}

std::map<std::string, std::string> moved_table(const toml::node& node, const std::string& base) {
  std::map<std::string, std::string> urls;
  for (const auto& [key, value] : *node.as_table()) urls[std::string(key.str())] = moved(value, base);
  return urls;
}

void replace(std::string& text, const std::string& word, const std::string& value) {
  text.replace(text.find(word), word.size(), value);
}

}  // namespace

std::string Addresses::picture(const std::string& split, const std::string& id) const {
  std::string url = pictures;
  replace(url, "{split}", split);
  replace(url, "{id}", id);
  return url;
}

Addresses addresses(const std::string& base_url) {
  check(base_url.empty() || base_url.starts_with("http://") || base_url.starts_with("https://"),
        "--base-url: ", base_url, " is no address that begins with http:// or https://");
  const std::string base = base_url.substr(0, base_url.find_last_not_of('/') + 1);
  const toml::table file = toml::parse(addresses_text);
  const toml::table& images = *file["open-images"].as_table();
  Addresses a{.classes = moved(*images.get("classes"), base),
              .hierarchy = moved(*images.get("hierarchy"), base),
              .boxes = moved_table(*images.get("boxes"), base),
              .labels = moved_table(*images.get("labels"), base),
              .pictures = moved(*images.get("pictures"), base),
              .weights = {}};
  for (const auto& [model, versions] : *file["weights"].as_table())
    a.weights[std::string(model.str())] = moved_table(versions, base);
  return a;
}

std::string file_name(const std::string& url) { return url.substr(url.rfind('/') + 1); }

}  // namespace boxcam
