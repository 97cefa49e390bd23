// Of a batch of pictures with several labels: the pairs of a picture and a class that it shows (docs/method.md,
// "Several labels").
#pragma once

#include <vector>

#include "apps/common/controls.h"
#include "engine/tensor.h"
#include "xai/metrics.h"

namespace boxcam {

struct Pairs {
  Tensor present;  ///< i32 [N, Q], on the host: 1 where the picture shows the class
  Tensor boxed;    ///< the same of pairs with a box; the others lost theirs in a crop, and have no CAM metric
  std::vector<BoxLists> boxes;  ///< of each class, the pictures' boxes

  int64_t pictures() const { return present.dim(0); }
  int64_t classes() const { return present.dim(1); }
  bool has(const Tensor& marks, int64_t picture, int64_t label) const {
    return marks.data<int32_t>()[picture * classes() + label] != 0;
  }
  int64_t lost_boxes() const;       ///< pairs
  std::vector<char> shows() const;  ///< `present`, as Metrics reads it

  /// [N, size, size] for each class; of classes without a box one mask of zeros.
  std::vector<Tensor> masks(int64_t size, double margin, DType dtype, Device device) const;
};

/// Of a batch whose samples have several labels (Sample::shown).
Pairs pairs_of(const Batch& batch, int64_t classes);

/// What pairs' CAMs were measured to be: [picture][class]; of pairs without a box nothing.
using PairRecords = std::vector<std::vector<CamRecord>>;

/// The records of one picture, or of all, for Metrics.
std::vector<CamRecord> records_of(const PairRecords& records, const Pairs& pairs, int64_t picture);
std::vector<CamRecord> records_of(const PairRecords& records, const Pairs& pairs);

}  // namespace boxcam
