// Box masks and the metrics against values computed by hand.
#include "xai/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/base/random.h"
#include "engine/ops.h"
#include "xai/boxes.h"

namespace boxcam {
namespace {

using Values = std::vector<double>;

Values mask_of(const std::vector<Box>& boxes, int64_t height, int64_t width, double margin) {
  return box_masks({boxes}, height, width, margin).to_vector();
}

TEST(BoxMasks, APixelIsInsideWhenItsCentreIs) {
  EXPECT_EQ(mask_of({{1, 0, 3, 1}}, 2, 4, 0), (Values{0, 1, 1, 0, 0, 0, 0, 0}));
  // Centres on the border count.
  EXPECT_EQ(mask_of({{0.5, 0.5, 2.5, 0.5}}, 2, 4, 0), (Values{1, 1, 1, 0, 0, 0, 0, 0}));
}

TEST(BoxMasks, ABoxSmallerThanAPixelCoversThePixelItLiesIn) {
  EXPECT_EQ(mask_of({{2.1, 1.6, 2.2, 1.7}}, 2, 4, 0), (Values{0, 0, 0, 0, 0, 0, 1, 0}));
  // Between two centres: the pixel of its middle, in that direction alone.
  EXPECT_EQ(mask_of({{0.6, 0, 1.3, 2}}, 2, 4, 0), (Values{1, 0, 0, 0, 1, 0, 0, 0}));
  EXPECT_EQ(mask_of({{0.7, 0, 1.4, 2}}, 2, 4, 0), (Values{0, 1, 0, 0, 0, 1, 0, 0}));
  EXPECT_EQ(mask_of({{0, 1.1, 4, 1.1}}, 2, 4, 0), (Values{0, 0, 0, 0, 1, 1, 1, 1}));  // no height at all
  EXPECT_EQ(mask_of({{0, 0.7, 4, 1.2}}, 2, 4, 0), (Values{1, 1, 1, 1, 0, 0, 0, 0}));
  // With a margin that still reaches no centre, and with one that does.
  EXPECT_EQ(mask_of({{2.1, 1.6, 2.2, 1.7}}, 2, 4, 0.05), (Values{0, 0, 0, 0, 0, 0, 1, 0}));
  EXPECT_EQ(mask_of({{2.1, 1.6, 2.2, 1.7}}, 2, 4, 0.7), (Values{0, 0, 0, 0, 0, 1, 1, 0}));
  // At the image's edges, and across them: what lies in the image counts.
  EXPECT_EQ(mask_of({{3.8, 1.9, 4, 2}}, 2, 4, 0), (Values{0, 0, 0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(mask_of({{-5, -5, 0.2, 0.3}}, 2, 4, 0), (Values{1, 0, 0, 0, 0, 0, 0, 0}));
  // Outside there is no pixel, nor for one that only touches.
  for (const Box& box : {Box{4, 0, 4.1, 2}, Box{-0.1, 0, 0, 2}, Box{0, 2.1, 4, 2.2}, Box{7, 7, 7.1, 7.1}})
    EXPECT_EQ(mask_of({box}, 2, 4, 0), Values(8, 0));
  EXPECT_EQ(box_masks({{{4.2, 5.1, 4.3, 5.2}}}, 224, 224, 0, DType::f64).to_vector()[5 * 224 + 4], 1);
}

TEST(Metrics, LostBoxesAreCountedBesideTheSumsAndKept) {
  Metrics m(2);
  EXPECT_EQ(m.lost_boxes(), 0);
  m.add_lost_boxes(2);
  m.add_lost_boxes(1);
  Metrics restored(2);
  restored.restore(m.state());
  EXPECT_EQ(restored.lost_boxes(), 3);
  EXPECT_EQ(restored.images(), 0);
}

TEST(BoxMasks, MarginIsClippedToTheImage) {
  EXPECT_EQ(mask_of({{1, 0, 2, 1}}, 2, 4, 1), (Values{1, 1, 1, 0, 1, 1, 1, 0}));
  EXPECT_EQ(mask_of({{1, 0, 2, 1}}, 2, 4, 100), Values(8, 1));
  EXPECT_EQ(mask_of({{1, 0, 2, 1}}, 2, 4, 1e300), Values(8, 1));
  EXPECT_EQ(mask_of({{-50, -50, 500, 500}}, 2, 4, 0), Values(8, 1));
  EXPECT_EQ(mask_of({{-9, 0, -4, 2}}, 2, 4, 0), Values(8, 0));
  EXPECT_THROW(box_masks({{}}, 2, 4, -1), Error);
}

TEST(BoxMasks, WhatIsNoBoxCoversNothing) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const Box& box : {Box{nan, 0, 2, 1}, Box{0, nan, 2, 1}, Box{0, 0, nan, 1}, Box{0, 0, 2, nan}, Box{3, 0, 1, 1}})
    EXPECT_EQ(mask_of({box}, 2, 4, 0), Values(8, 0));
  EXPECT_EQ(mask_of({{-infinity, -1e308, infinity, 1e308}}, 2, 4, infinity), Values(8, 1));
}

TEST(BoxMasks, OverlappingBoxesCountOnceAndImagesAreSeparate) {
  const Tensor masks = box_masks({{{0, 0, 2, 1}, {1, 0, 3, 1}}, {}, {{3, 0, 4, 1}}}, 1, 4, 0, DType::f64);
  EXPECT_EQ(masks.shape(), (Shape{3, 1, 4}));
  EXPECT_EQ(masks.dtype(), DType::f64);
  EXPECT_EQ(masks.to_vector(), (Values{1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1}));
}

// Image 0: 0.5 of its mass 2 is outside the box. Image 1 has no box and the mass 1.
const Tensor cam = Tensor::from({2, 2, 2}, Values{1, 0.5, 0, 0.5, 0.25, 0.75, 0, 0});
const Tensor mask = Tensor::from({2, 2, 2}, Values{1, 0, 0, 1, 0, 0, 0, 0});

// Three classes, two batches. The first: image 0 right with inside 1.5 of 2, image 1 without a box. The second, of one
// image: wrong, inside 0.25 of 1.
Metrics filled() {
  Metrics m(3);
  m.add(Tensor::from({2, 3}, Values{3, 1, 2, 0, 5, 5}), Tensor::from({2}, std::vector<int32_t>{0, 1}), cam, mask);
  m.add(Tensor::from({1, 3}, Values{1, 2, 9}), Tensor::from({1}, std::vector<int32_t>{1}),
        Tensor::from({1, 2, 2}, Values{0.25, 0.75, 0, 0}), Tensor::from({1, 2, 2}, Values{1, 0, 0, 0}));
  return m;
}

TEST(Metrics, Accuracy) {
  const Metrics m = filled();
  EXPECT_EQ(m.images(), 3);
  EXPECT_DOUBLE_EQ(m.accuracy(), 2.0 / 3);  // of two equal logits the first is predicted
  EXPECT_EQ(m.confusion(0, 0), 1);
  EXPECT_EQ(m.confusion(1, 1), 1);
  EXPECT_EQ(m.confusion(1, 2), 1);
  const Values by_class = m.per_class_accuracy();
  EXPECT_EQ(by_class[0], 1);
  EXPECT_EQ(by_class[1], 0.5);
  EXPECT_TRUE(std::isnan(by_class[2]));  // no image
  EXPECT_EQ(m.worst_class_accuracy(), 0.5);
}

TEST(Metrics, ContentHeatmapInItsThreeForms) {
  const Metrics m = filled();
  // Batch ratios 0.75 (two images) and 0.25 (one), sums 1.75 of 3, image ratios 0.75 and 0.25.
  EXPECT_DOUBLE_EQ(m.content_heatmap(ContentHeatmap::batch), (2 * 0.75 + 0.25) / 3);
  EXPECT_DOUBLE_EQ(m.content_heatmap(ContentHeatmap::pooled), 1.75 / 3);
  EXPECT_DOUBLE_EQ(m.content_heatmap(ContentHeatmap::image_mean), 0.5);
}

TEST(Metrics, BoxCoverageCountsBoxPixelsAboveOneHalf) {
  // Image 0: one of two box pixels exceeds 0.5 (0.5 itself does not); the second batch: none of one.
  EXPECT_DOUBLE_EQ(filled().box_coverage(), 0.25);
}

TEST(Metrics, RecordsAreTheSumsOverAllPixels) {
  constexpr int64_t height = 5, width = 7;
  Random random(3);
  Values cams, masks;
  for (int64_t i = 0; i < 2 * height * width; ++i) {
    cams.push_back(std::round(random.uniform(0, 1) * 64) / 64);  // so that every sum is exact, in any order
    masks.push_back(random.uniform(0, 1) < 0.4);
  }
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Shape shape{2, height, width};
    const Tensor C = Tensor::from(shape, cams).to(dtype), B = Tensor::from(shape, masks).to(DType::f32);
    const auto records = cam_records(C, B), by_ops = cam_records_by_ops(C, B);  // the way of a device
    ASSERT_EQ(records.size(), 2u);
    ASSERT_EQ(by_ops.size(), 2u);
    for (size_t n = 0; n < 2; ++n) {
      CamRecord r;
      for (size_t i = n * height * width; i < (n + 1) * height * width; ++i) {
        r.total += cams[i];
        r.inside += cams[i] * masks[i];
        r.box_area += masks[i];
        r.covered += cams[i] > 0.5 && masks[i] > 0;
      }
      for (const CamRecord& found : {records[n], by_ops[n]}) {
        EXPECT_EQ(found.total, r.total);
        EXPECT_EQ(found.inside, r.inside);
        EXPECT_EQ(found.box_area, r.box_area);
        EXPECT_EQ(found.covered, r.covered);
      }
    }
  }
}

TEST(Metrics, EmptyCamsAreCountedAndLeftOutOfRatios) {
  Metrics m = filled();
  const Values before = {m.content_heatmap(ContentHeatmap::batch), m.content_heatmap(ContentHeatmap::pooled),
                         m.content_heatmap(ContentHeatmap::image_mean)};
  EXPECT_EQ(m.empty_cams(), 0);
  m.add(Tensor::from({1, 3}, Values{1, 0, 0}), Tensor::from({1}, std::vector<int32_t>{0}),
        Tensor::zeros({1, 2, 2}, DType::f64), Tensor::from({1, 2, 2}, Values{1, 1, 0, 0}));
  EXPECT_DOUBLE_EQ(m.empty_cams(), 1.0 / 3);  // of the boxed images
  EXPECT_DOUBLE_EQ(m.box_coverage(), 0.5 / 3);
  EXPECT_EQ(before, (Values{m.content_heatmap(ContentHeatmap::batch), m.content_heatmap(ContentHeatmap::pooled),
                            m.content_heatmap(ContentHeatmap::image_mean)}));
}

TEST(Metrics, NothingIsNaN) {
  const Metrics m(2);
  for (const double value : {m.accuracy(), m.content_heatmap(ContentHeatmap::batch), m.box_coverage(), m.empty_cams(),
                             m.worst_class_accuracy(), m.content_heatmap(ContentHeatmap::image_mean)})
    EXPECT_TRUE(std::isnan(value));
}

TEST(Metrics, StateGoesToACheckpointAndBack) {
  const Metrics m = filled();
  Metrics again(3);
  again.restore(m.state());
  EXPECT_EQ(again.state(), m.state());
  EXPECT_EQ(again.accuracy(), m.accuracy());
  EXPECT_EQ(again.content_heatmap(ContentHeatmap::batch), m.content_heatmap(ContentHeatmap::batch));
  EXPECT_THROW(Metrics(4).restore(m.state()), Error);
  for (const double no_count : {-1.0, 1e300, std::nan("")}) {
    std::vector<double> state = m.state();
    state[10] = no_count;
    EXPECT_THROW(again.restore(state), Error) << no_count;
  }
}

}  // namespace
}  // namespace boxcam
