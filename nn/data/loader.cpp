#include "nn/data/loader.h"

#include <algorithm>
#include <numeric>
#include <system_error>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/random.h"
#include "engine/base/waits.h"

namespace boxcam {
namespace {

int64_t bytes_of(const Sample& sample) {
  return static_cast<int64_t>(sizeof(Sample) + sample.image.pixels.size() + sample.boxes.size() * sizeof(Box) +
                              (sample.shown.size() + sample.box_classes.size()) * sizeof(int32_t) + sample.id.size() +
                              sample.source.size() + sample.group.size());
}

}  // namespace

Loader::Loader(const Dataset& dataset, LoaderOptions options)
    : dataset_(dataset), options_(std::move(options)), cache_left_(options_.cache_bytes) {
  check(dataset_.size() > 0, "the data set is empty: ", dataset_.describe());
  check(options_.batch > 0, "the batch size must be positive, not ", options_.batch);
  check(options_.threads > 0, "the loader needs at least one thread, not ", options_.threads);
  check(options_.prefetch > 0, "the loader must make at least one batch ahead, not ", options_.prefetch);
  check(options_.preprocess.image_size > 0, "the image size must be positive, not ", options_.preprocess.image_size);
  check(options_.cache_bytes >= 0, "the cache cannot hold ", options_.cache_bytes, " bytes");
  check(batches() > 0, "drop_last leaves nothing of ", dataset_.size(), " samples in batches of ", options_.batch);
  cache_.resize(options_.cache_bytes > 0 ? static_cast<size_t>(dataset_.size()) : 0);
}

Loader::~Loader() { stop(); }

int64_t Loader::batches() const {
  const int64_t rounding = options_.drop_last ? 0 : options_.batch - 1;
  return (dataset_.size() + rounding) / options_.batch;
}

void Loader::start_epoch(int64_t epoch, int64_t first_batch) {
  check(epoch >= 0, "there is no epoch ", epoch);
  check(first_batch >= 0 && first_batch <= batches(), "an epoch of ", batches(), " batches cannot begin at batch ",
        first_batch);
  stop();
  epoch_ = epoch;
  first_batch_ = first_batch;
  order_.resize(static_cast<size_t>(dataset_.size()));
  std::iota(order_.begin(), order_.end(), int64_t{0});
  if (options_.shuffle) {
    Random random(options_.seed, stream_of(str("loader order, epoch ", epoch)));
    shuffle(order_, random);
  }
  ready_.assign(static_cast<size_t>(options_.prefetch), std::nullopt);
  stopping_ = false;
  next_taken_ = next_given_ = first_batch;
  try {
    for (int i = 0; i < options_.threads; ++i) workers_.emplace_back(&Loader::work, this);
  } catch (const std::system_error& e) {  // fewer give the same batches
    check(!workers_.empty(), "cannot start a thread that reads images: ", e.code().message());
  }
}

std::optional<Batch> Loader::next() {
  check(epoch_ >= 0, "start_epoch must come before next");
  std::unique_lock lock(mutex_);
  if (next_given_ == batches()) return std::nullopt;
  {
    // An epoch's first batch is not begun before the epoch is, so that the caller always waits for it.
    const bool first = next_given_ == first_batch_;
    const ProfiledWait wait(str(options_.name, first ? ", first batch of an epoch" : ", other batches"));
    made_.wait(lock, [&] { return place_of(next_given_).has_value(); });
  }
  Outcome outcome = *std::exchange(place_of(next_given_), std::nullopt);
  ++next_given_;
  if (outcome.error) next_given_ = batches();
  lock.unlock();
  wanted_.notify_all();
  if (outcome.error) {
    stop();
    std::rethrow_exception(outcome.error);
  }
  return std::move(outcome.batch);
}

void Loader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wanted_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void Loader::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wanted_.wait(
        lock, [&] { return stopping_ || next_taken_ == batches() || next_taken_ < next_given_ + options_.prefetch; });
    if (stopping_ || next_taken_ == batches()) return;
    const int64_t number = next_taken_++;
    lock.unlock();
    Outcome outcome;
    try {
      outcome.batch = make_batch(number);
    } catch (...) {
      outcome.error = std::current_exception();
    }
    lock.lock();
    place_of(number) = std::move(outcome);
    made_.notify_one();
  }
}

Batch Loader::make_batch(int64_t number) {
  const int64_t begin = number * options_.batch, end = std::min(begin + options_.batch, dataset_.size());
  Batch batch;
  batch.size = end - begin;
  batch.image_size = options_.preprocess.image_size;
  const size_t pixels = size_t(batch.image_size) * batch.image_size * 3;
  batch.images.reserve(static_cast<size_t>(batch.size) * pixels);
  for (int64_t position = begin; position < end; ++position) {
    const int64_t index = order_[static_cast<size_t>(position)];
    Sample sample = prepared(index, position);
    batch.images.insert(batch.images.end(), sample.image.pixels.begin(), sample.image.pixels.end());
    batch.labels.push_back(static_cast<int32_t>(sample.label));
    batch.boxes.push_back(std::move(sample.boxes));
    batch.lost_boxes.push_back(sample.lost_boxes);
    batch.shown.push_back(std::move(sample.shown));
    batch.box_classes.push_back(std::move(sample.box_classes));
    batch.ids.push_back(std::move(sample.id));
    batch.sources.push_back(std::move(sample.source));
    batch.indices.push_back(index);
  }
  return batch;
}

Sample Loader::prepared(int64_t index, int64_t position) {
  Sample sample = fitted(index);
  if (options_.augment) {
    // A stream of its own for each sample, so that no sample's draws depend on those of another.
    Random random(options_.seed, stream_of(str("loader augmentation, epoch ", epoch_, ", position ", position)));
    augment(sample, options_.preprocess, random);
  }
  return sample;
}

Sample Loader::fitted(int64_t index) {
  const bool caching = !cache_.empty();
  if (caching) {
    std::shared_ptr<const Sample> kept;
    {
      const std::lock_guard lock(cache_mutex_);
      kept = cache_[static_cast<size_t>(index)];
    }
    if (kept) return *kept;
  }
  Sample sample = dataset_.load(index);
  fit(sample, options_.preprocess, options_.augment);
  if (caching) {
    const std::lock_guard lock(cache_mutex_);
    if (bytes_of(sample) <= cache_left_) {
      cache_left_ -= bytes_of(sample);
      cache_[static_cast<size_t>(index)] = std::make_shared<const Sample>(sample);
    }
  }
  return sample;
}

}  // namespace boxcam
