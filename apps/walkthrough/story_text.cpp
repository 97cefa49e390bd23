#include "apps/walkthrough/story_text.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>
#include <sstream>

#include "apps/common/html.h"
#include "engine/base/text.h"
#include "xai/metrics.h"

namespace boxcam {

namespace {

using Teaches = Reading::Teaches;
using BN = Reading::BatchNorm;

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

/// `text` in lines of at most `width` columns, each after `indent`. A byte that continues a UTF-8 letter takes no
/// column.
std::string wrap(const std::string& text, const std::string& indent, size_t width = 110) {
  const auto columns = [](const std::string& s) {
    return static_cast<size_t>(std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  };
  std::string result, line = indent, word;
  for (std::istringstream words(text); words >> word;) {
    if (line != indent && columns(line) + 1 + columns(word) > width) result += line + "\n", line = indent;
    line += (line == indent ? "" : " ") + word;
  }
  return result + line + "\n";
}

/// "62 parameter tensors, 40 buffers (running statistics)", or "nothing"
std::string changed(const StepCost& cost) {
  std::vector<std::string> parts;
  if (cost.parameters) parts.push_back(str(cost.parameters, " parameter tensors"));
  if (cost.buffers) parts.push_back(str(cost.buffers, " buffers (running statistics)"));
  if (cost.copied) parts.push_back(str(cost.copied, " tensors of the copy"));
  return parts.empty() ? "nothing" : join(parts);
}

/// What the images whose CAM is empty add to P and ask of M: it depends on the loss and on the profile.
std::string about_empty_cams(const Story& story, const std::vector<ImageRow>& rows, CamProfile profile) {
  bool penalised = false, asks = false;
  for (size_t n = 0; n < rows.size(); ++n) {
    if (!rows[n].empty) continue;
    penalised = penalised || (rows[n].counted && rows[n].penalty > 0);
    for (const Tensor& G : story.asked) {
      const int64_t cells = G.numel() / story.images();
      const float* g = G.data<float>() + static_cast<int64_t>(n) * cells;
      asks = asks || std::any_of(g, g + cells, [](float value) { return value != 0; });
    }
  }
  return str("An empty CAM (", profile == CamProfile::pgc_1_3_1 ? "" : "no cell of M above 0, or ",
             "M the same in every cell) has ", penalised ? "a" : "no", " penalty",
             penalised == asks ? " and " : ", but ", asks ? "a" : "no", " gradient dP/dM.");
}

}  // namespace

std::string number_text(double value) { return std::isnan(value) ? "-" : formatted("%.3g", value); }

std::string bytes_text(size_t bytes) {
  const double mib = static_cast<double>(bytes) / (1 << 20);
  return mib >= 1024  ? formatted("%.2f GiB", mib / 1024)
         : mib >= 0.1 ? formatted("%.1f MiB", mib)
                      : formatted("%.1f KiB", mib * 1024);
}

std::string time_text(double seconds) {
  return seconds >= 1      ? formatted("%.2f s", seconds)
         : seconds >= 1e-3 ? formatted("%.1f ms", 1e3 * seconds)
                           : formatted("%.0f µs", 1e6 * seconds);
}

std::string shape_text(const Tensor& tensor) { return tensor.ndim() == 0 ? "scalar" : str(tensor.shape()); }

double cosine(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  double product = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const float *x = a[i].data<float>(), *y = b[i].data<float>();
    for (int64_t j = 0; j < a[i].numel(); ++j) product += static_cast<double>(x[j]) * y[j];
  }
  const double norms = norm_of(a) * norm_of(b);
  return norms > 0 ? product / norms : kNothing;
}

std::string reading_in_words(const Method& method) {
  const Reading& o = method.reading;
  if (o.leaks())
    return "leak: the penalty itself teaches nothing, but the gradient of the explained scores, which Grad-CAM "
           "computes "
           "in step 1, stays in the gradient buffers and is added to the cross-entropy's: what the copy is said to "
           "prevent. It does not depend on λ, and gradient descent on it lowers the explained class' score.";
  if (o.teaches == Teaches::constant)
    return "constant, the thesis to the letter: the CAM is data when the penalty is computed, so the gradient of the "
           "penalty is zero. The penalty teaches nothing: λ changes the loss that is reported and moves no weight.";
  std::string words;
  switch (o.teaches) {
    case Teaches::full:
      words =
          "full: the penalty is differentiated as a whole, through the activations A and through the weights α, "
          "which are themselves gradients (grad of grad where a nonlinear layer follows the tap).";
      break;
    case Teaches::activations:
      words = "activations: the penalty is differentiated through the activations A; the weights α are constants.";
      break;
    case Teaches::weights:
      words = "weights: the penalty is differentiated through the weights α; the activations A are constants.";
      break;
    default:
      words = str("transfer: the penalty is differentiated on the copy, ",
                  o.transfer == Reading::Transfer::activations ? "through the activations only" : "through all of it",
                  ", with running statistics, and its gradients are added to the classifier's.");
  }
  if (method.penalty.lambda == 0)
    words += " But λ is 0: the penalty is measured and teaches nothing; give --lambda 1 to see its gradient.";
  return words;
}

std::string boxes_in_words(BoxControl control) {
  switch (control) {
    case BoxControl::own: return "its boxes";
    case BoxControl::shuffled: return "the boxes of another image of the batch";
    case BoxControl::fixed_shuffled: return "the boxes of another image of the training split";
    case BoxControl::random: return "its boxes in a random place";
    case BoxControl::centre: return "its largest box in the centre";
    case BoxControl::inverse: return "all but its boxes for the inside";
    case BoxControl::none: return "no box";
  }
  fail("a control has no words");
}

std::string labels_in_words(const Story& story) {
  std::vector<std::string> parts;
  for (size_t c = 0; c < story.classes.size(); ++c)
    parts.push_back(str(std::count(story.batch.labels.begin(), story.batch.labels.end(), static_cast<int32_t>(c)), " ",
                        story.classes[c]));
  return join(parts);
}

std::vector<ImageRow> image_rows(const Story& story, const WalkOptions& o) {
  const Penalty& penalty = o.train.method.penalty;
  std::vector<ImageRow> rows;
  const NoGrad no_grad;
  const Tensor probabilities = softmax(story.step.cl.logits),
               penalties = penalty.loss->of_images(story.step.C, story.step.B);
  const std::vector<int32_t> predicted = predictions(story.step.cl.logits);
  const int64_t pixels = story.step.C.numel() / story.images(), classes = probabilities.dim(1);
  for (int64_t n = 0; n < story.images(); ++n) {
    const float *C = story.step.C.data<float>() + n * pixels, *B = story.step.B.data<float>() + n * pixels;
    double inside = 0, total = 0, area = 0;
    for (int64_t i = 0; i < pixels; ++i) inside += C[i] * B[i], total += C[i], area += B[i];
    const bool boxed = !story.input.boxes[n].empty();
    rows.push_back(
        {story.batch.ids[n], story.classes[story.batch.labels[n]], story.classes[predicted[n]],
         probabilities.data<float>()[n * classes + story.batch.labels[n]], area > 0 ? inside / area : kNothing,
         area < static_cast<double>(pixels) ? (total - inside) / (static_cast<double>(pixels) - area) : kNothing,
         total > 0 && area > 0 ? inside / total : kNothing, penalties.data<float>()[n], boxed,
         boxed || penalty.unboxed == Penalty::Unboxed::penalise, total <= 0});
  }
  return rows;
}

namespace {

/// Tells the chapters: each is a function of what the step did.
class Teller {
 public:
  Teller(const Story& story_told, const WalkOptions& options)
      : story(story_told),
        method(options.train.method),
        balanced(options.train.class_balance),
        rows(image_rows(story_told, options)) {}

  Chapter grad_cam() const;
  Chapter logits() const;
  Chapter cross_entropy() const;
  Chapter penalty() const;
  Chapter weighted_sum() const;
  Chapter back_propagation() const;
  Chapter metrics() const;
  Chapter copying() const;

 private:
  const Story& story;
  const Method& method;
  const bool balanced;
  const Step& s = story.step;
  const ExplainOptions& explain = method.explain;
  const Penalty& penalty_of = method.penalty;
  const Reading& reading = method.reading;
  const std::vector<ImageRow> rows;
};

Chapter Teller::grad_cam() const {
  Chapter cam;
  const std::string target =
      explain.cam.target == CamTarget::centered ? "the class' logit minus the mean of all logits" : "the class' logit";
  cam.title = str("Grad-CAM on ", story.copies ? "the copy GC" : "the classifier itself");
  cam.words = str(
      "A forward pass in ", reading.batch_norm == BN::eval ? "eval" : "train", " mode keeps the activations A of ",
      join(story.taps), ". The weight α_k of a channel is the mean over the map of d score / d A_k, the score being ",
      target, " of the ", explain.explains == ExplainOptions::Class::predicted ? "predicted" : "labelled",
      " class. M = Σ_k α_k A_k is the signed map, which the profile's ReLU, min-max and resize turn into C, the CAM, "
      "in [0, 1] at the input's resolution. The box masks B are made here too. In PyTorch this takes a hook and "
      "backward(), which fills .grad; here grad() returns tensors and touches no buffer.");
  cam.flows = {{false, "x", "images", story.input.x}, {false, "c", "explained classes", s.classes}};
  for (size_t i = 0; i < story.taps.size(); ++i) {
    const std::string at = story.taps.size() == 1 ? "" : " of " + story.taps[i];
    cam.flows.push_back({true, "A", "activations of " + story.taps[i], s.gc.taps.at(story.taps[i])});
    cam.flows.push_back({true, "α", "channel weights" + at, s.alpha[i]});
    cam.flows.push_back({true, "M", "signed maps" + at, s.M[i]});
  }
  const auto empty = std::count_if(rows.begin(), rows.end(), [](const ImageRow& r) { return r.empty; });
  cam.flows.push_back({true, "C", "CAMs", s.C, str(empty, " of ", rows.size(), " empty")});
  cam.flows.push_back({true, "B", "box masks", s.B});
  if (empty) cam.findings.push_back(about_empty_cams(story, rows, explain.cam.profile));
  if (const auto swapped = std::count(story.input.swapped.begin(), story.input.swapped.end(), 1))
    cam.findings.push_back(str(swapped, " of ", rows.size(), " images have the ground of another image of the batch."));
  if (story.copies)
    cam.findings.push_back("This pass is the copy's own: it comes on top of the classifier's in step 2.");
  return cam;
}

Chapter Teller::logits() const {
  Chapter logits;
  logits.title = "Logits of the classifier CL";
  logits.words = story.single_pass
                     ? "The pass of step 1 was the classifier's own training pass, so its logits are there already: "
                       "nothing is computed. Its running statistics were updated by that pass, once."
                     : "The classifier's own forward pass, in train mode: batch statistics normalise, and the running "
                       "statistics move. Only CL predicts.";
  if (!method.head_bias)
    logits.words += " The head has no bias: its place in the files holds zeros that are not trained.";
  logits.flows = {{false, "x", "images", story.input.x}, {true, "y", "logits", s.cl.logits}};
  return logits;
}

Chapter Teller::cross_entropy() const {
  Chapter ce;
  ce.title = "Cross-entropy";
  ce.words =
      "−ln of the softmax probability of the label, averaged over the batch, as torch.nn.functional.cross_entropy. "
      "It does not see the CAM.";
  if (balanced) ce.words += " Each image is weighed by its class, the more the rarer it is in the training split.";
  ce.flows = {{false, "y", "logits", s.cl.logits},
              {false, "labels", "one for each image", story.input.labels},
              {true, "CE", "mean cross-entropy", s.cross_entropy}};
  const auto right = std::count_if(rows.begin(), rows.end(), [](const ImageRow& r) { return r.label == r.predicted; });
  ce.findings.push_back(str("Classified right: ", right, " of ", rows.size(), " images. Guessing among ",
                            story.classes.size(), " classes would cost ln ", story.classes.size(), " = ",
                            number_text(std::log(static_cast<double>(story.classes.size()))), "."));
  return ce;
}

Chapter Teller::penalty() const {
  Chapter penalty;
  penalty.title = "The penalty: CAM outside the boxes";
  penalty.words = str(
      "B is 1 inside any box of the image",
      penalty_of.margin > 0 ? str(", enlarged by ", penalty_of.margin, " pixels,") : "",
      " and 0 elsewhere. P is the mean over the images of ", penalty_of.loss->formula, ". ",
      penalty_of.unboxed == Penalty::Unboxed::skip ? "Images without a box are left out of the mean."
                                                   : "An image without a box has B = 0: its whole CAM is penalised.",
      method.boxes == BoxControl::own ? "" : str(" A control: here an image has ", boxes_in_words(method.boxes), "."),
      penalty_of.loss->fused
          ? " The terms of this mean are made in step 1, while C is in the cache, so this step takes no time."
          : "");
  penalty.flows = {{false, "C", "CAMs", s.C}, {false, "B", "box masks", s.B}, {true, "P", "penalty", s.P}};
  double balance = 0, size = 0;
  for (size_t i = 0; i < s.M.size(); ++i)
    for (int64_t j = 0; j < s.M[i].numel(); ++j) {
      const double product = static_cast<double>(s.M[i].data<float>()[j]) * story.asked[i].data<float>()[j];
      balance += product, size += std::abs(product);
    }
  penalty.findings.push_back(
      str("Σ M dP/dM = ", number_text(balance), " (of terms that add up to ", number_text(size), " in size): ",
          size == 0 ? "no CAM asks anything of M."
          : explain.cam.normalizer == CamNormalizer::differentiated && std::abs(balance) < 1e-3 * size
              ? "zero but for rounding. C does not change when M is scaled, so the penalty can only move CAM mass, not "
                "shrink it."
              : "not zero, so shrinking or growing M changes the penalty too."));
  return penalty;
}

Chapter Teller::weighted_sum() const {
  Chapter sum;
  sum.title = "The weighted sum";
  /// Beside CE and λ P: what the formula, the flows and the sum of this step say of a term.
  struct Addend {
    std::string factor, symbol, what;
    double weight;
    Tensor value;
  };
  std::vector<Addend> more;
  if (method.splits()) {
    more.push_back(
        {"½ ", "CE_in", "cross-entropy of y_in + b", Method::kEvidenceCrossEntropy, s.evidence_cross_entropy});
    more.push_back(
        {"μ ", "V_out", "what y_out says for and against classes", method.evidence_split, s.evidence_penalty});
  }
  if (s.swap_consistency.defined())
    more.push_back(
        {"w ", "KL", "f(x) against f of x over another ground", method.swap.consistency, s.swap_consistency});
  if (s.context_only.defined())
    more.push_back(
        {"v ", "CE_out", "cross-entropy of x without its objects, as none", method.context.weight, s.context_only});

  std::string formula = "loss = CE + λ P",
              numbers = str("loss = ", number_text(s.cross_entropy.item()), " + ", number_text(penalty_of.lambda),
                            " × ", number_text(s.P.item()));
  sum.flows = {{false, "CE", "mean cross-entropy", s.cross_entropy}, {false, "P", "penalty", s.P}};
  for (const Addend& a : more) {
    formula += " + " + a.factor + a.symbol;
    numbers += str(" + ", number_text(a.weight), " × ", number_text(a.value.item()));
    sum.flows.push_back({true, a.symbol, a.what, a.value});
  }
  sum.words = formula + ". " + reading_in_words(method);
  if (method.splits()) {
    sum.words +=
        " The signed split: with the evidence E_c = W_c·A / (h w) of every cell for every class, y = y_in + y_out + b, "
        "the parts from inside and outside the boxes; CE_in is the cross-entropy of y_in + b, and V_out the mean "
        "square "
        "of y_out less its mean over the classes, both over the images with a box. They are differentiated on CL's own "
        "pass, whatever the reading of P.";
    sum.flows.push_back({true, "y_in", "logits from inside the boxes", s.evidence.inside});
    sum.flows.push_back({true, "y_out", "logits from outside of them", s.evidence.outside});
  }
  if (s.swap_consistency.defined() || s.context_only.defined())
    sum.words +=
        " What compares with other pictures has a pass of its own, with batch statistics of its own, that moves "
        "no running statistics.";
  sum.flows.push_back({true, "loss", "what is reported", s.loss});
  if (reading.leaks()) sum.flows.push_back({true, "Σ score", "whose gradient reading.leaks()", s.taught});
  sum.findings.push_back(numbers + " = " + number_text(s.loss.item()) + ".");
  return sum;
}

Chapter Teller::back_propagation() const {
  Chapter back;
  back.title = "Back-propagation on CL, and the optimiser's update";
  const Term& taught = story.penalty;
  const bool clips = method.clip_grad_norm > 0;
  back.words = str(
      "grad() of what is differentiated with respect to every parameter of CL, ",
      story.single_pass || !taught.teaches ? "in one pass through the graph" : "in two passes whose results are added",
      clips ? str("; the total is clipped to the norm ", number_text(method.clip_grad_norm)) : "",
      "; then the update with learning rate ", number_text(story.learning_rate),
      " on a fresh optimiser. The table takes the gradient apart by term of the loss and by part of the network",
      clips ? "; its total is the clipped one." : ".");
  for (const auto& [tap, gradient] : story.cross_entropy.activations) {
    back.flows.push_back({true, "dCE/dA", "at " + tap, gradient});
    back.flows.push_back({true, "d" + taught.symbol + "/dA", "at " + tap, taught.activations.at(tap)});
  }
  if (!taught.teaches) {
    back.findings.push_back("The penalty sends no gradient: it teaches nothing in this step.");
  } else {
    const double one = norm_of(story.cross_entropy.parameters), other = norm_of(taught.parameters);
    back.findings.push_back(str("The parameter gradient of ", taught.symbol, " is ", number_text(other / one),
                                " times as long as that of CE; the cosine between them is ",
                                number_text(cosine(story.cross_entropy.parameters, taught.parameters)), "."));
  }
  const auto moved = std::count_if(story.change.begin(), story.change.end(), [](double c) { return c > 0; });
  std::vector<std::string> largest;
  for (const std::string& name : story.parts) {
    double most = 0;
    for (size_t i = 0; i < story.change.size(); ++i)
      if (story.part_of[i] == name && std::isfinite(story.change[i])) most = std::max(most, story.change[i]);
    largest.push_back(name + " " + number_text(most));
  }
  back.findings.push_back(
      str(moved, " of ", story.change.size(),
          " parameter tensors changed; the largest relative change |Δw| / |w| by part: ", join(largest), "."));
  return back;
}

Chapter Teller::metrics() const {
  Chapter metrics;
  metrics.title = "Metrics";
  metrics.words =
      "Accuracy, and of the images with a box: Content-Heatmap (CAM mass inside the boxes / in the image), box "
      "coverage (share of the box area where the CAM exceeds 0.5) and empty CAMs; always against the images' "
      "own boxes.";
  metrics.flows = {{false, "y", "logits", s.cl.logits}, {false, "C", "CAMs", s.C}};
  metrics.findings.push_back(str("Accuracy ", formatted("%.1f %%", 100 * story.accuracy), ", Content-Heatmap ",
                                 formatted("%.1f %%", 100 * story.content_heatmap), ", box coverage ",
                                 formatted("%.1f %%", 100 * story.box_coverage), ", empty CAMs ",
                                 formatted("%.1f %%", 100 * story.empty_cams), "."));
  return metrics;
}

Chapter Teller::copying() const {
  Chapter copy;
  copy.title = story.copies ? "Copy CL onto GC" : "Copy CL onto GC: nothing to copy";
  const double share = story.copy.seconds / (story.seconds() + (story.copies ? 0 : story.copy.seconds));
  if (story.copies) {
    copy.words =
        "Every parameter and buffer of the classifier overwrites the copy's, so that the next step explains the "
        "new weights. The thesis copies so that Grad-CAM's backward pass does not disturb training. With a "
        "functional grad() there is nothing to disturb.";
    copy.findings.push_back(
        str("Copying took ", time_text(story.copy.seconds), ", ", formatted("%.2f %%", 100 * share),
            " of the step, and the copy holds ", bytes_text(story.copy.bytes),
            ". It also asks for a forward pass of its own, in step 1: ", time_text(story.copy.forward_seconds), ", ",
            formatted("%.0f %%", 100 * story.copy.forward_seconds / story.seconds()), " of the step."));
  } else {
    copy.words =
        "Grad-CAM was taken on the classifier itself. The thesis copies so that Grad-CAM's backward pass does not "
        "disturb training; a functional grad() returns tensors and disturbs nothing.";
    copy.findings.push_back(str(
        "A copy would take ", time_text(story.copy.seconds), " more in each step (", formatted("%.2f %%", 100 * share),
        " of it)", story.single_pass ? ", hold " : " and hold ", bytes_text(story.copy.bytes),
        story.single_pass ? str(" and ask for a forward pass of its own (", time_text(story.copy.forward_seconds), ").")
                          : "; the CAM has a forward pass of its own here too."));
  }
  return copy;
}

}  // namespace

std::vector<Chapter> chapters(const Story& story, const WalkOptions& options) {
  const Teller teller(story, options);
  return {teller.grad_cam(),     teller.logits(),           teller.cross_entropy(), teller.penalty(),
          teller.weighted_sum(), teller.back_propagation(), teller.metrics(),       teller.copying()};
}

void print_story(std::ostream& out, const Story& story, const WalkOptions& o) {
  const std::string indent = "    ";
  out << "One training step\n  data      " << story.data << "\n  batch     " << story.images()
      << " images, the first batch of epoch 0 under seed " << o.run.seed << ": " << labels_in_words(story)
      << "\n  model     " << story.model << "\n  reading   " << reading_in_options(o.train.method, story.taps) << "\n"
      << wrap(reading_in_words(o.train.method), "            ") << "  lambda    "
      << number_text(o.train.method.penalty.lambda) << "\n";

  const std::vector<Chapter> list = chapters(story, o);
  for (size_t i = 0; i < list.size(); ++i) {
    const Chapter& chapter = list[i];
    const StepCost& cost = story.costs[i];
    out << "\n(" << i + 1 << ") " << chapter.title << "\n" << wrap(chapter.words, indent);
    for (const Flow& flow : chapter.flows) {
      out << indent << (flow.writes ? "writes  " : "reads   ") << flow.symbol << ", " << flow.what << ": ";
      if (flow.tensor.ndim() == 0)
        out << number_text(flow.tensor.item());
      else
        out << shape_text(flow.tensor)
            << (flow.tensor.dtype() == DType::f32 ? ", norm " + number_text(norm_of(flow.tensor)) : "");
      out << (flow.note.empty() ? "" : ", " + flow.note) << "\n";
    }
    if (i == 3) {
      out << indent
          << formatted("%-14s %-7s %5s %11s %12s %14s %9s\n", "image", "label", "boxes", "C in boxes", "C outside",
                       "mass in boxes", "penalty");
      const auto rows = image_rows(story, o);
      for (size_t n = 0; n < rows.size(); ++n)
        out << indent
            << formatted("%-14s %-7s %5zu %11s %12s %14s %9s%s\n", rows[n].id.c_str(), rows[n].label.c_str(),
                         story.input.loss_boxes[n].size(), number_text(rows[n].inside).c_str(),
                         number_text(rows[n].outside).c_str(),
                         std::isnan(rows[n].share) ? "-" : formatted("%.1f %%", 100 * rows[n].share).c_str(),
                         number_text(rows[n].penalty).c_str(),
                         rows[n].empty     ? "  empty CAM"
                         : rows[n].counted ? ""
                                           : "  not counted");
    }
    if (i == 5) {
      out << indent << formatted("%-8s %9s %12s ", "", "values", "|dCE|")
          << (o.train.method.reading.leaks() ? "  |dΣ score|" : "       |dλP|")
          << formatted(" %12s %9s\n", "|total|", "cosine");
      for (const std::string& name : story.parts) {
        const auto a = part(story, story.cross_entropy.parameters, name),
                   b = part(story, story.penalty.parameters, name);
        int64_t values = 0;
        for (const Tensor& g : a) values += g.numel();
        out << indent
            << formatted("%-8s %9lld %12s %12s %12s %9s\n", name.c_str(), static_cast<long long>(values),
                         number_text(norm_of(a)).c_str(), number_text(norm_of(b)).c_str(),
                         number_text(norm_of(part(story, story.step.gradients, name))).c_str(),
                         number_text(cosine(a, b)).c_str());
      }
    }
    for (const std::string& finding : chapter.findings) out << wrap(finding, indent);
    out << indent << "time " << time_text(cost.seconds) << ", allocated " << bytes_text(cost.allocated) << ", peak "
        << bytes_text(cost.peak) << "; changed: " << changed(cost) << "\n";
  }
  out << "\nThe step took " << time_text(story.seconds()) << " with at most " << bytes_text(story.peak())
      << " of tensors in use.\n";
}

}  // namespace boxcam
