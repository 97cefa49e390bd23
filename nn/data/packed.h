// Packed data sets: samples whose images are decoded (and resized) already, in one checksummed file. What is loaded
// from it equals what was added, bit by bit. That a crop lost all boxes of a sample is kept too, and so are groups.
//
// The file, little endian: a prefix of 40 bytes (magic, version, sizes, checksum of the index); the samples, each the
// pixels (HWC), the boxes (four doubles each), the id and the source; the index: a JSON header, then one entry of 40
// bytes for each sample with its place, extents, label and checksum. Checksums are CRC-32. The file holds no path, time
// or host: equal samples and options give equal bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/base/file.h"
#include "nn/data/dataset.h"

namespace boxcam {

struct PackedSplit {
  std::string name;
  int64_t images = 0;
  bool complete = true;                  ///< all images of the source's split, not a subset
  std::vector<int64_t> lost_boxes = {};  ///< numbers of the samples with Sample::lost_boxes, ascending
  std::vector<std::string> groups = {};  ///< names; the first is "", of samples in none; empty: no sample is in one
  std::vector<int64_t> group_of = {};    ///< of each sample: its place in `groups`; or empty
};

/// How one sample lies in the file; numbers of bytes and pixels.
struct PackedEntry {
  uint64_t offset;  ///< from the start of the file
  int64_t label;
  uint32_t height, width, boxes, id_bytes, source_bytes, checksum;
};

/// Writes a packed file sample by sample; of the samples' content it holds nothing in memory. The bytes go to
/// `path`.partial, which takes its place in `finish`; without that call it is removed. Every function throws Error
/// naming the path when it cannot be written.
class PackedWriter {
 public:
  /// `classes`: names of the outputs, "none", where there is one, last. `options`: what made the samples, given back by
  /// PackedFile.
  PackedWriter(const std::string& path, std::vector<std::string> classes, nlohmann::json options);

  /// The samples that follow belong to this split.
  void start_split(const std::string& name, bool complete);
  void add(const Sample& sample);
  void finish();

 private:
  void write(const void* bytes, size_t count);
  int64_t number_of(const std::string& group);

  AtomicFile file_;
  uint64_t position_ = 0;
  std::vector<std::string> classes_;
  nlohmann::json options_;
  std::vector<PackedSplit> splits_;
  std::unordered_map<std::string, int64_t> number_of_group_;  // of the last split
  std::vector<PackedEntry> entries_;
};

/// A packed file, from which samples are read as they are asked for. It must not be changed while it is open: replace
/// it by renaming, as PackedWriter does. (Mapped into memory, a file that is cut off would end the program.) All
/// functions are const and safe to call from several threads.
class PackedFile {
 public:
  /// Reads the index and checks it. Throws Error naming the path when it cannot be read, is no regular file, is no
  /// packed data set, is of another version, is truncated, or when its index does not match its checksum.
  explicit PackedFile(const std::string& path);

  const std::string& path() const { return path_; }
  const std::vector<std::string>& classes() const { return classes_; }
  const nlohmann::json& options() const { return options_; }
  const std::vector<PackedSplit>& splits() const { return splits_; }
  /// Throws Error naming the splits there are.
  const PackedSplit& split(const std::string& name) const;

  /// Both throw Error when there is no such split or sample; `load` also, naming the image, when its bytes do not match
  /// their checksum, or a box is not of finite numbers, min before max.
  int64_t label(const std::string& split, int64_t index) const { return entry(split, index).label; }
  Sample load(const std::string& split, int64_t index) const;
  /// Empty where it is in none.
  const std::string& group(const std::string& split, int64_t index) const;
  /// How it lies in the file. Throws as label does.
  const PackedEntry& entry(const std::string& split, int64_t index) const;

 private:
  void read(uint64_t position, void* to, size_t count) const;

  std::string path_;
  InputFile file_;
  std::vector<std::string> classes_;
  nlohmann::json options_;
  std::vector<PackedSplit> splits_;
  std::vector<PackedEntry> entries_;  // of all splits, one after the other
};

/// One split of a packed file as a data set; `subset`: the numbers of the samples to take, in order; otherwise all.
/// Throws Error when there is no such split or no sample of such a number.
std::unique_ptr<Dataset> packed_dataset(std::shared_ptr<const PackedFile> file, const std::string& split,
                                        std::optional<std::vector<int64_t>> subset = {});

}  // namespace boxcam
