#include "apps/download/choice.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <deque>
#include <fstream>
#include <tuple>

#include "apps/common/progress.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/random.h"

namespace boxcam {

namespace {

uint64_t id_in(std::string_view text, const CsvTable& table) {
  uint64_t id = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), id, 16);
  const bool good = text.size() == 16 && status == std::errc() && end == text.data() + 16;
  check(good && picture_name(id) == text, table.where(), ": ImageID is '", text,
        "', expected 16 hexadecimal digits in lower case", table.cut_off());
  return id;
}

struct Candidate {
  uint64_t draw, id, at, bytes;
  bool operator<(const Candidate& other) const { return std::tie(draw, id) < std::tie(other.draw, other.id); }
};

uint64_t drawn(uint64_t id, uint64_t seed) {
  const uint64_t stream = stream_of("choice of pictures");
  const auto half = [](uint64_t word, int part) { return static_cast<uint32_t>(word >> (32 * part)); };
  const auto random =
      philox4x32({half(id, 0), half(id, 1), half(stream, 0), half(stream, 1)}, {half(seed, 0), half(seed, 1)});
  return uint64_t{random[0]} << 32 | random[1];
}

/// The candidates of a class: all, or the `most` whose draws are least. A deque, which grows without copying.
class Candidates {
 public:
  static constexpr size_t all = SIZE_MAX;
  explicit Candidates(size_t most) : most_(most) {}

  void add(const Candidate& candidate) {
    ++there_;
    if (most_ == 0 || (list_.size() == most_ && !(candidate < list_.front()))) return;
    list_.push_back(candidate);
    if (most_ == all) return;
    std::push_heap(list_.begin(), list_.end());
    if (list_.size() <= most_) return;
    std::pop_heap(list_.begin(), list_.end());
    list_.pop_back();
  }
  int64_t there() const { return there_; }
  std::deque<Candidate>& list() { return list_; }

 private:
  size_t most_;
  int64_t there_ = 0;
  std::deque<Candidate> list_;
};

/// How many pictures of each class are wanted, and the last of "none".
std::vector<size_t> wanted_of(const PictureRequest& request, size_t classes) {
  if (request.images == 0) {
    std::vector<size_t> all(classes + 1, Candidates::all);
    if (request.none_share == 0) all.back() = 0;
    return all;
  }
  const auto none = static_cast<size_t>(std::llround(static_cast<double>(request.images) * request.none_share));
  const size_t shown = static_cast<size_t>(request.images) - none;
  std::vector<size_t> wanted;
  for (size_t c = 0; c < classes; ++c) wanted.push_back(shown / classes + (c < shown % classes ? 1 : 0));
  wanted.push_back(none);
  return wanted;
}

/// Returns how long the header is.
uint64_t read_candidates(const std::string& path, const OpenImagesClasses& classes, const PictureRequest& request,
                         std::vector<Candidates>& candidates) {
  OpenImagesBoxes rows(path, classes.labels, request.annotations.group_of);
  const int none = static_cast<int>(classes.outputs.size());
  AnnotatedImage image;
  std::string id;
  Candidate candidate{};
  const uint64_t header_bytes = rows.table().position();
  uint64_t end = header_bytes;  // of the row before
  const auto finish = [&] {
    if (id.empty()) return;
    choose_label(image, none, request.annotations.several_classes);
    candidate.draw = drawn(candidate.id, request.annotations.seed);
    candidate.bytes = end - candidate.at;
    if (image.label >= 0) candidates[static_cast<size_t>(image.label)].add(candidate);
  };
  for (; rows.next() && !interrupted(); end = rows.table().position()) {
    if (rows.image() != id) {
      finish();
      id = rows.image();
      candidate = {.draw = 0, .id = id_in(id, rows.table()), .at = end, .bytes = 0};
      image = AnnotatedImage();
    }
    rows.add_to(image);
  }
  finish();
  return header_bytes;
}

/// Which of the classes people looked for in a picture and did not find, a bit each; or whether they found one.
struct Verdict {
  uint64_t id, denied;
  bool affirmed;
};

std::vector<Verdict> read_verdicts(const std::string& path, const OpenImagesClasses& classes,
                                   const std::deque<Candidate>& candidates) {
  std::vector<Verdict> verdicts;
  for (const Candidate& candidate : candidates) verdicts.push_back({candidate.id, 0, false});
  const auto by_id = [](const Verdict& a, const Verdict& b) { return a.id < b.id; };
  std::sort(verdicts.begin(), verdicts.end(), by_id);

  CsvTable table(path);
  const size_t image = table.want("ImageID"), mid = table.want("LabelName"), sure = table.want("Confidence");
  std::string name;
  while (table.next() && !interrupted()) {
    name = table.at(mid);
    const auto label = classes.labels.find(name);
    if (label == classes.labels.end()) continue;
    const uint64_t id = id_in(table.at(image), table);
    const auto found = std::lower_bound(verdicts.begin(), verdicts.end(), Verdict{id, 0, false}, by_id);
    if (found == verdicts.end() || found->id != id) continue;
    if (table.number(sure, "Confidence") > 0)
      found->affirmed = true;
    else if (name == classes.mids[static_cast<size_t>(label->second)])  // no van: there may yet be a car
      found->denied |= uint64_t{1} << label->second;
  }
  return verdicts;
}

/// Leaves only candidates for "none" of which people said so.
void keep_denied(const std::string& label_table, const OpenImagesClasses& classes, Absence absence,
                 std::deque<Candidate>& candidates) {
  check(classes.mids.size() < 64, "--absence knows at most 63 classes, found ", classes.mids.size());
  const std::vector<Verdict> verdicts = read_verdicts(label_table, classes, candidates);
  const uint64_t every = (uint64_t{1} << classes.mids.size()) - 1;
  std::erase_if(candidates, [&](const Candidate& candidate) {
    const auto verdict = std::lower_bound(verdicts.begin(), verdicts.end(), candidate.id,
                                          [](const Verdict& a, uint64_t id) { return a.id < id; });
    if (verdict->affirmed) return true;
    return absence == Absence::every ? verdict->denied != every : verdict->denied == 0;
  });
}

/// Leaves the `most` whose draws are least.
void keep_least(std::deque<Candidate>& candidates, size_t most) {
  if (candidates.size() <= most) return;
  std::nth_element(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(most), candidates.end());
  candidates.resize(most);
}

/// How many of "none" make up their share beside `shown` others.
size_t share_beside(size_t shown, double share) {
  return static_cast<size_t>(std::llround(static_cast<double>(shown) * share / (1 - share)));
}

}  // namespace

PictureChoice choose_pictures(const std::string& box_table, const std::string& label_table,
                              const OpenImagesClasses& classes, const PictureRequest& request) {
  std::vector<size_t> wanted = wanted_of(request, classes.outputs.size());
  const bool asks = request.absence != Absence::boxes && wanted.back() > 0;
  std::vector<Candidates> candidates;
  for (const size_t most : wanted) candidates.emplace_back(most);
  if (asks) candidates.back() = Candidates(Candidates::all);  // which of them count is not known yet
  PictureChoice choice;
  choice.header_bytes = read_candidates(box_table, classes, request, candidates);
  for (const Candidates& of_class : candidates) choice.there.push_back(of_class.there());
  if (asks) {
    keep_denied(label_table, classes, request.absence, candidates.back().list());
    choice.there.back() = static_cast<int64_t>(candidates.back().list().size());
  }
  size_t shown = 0;
  for (size_t c = 0; c < classes.outputs.size(); ++c) {
    shown += candidates[c].list().size();
    if (wanted[c] == Candidates::all) wanted[c] = candidates[c].list().size();
  }
  if (wanted.back() == Candidates::all) wanted.back() = share_beside(shown, request.none_share);
  keep_least(candidates.back().list(), wanted.back());

  choice.wanted.assign(wanted.begin(), wanted.end());
  for (size_t c = 0; c < candidates.size(); ++c)
    for (const Candidate& one : candidates[c].list())
      choice.pictures.push_back({one.id, static_cast<int>(c), one.at, one.bytes});
  std::sort(choice.pictures.begin(), choice.pictures.end(),
            [](const ChosenPicture& a, const ChosenPicture& b) { return a.id < b.id; });
  const auto twice = std::adjacent_find(choice.pictures.begin(), choice.pictures.end(),
                                        [](const ChosenPicture& a, const ChosenPicture& b) { return a.id == b.id; });
  if (twice != choice.pictures.end())
    fail(box_table, ": the rows of image ", picture_name(twice->id), " do not stand together");
  return choice;
}

void write_rows(const std::string& box_table, const PictureChoice& choice, const std::string& output) {
  std::ifstream table(box_table, std::ios::binary);
  check(table.good(), "cannot read ", box_table, ": ", std::strerror(errno));
  AtomicFile file(output);
  std::string rows;
  const auto copy = [&](uint64_t at, uint64_t bytes) {
    rows.resize(bytes);
    table.seekg(static_cast<std::streamoff>(at));
    table.read(rows.data(), static_cast<std::streamsize>(bytes));
    check(table.good(), "cannot read ", box_table, " again at byte ", at, ": was it changed meanwhile?");
    if (!rows.ends_with('\n')) rows += '\n';  // the last row of the table may lack it
    file.write(rows);
  };
  copy(0, choice.header_bytes);
  for (const ChosenPicture& picture : choice.pictures) copy(picture.at, picture.bytes);
  file.commit();
}

std::vector<uint64_t> picture_ids(const std::string& box_table) {
  CsvTable table(box_table);
  const size_t image = table.want("ImageID");
  std::vector<uint64_t> ids;
  while (table.next())
    if (const uint64_t id = id_in(table.at(image), table); ids.empty() || id != ids.back()) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::string picture_name(uint64_t id) {
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; id >>= 4) text[i] = "0123456789abcdef"[id & 15];
  return text;
}

}  // namespace boxcam
