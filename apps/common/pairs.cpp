#include "apps/common/pairs.h"

#include <algorithm>

#include "xai/boxes.h"

namespace boxcam {

int64_t Pairs::lost_boxes() const {
  int64_t count = 0;
  for (int64_t i = 0; i < present.numel(); ++i) count += present.data<int32_t>()[i] - boxed.data<int32_t>()[i];
  return count;
}

std::vector<char> Pairs::shows() const { return {present.data<int32_t>(), present.data<int32_t>() + present.numel()}; }

std::vector<Tensor> Pairs::masks(int64_t size, double margin, DType dtype, Device device) const {
  const Tensor nothing = Tensor::zeros({pictures(), size, size}, dtype, device);
  std::vector<Tensor> masks;
  for (const BoxLists& lists : boxes) {
    const bool any = std::any_of(lists.begin(), lists.end(), [](const auto& list) { return !list.empty(); });
    masks.push_back(any ? box_masks(lists, size, size, margin, dtype, device) : nothing);
  }
  return masks;
}

Pairs pairs_of(const Batch& batch, int64_t classes) {
  const auto count = static_cast<size_t>(batch.size), outputs = static_cast<size_t>(classes);
  std::vector<int32_t> present(count * outputs, 0), boxed(count * outputs, 0);
  Pairs pairs{{}, {}, std::vector<BoxLists>(outputs, BoxLists(count))};
  for (size_t n = 0; n < count; ++n) {
    for (const int32_t label : batch.shown[n]) present[n * outputs + static_cast<size_t>(label)] = 1;
    for (size_t i = 0; i < batch.boxes[n].size(); ++i) {
      const auto label = static_cast<size_t>(batch.box_classes[n][i]);
      boxed[n * outputs + label] = 1;
      pairs.boxes[label][n].push_back(batch.boxes[n][i]);
    }
  }
  pairs.present = Tensor::from({batch.size, classes}, present);
  pairs.boxed = Tensor::from({batch.size, classes}, boxed);
  return pairs;
}

std::vector<CamRecord> records_of(const PairRecords& records, const Pairs& pairs, int64_t picture) {
  std::vector<CamRecord> list;
  for (int64_t label = 0; label < pairs.classes(); ++label)
    if (pairs.has(pairs.boxed, picture, label))
      list.push_back(records[static_cast<size_t>(picture)][static_cast<size_t>(label)]);
  return list;
}

std::vector<CamRecord> records_of(const PairRecords& records, const Pairs& pairs) {
  std::vector<CamRecord> list;
  for (int64_t n = 0; n < pairs.pictures(); ++n)
    for (const CamRecord& record : records_of(records, pairs, n)) list.push_back(record);
  return list;
}

}  // namespace boxcam
