// The loader: worker threads turn a data set into batches ahead of the training loop.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "nn/data/dataset.h"
#include "nn/data/image.h"

namespace boxcam {

/// `size` samples of image_size x image_size; every vector has one element per sample.
struct Batch {
  int64_t size = 0;
  int image_size = 0;
  std::vector<uint8_t> images;  ///< NHWC RGB: size * image_size * image_size * 3
  std::vector<int32_t> labels;
  std::vector<std::vector<Box>> boxes;                   ///< in pixels of the network's input
  std::vector<char> lost_boxes;                          ///< whether a crop left none of those that there were
  std::vector<std::vector<int32_t>> shown, box_classes;  ///< of several labels (Sample)
  std::vector<std::string> ids, sources;
  std::vector<int64_t> indices;  ///< in the data set
};

struct LoaderOptions {
  int64_t batch = 16;
  Preprocess preprocess = {};
  bool shuffle = false;  ///< another order each epoch; otherwise the order of the data set
  bool augment = false;  ///< apply preprocess.augment
  uint64_t seed = 0;
  int threads = 2;                  ///< workers
  int prefetch = 4;                 ///< batches made ahead, at most
  bool drop_last = false;           ///< leave out a last batch that is short
  std::string name = "the loader";  ///< in the profile (engine/profile.h), where the caller's waits for it are
  /// Memory to keep what is the same in every epoch, while it fits: samples decoded and, but for crop_flip, resized.
  int64_t cache_bytes = 0;
};

/// Gives an epoch's batches in order. What they hold depends on (seed, epoch, position in the epoch) alone: never on
/// threads, prefetch, cache, or on where the epoch was entered. One thread calls; the data set must outlive the loader.
class Loader {
 public:
  /// Throws Error for an empty data set and for numbers that are not positive.
  Loader(const Dataset& dataset, LoaderOptions options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Begins (or abandons one and begins) an epoch, at batch `first_batch` of 0..batches().
  void start_epoch(int64_t epoch, int64_t first_batch = 0);

  /// The next batch; nothing when the epoch is over. Throws Error where no epoch was started, and what the data set
  /// threw for a sample of this batch (a broken image); after that the epoch is over.
  std::optional<Batch> next();

  int64_t batches() const;  ///< per epoch

 private:
  struct Outcome {
    Batch batch;
    std::exception_ptr error;
  };

  void stop();
  void work();
  std::optional<Outcome>& place_of(int64_t number) { return ready_[static_cast<size_t>(number % options_.prefetch)]; }
  Batch make_batch(int64_t number);
  Sample prepared(int64_t index, int64_t position);
  Sample fitted(int64_t index);

  const Dataset& dataset_;
  const LoaderOptions options_;

  // Of the epoch, fixed while workers run.
  int64_t epoch_ = -1, first_batch_ = 0;
  std::vector<int64_t> order_;

  // The window of batches in the making: [next_given_, next_given_ + prefetch).
  std::mutex mutex_;
  std::condition_variable made_, wanted_;
  bool stopping_ = false;
  int64_t next_taken_ = 0;                     // by a worker
  int64_t next_given_ = 0;                     // to the caller
  std::vector<std::optional<Outcome>> ready_;  // of the window, each in its place: workers need no memory for it
  std::vector<std::thread> workers_;

  std::mutex cache_mutex_;
  std::vector<std::shared_ptr<const Sample>> cache_;
  int64_t cache_left_;
};

}  // namespace boxcam
