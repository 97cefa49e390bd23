// Sanity checks for explainers (Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018): a map that stays as
// it was when the network's parameters are drawn anew explains something else than the network.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "xai/explain.h"

namespace boxcam {

/// Spearman's rank correlation of two maps' values; equal values share their mean rank. NaN where one of the maps is
/// constant or not finite.
double rank_correlation(std::span<const double> a, std::span<const double> b);

/// SSIM (Wang et al., 2004) of two maps [height, width] in [0, 1], the mean over all windows of 7 x 7 (or of the map's
/// side, where that is less), all of whose pixels count alike.
double structural_similarity(std::span<const double> a, std::span<const double> b, int64_t height, int64_t width);

/// Gives every tensor of one of the model's parts, running statistics too, the values of an equal model's.
void randomise(Classifier& model, const Classifier& fresh, const std::string& part);

enum class Randomisation {
  cascading,    ///< the head, then with it the part before, and so on to the images
  independent,  ///< one part, all others as they were trained
};

/// How alike the maps are before and after, over the images where both are maps.
struct MapSimilarity {
  int64_t images = 0, undefined = 0;  ///< undefined: one of the two is constant (an empty CAM) or not finite
  double rank_sum = 0, ssim_sum = 0;
  void add(std::span<const double> before, std::span<const double> after, int64_t height, int64_t width);
  double rank() const { return rank_sum / static_cast<double>(images - undefined); }  ///< mean; NaN without any
  double ssim() const { return ssim_sum / static_cast<double>(images - undefined); }
};

struct SanityRow {
  Randomisation how;
  std::string part;                       ///< the one that was drawn anew last
  std::vector<MapSimilarity> explainers;  ///< in the order of the explainers
};

/// Collects batches. The class that is explained is the one of the trained model's pass throughout.
class SanityCheck {
 public:
  /// `fresh`: the same kind of model with other weights. Both must outlive the check; neither is changed.
  SanityCheck(Classifier& model, const Classifier& fresh, std::vector<const Explainer*> explainers,
              const ExplainOptions& options);
  void add(const Tensor& x, const Tensor& labels);

  const std::vector<SanityRow>& rows() const { return rows_; }
  const std::vector<const Explainer*>& explainers() const { return explainers_; }

 private:
  std::vector<Tensor> maps(Classifier& model, const Tensor& x, const Tensor& labels, Tensor& classes) const;

  Classifier& model_;
  const Classifier& fresh_;
  std::vector<const Explainer*> explainers_;
  ExplainOptions options_;
  std::vector<SanityRow> rows_;
};

}  // namespace boxcam
