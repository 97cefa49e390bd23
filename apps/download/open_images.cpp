#include "apps/download/open_images.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/common/progress.h"
#include "apps/download/addresses.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "nn/data/image.h"
#include "nn/data/open_images.h"

namespace boxcam {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t most_table_bytes = uint64_t{16} << 30, most_picture_bytes = uint64_t{64} << 20;
// The boxed pictures of the three splits: 598 GB are 1,892,542 files.
constexpr double picture_bytes = 316e3;

int64_t images_of(const OpenImagesOptions& o, const std::string& split) {
  return split == "train" ? o.train_images : split == "validation" ? o.val_images : o.test_images;
}

/// Where everything of a request lies.
struct Places {
  explicit Places(const OpenImagesOptions& o)
      : at(addresses(o.fetch.base_url)),
        output(o.output),
        whole(o.tables.empty() ? fs::path(o.output) / "tables" : fs::path(o.tables)) {}

  std::string classes() const { return output / file_name(at.classes); }
  std::string hierarchy() const { return output / file_name(at.hierarchy); }
  std::string boxes(const std::string& split) const { return output / file_name(at.boxes.at(split)); }
  std::string whole_boxes(const std::string& split) const { return whole / file_name(at.boxes.at(split)); }
  std::string whole_labels(const std::string& split) const { return whole / file_name(at.labels.at(split)); }
  std::string picture(const std::string& split, const std::string& id) const { return output / split / (id + ".jpg"); }
  std::string record() const { return output / "download.json"; }

  Addresses at;
  fs::path output, whole;
};

bool asks_people(const OpenImagesOptions& o) { return o.request.absence != Absence::boxes && o.request.none_share > 0; }

// A sign-in page of some network is whole, too: what is in a table has to be what it is for.

void check_table(const std::string& path) {
  CsvTable table(path);
  table.want("ImageID");
  table.want("LabelName");
}

void check_classes(const std::string& path) {
  LineReader lines(path);
  while (const auto line = lines.next())
    check(line->empty() || csv_fields(*line).size() == 2, lines.where(), ": expected a MID and a name");
}

void check_hierarchy(const std::string& path) {
  const nlohmann::json json = nlohmann::json::parse(read_file(path), nullptr, false);
  check(json.is_object() && json.contains("LabelName"), path, " is no class hierarchy: expected JSON with a LabelName");
}

/// The tables that are still to be fetched. Of a split whose pictures are chosen none is.
std::vector<Transfer> missing_tables(const OpenImagesOptions& o, const Places& places) {
  std::vector<Transfer> transfers;
  const auto want = [&](const std::string& url, const std::string& path, void (*looks_right)(const std::string&)) {
    if (!fs::exists(path)) transfers.push_back({url, path, most_table_bytes, true, looks_right});
  };
  want(places.at.classes, places.classes(), check_classes);
  want(places.at.hierarchy, places.hierarchy(), check_hierarchy);
  for (const std::string& split : o.splits) {
    if (fs::exists(places.boxes(split))) continue;
    want(places.at.boxes.at(split), places.whole_boxes(split), check_table);
    if (asks_people(o)) want(places.at.labels.at(split), places.whole_labels(split), check_table);
  }
  return transfers;
}

std::string megabytes(double bytes) { return str(static_cast<int64_t>(bytes / 1e6 + 0.5), " MB"); }

int tell_costs(const OpenImagesOptions& o, const Places& places) {
  double bytes = 0, bytes_per_second = 0;
  int status = 0;
  for (const Transfer& table : missing_tables(o, places)) {
    const Probe found = probe(table.url, o.fetch.transfers);
    std::cout << "table       " << table.url << ": "
              << (found.bytes             ? megabytes(static_cast<double>(*found.bytes))
                  : found.trouble.empty() ? "the server does not say how long it is"
                                          : found.trouble)
              << "\n";
    if (!found.trouble.empty()) status = 1;
    bytes += static_cast<double>(found.bytes.value_or(0));
    bytes_per_second = std::max(bytes_per_second, found.bytes_per_second);
  }
  for (const std::string& split : o.splits) {
    const int64_t images = images_of(o, split);
    std::cout << "pictures    " << split << ": "
              << (images == 0
                      ? std::string("all that there are; the table of boxes says how many")
                      : str("at most ", images, ", about ", megabytes(static_cast<double>(images) * picture_bytes)))
              << "\n";
    bytes += static_cast<double>(images) * picture_bytes;
  }
  std::cout << "together    about " << megabytes(bytes);
  if (bytes_per_second > 0)
    std::cout << ", at " << megabytes(bytes_per_second) << "/s " << duration(bytes / bytes_per_second);
  std::cout << "; nothing was written\n";
  fs::path there = fs::absolute(places.output);
  while (!fs::exists(there)) there = there.parent_path();
  if (const auto free = static_cast<double>(fs::space(there).available); free < bytes)
    std::cout << "warning: the disk has " << megabytes(free) << " left\n";
  return status;
}

/// Keeps what the folder is of, or refuses to make something else of it: its pictures are the data set.
void check_record(const Places& places, const nlohmann::json& request) {
  if (!fs::exists(places.record())) {
    write_file(places.record(), {request.dump(2) + "\n"});
    return;
  }
  const nlohmann::json before = nlohmann::json::parse(read_file(places.record()), nullptr, false);
  check(before.is_object(), places.record(), " is no JSON: expected the options that an earlier download kept there");
  for (const auto& [name, value] : request.items())
    check(before.contains(name) && before[name] == value, "--", name, " is ", value, ", but ", places.output.string(),
          " was begun with ", before.value(name, nlohmann::json()), "; choose another folder (--tables ",
          places.whole.string(), " takes the tables from there)");
}

void tell_choice(const std::string& split, const PictureChoice& choice, const std::vector<std::string>& outputs) {
  std::vector<int64_t> counts(choice.there.size(), 0);
  for (const ChosenPicture& picture : choice.pictures) ++counts[static_cast<size_t>(picture.label)];
  std::cout << split << ": " << choice.pictures.size() << " pictures chosen (";
  for (size_t c = 0; c < counts.size(); ++c)
    std::cout << (c ? ", " : "") << (c < outputs.size() ? outputs[c] : "none") << " " << counts[c] << " of "
              << choice.there[c];
  std::cout << ")\n";
  for (size_t c = 0; c < counts.size(); ++c)
    if (counts[c] < choice.wanted[c])
      std::cout << "note: " << split << ": " << choice.wanted[c] << " pictures of "
                << (c < outputs.size() ? outputs[c] : "none") << " were asked for, there are " << choice.there[c]
                << "\n";
}

/// Writes the table of a split's pictures where it is not yet there: from then on they are chosen.
void choose(const OpenImagesOptions& o, const Places& places) {
  const OpenImagesClasses classes = open_images_classes(places.classes(), places.hierarchy(), o.request.annotations);
  for (const Note& note : classes.notes) std::cout << "note: " << note.text << "\n";
  for (const std::string& split : o.splits) {
    if (fs::exists(places.boxes(split))) continue;
    PictureRequest request = o.request;
    request.images = images_of(o, split);
    const PictureChoice choice =
        choose_pictures(places.whole_boxes(split), places.whole_labels(split), classes, request);
    if (interrupted()) return;
    tell_choice(split, choice, classes.outputs);
    write_rows(places.whole_boxes(split), choice, places.boxes(split));
  }
}

/// Throws Error where a file is not a whole picture.
void check_picture(const std::string& path) {
  const ImageHeader header = inspect_image(path);
  check(header.note.empty(), header.note);  // it may have been cut off there
  read_image(path);
}

/// Whether a picture is there from before; a damaged one is removed.
bool is_there(const std::string& path) {
  if (!fs::exists(path)) return false;
  try {
    inspect_image(path);
    return true;
  } catch (const Error& e) {
    std::cout << "note: fetched again: " << e.what() << "\n";
    fs::remove(path);
    return false;
  }
}

/// The pictures that are still to be fetched, of `all`.
std::vector<Transfer> missing_pictures(const OpenImagesOptions& o, const Places& places, size_t& all) {
  std::vector<Transfer> transfers;
  for (const std::string& split : o.splits) {
    fs::create_directories(places.output / split);
    for (const uint64_t id : picture_ids(places.boxes(split))) {
      const std::string name = picture_name(id), path = places.picture(split, name);
      ++all;
      if (!is_there(path))
        transfers.push_back({places.at.picture(split, name), path, most_picture_bytes, false, check_picture});
    }
  }
  return transfers;
}

/// Opens what was fetched as the other programs will.
void check_data(const OpenImagesOptions& o) {
  for (const std::string& split : o.splits) {
    if (!has_split(o.output, split)) continue;
    AnnotationOptions annotations = o.request.annotations;
    const std::unique_ptr<Dataset> data = open_images(o.output, split, annotations);
    const std::vector<std::string> broken = data->inspect({});
    check(broken.empty(), "--data open-images:", o.output, " cannot read all of split ", split, ": ",
          join(broken, "; "));
    std::cout << "data        " << data->describe() << "\n";
  }
}

int tell_interrupted(const std::string& so_far) {
  std::cerr << "interrupted: " << so_far << "; the same command goes on from there\n";
  return exit_status();
}

}  // namespace

void check_alone(const FolderLock& lock, const std::string& folder) {
  check(!lock.taken(), "another download is at work in the folder ", folder, "; wait for it, or choose another folder");
}

void tell_missing(const std::vector<Missing>& missing) {
  constexpr size_t most = 20;
  for (size_t i = 0; i < std::min(most, missing.size()); ++i)
    std::cerr << "  " << file_name(missing[i].path) << ": " << missing[i].reason << " (" << missing[i].url << ")\n";
  if (missing.size() > most) std::cerr << "  and " << missing.size() - most << " more\n";
}

int download_open_images(const OpenImagesOptions& o, const OptionTable& table) {
  const Places places(o);
  if (o.fetch.dry_run) return tell_costs(o, places);
  catch_interrupts();
  fs::create_directories(places.output);
  fs::create_directories(places.whole);
  const FolderLock of_output(places.output);
  check_alone(of_output, places.output);
  check_record(places, table.json());

  const std::vector<Transfer> tables = missing_tables(o, places);
  std::optional<FolderLock> of_tables;  // another download may share them, once they are there
  if (!tables.empty() && !fs::equivalent(places.whole, places.output)) {
    of_tables.emplace(places.whole);
    check_alone(*of_tables, places.whole);
  }
  std::vector<Missing> missing = fetch(tables, o.fetch.transfers, "tables");
  if (interrupted()) return tell_interrupted("what is there of the tables is kept");
  if (!missing.empty()) {
    std::cerr << "download: " << missing.size() << " of " << tables.size() << " tables could not be had:\n";
    tell_missing(missing);
    return 1;
  }
  choose(o, places);
  if (interrupted()) return tell_interrupted("the pictures are not chosen yet");

  size_t all = 0;
  const std::vector<Transfer> pictures = missing_pictures(o, places, all);
  std::cout << pictures.size() << " of " << all << " pictures are to be fetched" << std::endl;
  missing = fetch(pictures, o.fetch.transfers, "pictures");
  if (interrupted()) {
    const auto left = std::count_if(pictures.begin(), pictures.end(),
                                    [](const Transfer& picture) { return !fs::exists(picture.path); });
    return tell_interrupted(str(all - static_cast<size_t>(left), " of ", all, " pictures are there"));
  }
  check_data(o);
  if (missing.size() < all)
    std::cout << "use         --data open-images:" << shell_word(o.output) << " --classes "
              << shell_word(table.value("--classes")) << "\n";
  if (missing.empty()) return 0;
  std::cerr << "download: " << missing.size() << " of " << all
            << " pictures could not be had; the same command asks for them again:\n";
  tell_missing(missing);
  return 1;
}

}  // namespace boxcam
