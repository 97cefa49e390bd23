#include "apps/walkthrough/story_page.h"

#include <algorithm>
#include <cmath>
#include <regex>
#include <sstream>

#include "apps/walkthrough/figures.h"
#include "apps/walkthrough/story_text.h"
#include "engine/base/text.h"

namespace boxcam {

namespace {

constexpr int64_t kImages = 4, kChannels = 3, kBars = 10;
constexpr const char *kBlue = "var(--blue)", *kOrange = "var(--orange)", *kGrey = "var(--grey)";

constexpr const char* kStyle = R"(
h2 .n { flex: none; width: 32px; height: 32px; border-radius: 50%; background: var(--blue); color: var(--page);
  font-size: 17px; display: inline-flex; align-items: center; justify-content: center; }
.intro { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 8px 40px; align-items: start; }
.intro table { margin: 0 0 8px; }
.cost { color: var(--soft); font-size: 13px; margin: 0 0 10px; }
.reading { border: 1px solid var(--note-line); background: var(--note); border-radius: 6px; padding: 10px 14px; margin: 14px 0;
  max-width: none; }
.key { display: inline-block; width: 10px; height: 10px; margin-right: 6px; border-radius: 2px; }
.who { font-size: 14px; margin: 20px 0 8px; break-after: avoid; }
.who b { font-weight: 600; }
.row { display: grid; grid-template-columns: repeat(5, minmax(0, 224px)); gap: 20px; align-items: start;
  break-inside: avoid; margin: 0 0 8px; }
.pic { position: relative; width: 100%; aspect-ratio: 1; background: var(--fill); outline: 1px solid var(--line); }
.pic img, .pic svg { position: absolute; inset: 0; width: 100%; height: 100%; display: block; }
.cells img { image-rendering: pixelated; }
.scale { margin-top: 5px; font-size: 11.5px; color: var(--soft); }
.scale img { display: block; width: 100%; height: 8px; }
.ends { display: flex; justify-content: space-between; line-height: 1.5; white-space: nowrap; }
.numbers { font-size: 13px; margin: 0; width: 100%; }
.numbers td { padding: 3px 0; }
svg.chart .power { font-size: 8px; }
svg.chart .plus { fill: var(--red); }
svg.chart .minus { fill: var(--blue); }
svg.flow { display: block; width: 100%; height: auto; margin: 18px 0 6px; break-inside: avoid;
  font: 14px system-ui, Arial, "Liberation Sans", sans-serif; }
svg.flow rect { fill: var(--fill); stroke: var(--grey); }
svg.flow text { fill: var(--ink); text-anchor: middle; }
svg.flow .note { font-size: 12.5px; fill: var(--soft); }
svg.flow line { stroke-width: 1.8; }
@media print {
  .cost, .ahead { break-after: avoid; }
  table, .reading { break-inside: avoid; }
  .row { gap: 10px; grid-template-columns: repeat(5, minmax(0, 1fr)); }
  .scale { font-size: 7pt; }
  .cost { font-size: 8pt; }
  .numbers { font-size: 7.5pt; }
  .intro { grid-template-columns: none; }
  .ends { flex-wrap: wrap; line-height: 1.25; }
  .ends .unit { order: 3; flex-basis: 100%; text-align: center; }
}
)";

/// Prose and formulas of the story: subscripts, minus signs and powers of ten as they are printed.
std::string prose_html(const std::string& text) {
  static const std::regex power("([0-9])e([-+])0?([0-9]+)"), minus("(^|[ (])-([0-9])"), difference(" - "),
      subscript("_k\\b");
  std::string html = std::regex_replace(escape_html(text), subscript, "<sub>k</sub>");
  html = std::regex_replace(html, minus, "$1−$2");
  html = std::regex_replace(html, difference, " − ");
  html = std::regex_replace(html, power, "$1 × 10<sup>$2$3</sup>");
  for (size_t at; (at = html.find("<sup>-")) != std::string::npos;) html.replace(at + 5, 1, "−");
  for (size_t at; (at = html.find("<sup>+")) != std::string::npos;) html.erase(at + 5, 1);
  return html;
}

/// Image n of a batch of maps [N, h, w].
std::span<const float> map_of(const Tensor& maps, int64_t n) {
  const int64_t cells = maps.dim(1) * maps.dim(2);
  return {maps.data<float>() + n * cells, static_cast<size_t>(cells)};
}

class Page {
 public:
  Page(const Story& story, const WalkOptions& options)
      : story_(story),
        o_(options),
        method_(options.train.method),
        chapters_(chapters(story, options)),
        rows_(image_rows(story, options)),
        size_(static_cast<int>(story.input.x.dim(1))),
        shown_(std::min(kImages, story.images())) {
    out_.exceptions(std::ios::badbit);  // memory that ends is no reason for a page with holes
  }

  std::string write();

 private:
  // Pictures.
  Image input(int64_t n) const;
  std::string boxes(int64_t n) const;
  std::string picture(const Image& image, bool cells, int64_t boxes_of, const std::string& alt) const;
  std::string figure(const std::string& picture, const std::string& scale, const std::string& caption) const;
  std::string map(std::span<const float> values, int64_t h, int64_t w, double low, double high, ColourMap colours,
                  const std::string& unit, const std::string& caption, int64_t boxes_of = -1) const;
  std::string signed_map(const Tensor& maps, int64_t n, const std::string& unit, const std::string& caption) const;
  std::string photo(int64_t n, const std::string& caption) const;
  std::string who(int64_t n) const;

  // Sections.
  void begin_section(size_t number);
  void end_section(size_t number);
  void summary();
  void flow();
  void activations(int64_t n, size_t tap);
  void maps(int64_t n, size_t tap);
  void logits();
  void penalised(int64_t n);
  std::string asked(int64_t n) const;
  void penalty_table();
  void gradient_table();
  void gradient_maps(int64_t n, const std::string& tap);
  void histograms();
  void copy_table();
  void costs();

  const Story& story_;
  const WalkOptions& o_;
  const Method& method_;
  const std::vector<Chapter> chapters_;
  const std::vector<ImageRow> rows_;
  const int size_;
  const int64_t shown_;
  std::ostringstream out_;
};

Image Page::input(int64_t n) const {
  Image image(size_, size_);
  std::copy_n(story_.batch.images.data() + n * image.pixels.size(), image.pixels.size(), image.pixels.data());
  return image;
}

/// The boxes as lines over a picture: sharp at any size. Dashed: as the penalty enlarges them by the margin.
std::string Page::boxes(int64_t n) const {
  std::string svg = formatted("<svg viewBox=\"0 0 %d %d\">", size_, size_);
  const double line = size_ / 224.0;
  const auto rectangle = [&](const Box& b, double grow, const char* colour, double width, const char* dash) {
    const double left = std::max(b.x_min - grow, 0.0), top = std::max(b.y_min - grow, 0.0);
    const double right = std::min(b.x_max + grow, double(size_)), bottom = std::min(b.y_max + grow, double(size_));
    return formatted(
        "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"none\" stroke=\"%s\" "
        "stroke-width=\"%.2f\"%s/>",
        left, top, right - left, bottom - top, colour, width * line, dash);
  };
  const std::string dash = formatted(" stroke-dasharray=\"%.1f %.1f\"", 5 * line, 3 * line);
  for (const Box& box : story_.input.loss_boxes[n]) {
    svg += rectangle(box, 0, "#000", 4, "") + rectangle(box, 0, "#fff", 2, "");
    if (method_.penalty.margin > 0) svg += rectangle(box, method_.penalty.margin, "#fff", 1.5, dash.c_str());
  }
  return svg + "</svg>";
}

std::string Page::picture(const Image& image, bool cells, int64_t boxes_of, const std::string& alt) const {
  return std::string("<div class=\"pic") + (cells ? " cells" : "") + "\"><img alt=\"" + escape_html(alt) + "\" src=\"" +
         png_data_uri(image) + "\">" + (boxes_of >= 0 ? boxes(boxes_of) : "") + "</div>";
}

std::string Page::figure(const std::string& picture, const std::string& scale, const std::string& caption) const {
  return "<figure>" + picture + scale + "<figcaption>" + caption + "</figcaption></figure>\n";
}

std::string Page::map(std::span<const float> values, int64_t h, int64_t w, double low, double high, ColourMap colours,
                      const std::string& unit, const std::string& caption, int64_t boxes_of) const {
  const Image image = paint(values, static_cast<int>(h), static_cast<int>(w), low, high, colours);
  return figure(picture(image, h < size_ || size_ < 224, boxes_of, unit), colour_bar(colours, low, high, unit),
                caption);
}

std::string Page::signed_map(const Tensor& maps, int64_t n, const std::string& unit, const std::string& caption) const {
  const auto values = map_of(maps, n);
  double most = 0;
  for (const float v : values) most = std::max(most, std::abs(static_cast<double>(v)));
  return map(values, maps.dim(1), maps.dim(2), -most, most, ColourMap::diverging, unit, caption, n);
}

std::string Page::photo(int64_t n, const std::string& caption) const {
  return figure(picture(input(n), size_ < 224, n, "image " + story_.batch.ids[n]), "", caption);
}

std::string Page::who(int64_t n) const {
  const ImageRow& row = rows_[n];
  return "<p class=\"who\"><b>Image " + escape_html(row.id) + "</b> · label <b>" + escape_html(row.label) +
         "</b>, predicted " + escape_html(row.predicted) + " · p(" + escape_html(row.label) +
         ") = " + number_html(row.probability) + (row.empty ? " · empty CAM" : "") + "</p>\n";
}

void Page::begin_section(size_t number) {
  const Chapter& chapter = chapters_[number - 1];
  const StepCost& cost = story_.costs[number - 1];
  out_ << "<section id=\"step" << number << "\">\n<h2><span class=\"n\">" << number << "</span>"
       << escape_html(chapter.title) << "</h2>\n<p class=\"cost\">" << time_text(cost.seconds) << " · "
       << bytes_text(cost.allocated) << " allocated · peak " << bytes_text(cost.peak)
       << "</p>\n<div class=\"intro\"><p>" << prose_html(chapter.words) << "</p>\n";
  if (!chapter.flows.empty())
    out_ << "<table><thead><tr><th></th><th></th><th></th><th class=\"r\">shape</th><th class=\"r\">norm, or "
            "value</th></tr>"
            "</thead><tbody>\n";
  for (const Flow& flow : chapter.flows) {
    const bool scalar = flow.tensor.ndim() == 0, floats = flow.tensor.dtype() == DType::f32;
    out_ << "<tr><td>" << (flow.writes ? "writes" : "reads") << "</td><td><i>" << escape_html(flow.symbol)
         << "</i></td><td>" << escape_html(flow.what + (flow.note.empty() ? "" : "; " + flow.note))
         << "</td><td class=\"r\">" << (scalar ? "scalar" : shape_text(flow.tensor)) << "</td><td class=\"r\">"
         << (scalar   ? number_html(flow.tensor.item())
             : floats ? number_html(norm_of(flow.tensor))
                      : "")
         << "</td></tr>\n";
  }
  out_ << (chapter.flows.empty() ? "</div>\n" : "</tbody></table></div>\n");
}

void Page::end_section(size_t number) {
  for (const std::string& finding : chapters_[number - 1].findings)
    out_ << "<p class=\"finding\">" << prose_html(finding) << "</p>\n";
  out_ << "</section>\n";
}

void Page::summary() {
  const auto fact = [&](const char* name, const std::string& value) {
    out_ << "<tr><th>" << name << "</th><td>" << value << "</td></tr>\n";
  };
  out_ << "<h1>One training step under the microscope</h1>\n<p class=\"lead\">What a classifier's training step with a "
          "Grad-CAM penalty reads, writes, costs and teaches, in the eight numbered steps of the thesis (Aiskovich, "
          "<i>Controlando el sesgo con técnicas de explicabilidad</i>, 2023).</p>\n<p class=\"reading\"><b>The "
          "reading.</b> "
       << escape_html(reading_in_words(method_)) << "</p>\n<table class=\"facts\">\n";
  fact("Reading", "<code>" + escape_html(reading_in_options(method_, story_.taps)) + "</code>");
  fact("Data", escape_html(story_.data));
  fact("Batch",
       str(story_.images(), " images of ", size_, " × ", size_, " pixels, the first batch of epoch 0 under seed ",
           o_.run.seed, ": ", escape_html(labels_in_words(story_))));
  fact("Model", escape_html(story_.model));
  fact("λ", number_html(method_.penalty.lambda));
  const Step& s = story_.step;
  const auto term = [](const char* symbol, const Tensor& value) {
    return value.defined() ? str(" + ", symbol, " ", number_html(value.item())) : "";
  };
  fact("Loss",
       str("CE ", number_html(s.cross_entropy.item()), " + λ × P ", number_html(s.P.item()),
           term("½ CE_in", s.evidence_cross_entropy), term("μ × V_out", s.evidence_penalty),
           term("w × KL", s.swap_consistency), term("v × CE_out", s.context_only), " = ", number_html(s.loss.item())));
  fact("Time", str(time_text(story_.seconds()), " on ", threads(), threads() == 1 ? " thread" : " threads",
                   ", after a rehearsal; without what this page computed"));
  fact("Memory", str(bytes_text(story_.peak()), " of tensors in use at most"));
  out_ << "</table>\n";
}

/// Which way values go in the step, and which way gradients come back in this reading.
void Page::flow() {
  using Teaches = Reading::Teaches;
  const Teaches reading = method_.reading.teaches;
  const bool two = !story_.single_pass, penalty = story_.penalty.teaches && reading != Teaches::leak;
  const bool by_activations = penalty && reading != Teaches::weights;
  const bool by_weights =
      penalty && (reading == Teaches::full || reading == Teaches::weights ||
                  (reading == Teaches::transfer && method_.reading.transfer == Reading::Transfer::full));
  out_
      << "<svg class=\"flow\" viewBox=\"0 0 1180 250\" role=\"img\" aria-label=\"the flow of values and gradients\">\n";
  const auto node = [&](double x, double y, double width, double height, const std::string& text,
                        const char* note = "") {
    out_ << formatted("<rect x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\" rx=\"5\"/>", x, y - height / 2, width,
                      height)
         << formatted("<text x=\"%.0f\" y=\"%.0f\">", x + width / 2, y + (*note ? -3.0 : 5.0)) << text << "</text>";
    if (*note)
      out_ << formatted("<text class=\"note\" x=\"%.0f\" y=\"%.0f\">", x + width / 2, y + 15) << note << "</text>";
    out_ << "\n";
  };
  const auto arrow = [&](double x1, double y1, double x2, double y2, const char* colour) {
    const double length = std::hypot(x2 - x1, y2 - y1), ux = (x2 - x1) / length, uy = (y2 - y1) / length;
    const double bx = x2 - 9 * ux, by = y2 - 9 * uy;  // the base of its head
    out_ << formatted("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>", x1, y1, bx, by, colour)
         << formatted("<polygon points=\"%.1f,%.1f %.1f,%.1f %.1f,%.1f\" fill=\"%s\"/>\n", x2, y2, bx - 4 * uy,
                      by + 4 * ux, bx + 4 * uy, by - 4 * ux, colour);
  };
  // Values go right, gradients come back below them.
  const auto both = [&](double x1, double y1, double x2, double y2, bool back, const char* colour) {
    arrow(x1, y1 - 5, x2, y2 - 5, kGrey);
    if (back) arrow(x2, y2 + 6, x1, y1 + 6, colour);
  };
  constexpr double top = 50, low = 165, a = 140, alpha = 195;
  node(10, 110, 80, 44, "x", "images");
  if (two) {
    node(150, top, 120, 60, "CL", "train");
    node(150, low, 120, 90, story_.copies ? "GC, the copy" : "CL again",
         method_.reading.batch_norm == Reading::BatchNorm::eval ? "eval" : "train");
    arrow(90, 102, 148, top + 8, kGrey);
    arrow(90, 118, 148, low - 12, kGrey);
  } else {
    node(150, 120, 120, 200, "CL", "one pass");
    arrow(90, 110, 148, 110, kGrey);
  }
  both(270, top, 340, top, true, kBlue);
  node(340, top, 90, 44, "y", "logits");
  both(430, top, 520, top, true, kBlue);
  node(520, top, 110, 44, "CE", "cross-entropy");
  both(630, top, 1050, 98, true, kBlue);
  both(270, a, 340, a, by_activations, kOrange);
  node(340, a, 90, 40, "A");
  both(270, alpha, 340, alpha, by_weights, kOrange);
  node(340, alpha, 90, 40, "α");
  both(430, a, 520, low - 5, by_activations, kOrange);
  both(430, alpha, 520, low + 7, by_weights, kOrange);
  node(520, low, 110, 44, "M", "Σ<tspan dx=\"2\">α A</tspan>");
  both(630, low, 690, low, penalty, kOrange);
  node(690, low, 100, 44, "C", "the CAM");
  both(790, low, 850, low, penalty, kOrange);
  node(850, low, 110, 44, "P", "outside B");
  both(960, low, 1050, 122, penalty, kOrange);
  node(1050, 110, 110, 50, "loss", "CE + λ P");
  const auto note = [&](double x, double y, const std::string& text, const char* colour) {
    out_ << formatted("<text class=\"note\" x=\"%.0f\" y=\"%.0f\" style=\"fill:%s\">", x, y, colour) << text
         << "</text>\n";
  };
  if (reading == Teaches::transfer && penalty) {
    arrow(210, low - 47, 210, top + 32, kOrange);
    note(248, 104, "added", kOrange);
  }
  if (reading == Teaches::leak) {
    arrow(340, alpha + 6, 272, alpha + 6, kOrange);
    note(305, alpha + 24, "leaks", kOrange);
  }
  if (!penalty) note(820, low + 42, "no gradient comes back from P", kOrange);
  const auto legend = [&](double x, const char* colour, const std::string& text) {
    out_ << formatted("<line x1=\"%.0f\" x2=\"%.0f\" y1=\"238\" y2=\"238\" stroke=\"%s\"/>", x, x + 22, colour)
         << formatted("<text class=\"note\" style=\"text-anchor:start\" x=\"%.0f\" y=\"242\">", x + 28) << text
         << "</text>";
  };
  legend(340, kGrey, "values");
  legend(430, kBlue, "gradient of the cross-entropy");
  if (story_.penalty.teaches)
    legend(650, kOrange, reading == Teaches::leak ? "gradient of the explained scores" : "gradient of λ P");
  out_ << "\n</svg>\n";
}

void Page::activations(int64_t n, size_t tap) {
  const Tensor& A = story_.step.gc.taps.at(story_.taps[tap]);
  const Tensor& alpha = story_.step.alpha[tap];
  const int64_t cells = A.dim(1) * A.dim(2), channels = A.dim(3);
  const float *a = A.data<float>() + n * cells * channels, *weight = alpha.data<float>() + n * channels;
  std::vector<float> mean(cells);
  std::vector<double> share(channels);  // of sum_ij M
  for (int64_t i = 0; i < cells; ++i)
    for (int64_t k = 0; k < channels; ++k) {
      mean[i] += a[i * channels + k] / static_cast<float>(channels);
      share[k] += static_cast<double>(weight[k]) * a[i * channels + k];
    }
  std::vector<int64_t> order(channels);
  for (int64_t k = 0; k < channels; ++k) order[k] = k;
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t i, int64_t j) { return std::abs(share[i]) > std::abs(share[j]); });

  const std::string where = escape_html(story_.taps[tap]);
  const auto show = [&](const std::vector<float>& values, const std::string& caption) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    out_ << map(values, A.dim(1), A.dim(2), *low, *high, ColourMap::sequential, "activation", caption, n);
  };
  out_ << who(n) << "<div class=\"row\">\n"
       << photo(n, story_.input.loss_boxes[n].empty()
                       ? "<b>Input</b>, without a box"
                       : "<b>Input</b> with " + boxes_in_words(method_.boxes) +
                             (method_.penalty.margin > 0 ? "; dashed: with the margin" : ""));
  show(mean, str("<b>Mean of A</b> over the ", channels, " channels of ", where));
  for (int64_t i = 0; i < std::min<int64_t>(kChannels - 1, channels); ++i) {
    std::vector<float> one(cells);
    for (int64_t j = 0; j < cells; ++j) one[j] = a[j * channels + order[i]];
    show(one, str("<b>A, channel ", order[i], "</b>: ", i == 0 ? "contributes most to" : "second in", " Σ M, ",
                  number_html(share[order[i]])));
  }
  std::vector<std::pair<std::string, double>> bars;
  for (int64_t i = 0; i < std::min(kBars, channels); ++i) bars.emplace_back(std::to_string(order[i]), weight[order[i]]);
  out_ << figure(bar_chart(bars, "α (score per unit of A)"), "",
                 str("<b>α</b> of the ", bars.size(),
                     " channels that contribute most to Σ M = Σ<sub>k</sub> α<sub>k</sub> Σ A"
                     "<sub>k</sub>, largest first"))
       << "</div>\n";
}

void Page::maps(int64_t n, size_t tap) {
  const Tensor& M = story_.step.M[tap];
  out_ << who(n) << "<div class=\"row\">\n"
       << signed_map(M, n, "score per cell",
                     "<b>M</b> = Σ<sub>k</sub> α<sub>k</sub> A<sub>k</sub>, signed: red speaks for the class, "
                     "blue against it");
  for (const CamStage& stage : story_.stages[tap]) {
    const auto values = map_of(stage.maps, n);
    const double high = *std::max_element(values.begin(), values.end());
    const bool normalised = stage.name.starts_with("min-max") ||
                            (stage.name == "resized" && method_.explain.cam.profile != CamProfile::paper);
    const std::string caption = stage.name == "ReLU" ? "<b>After ReLU</b>: what speaks against the class is dropped"
                                : stage.name == "resized"
                                    ? str("<b>After resize</b> to ", size_, " × ", size_, ", bilinear",
                                          normalised ? str("; its maximum is ", number_html(high)) : std::string())
                                    : "<b>After the first " + escape_html(stage.name) + "</b>, cell by cell";
    out_ << map(values, stage.maps.dim(1), stage.maps.dim(2), 0, normalised ? 1.0 : high,
                normalised ? ColourMap::heat : ColourMap::sequential,
                normalised ? "share of the maximum" : "score per cell", caption, n);
  }
  out_ << map(map_of(story_.step.C, n), size_, size_, 0, 1, ColourMap::heat, "share of the maximum",
              str("<b>C</b>, after ", story_.taps.size() > 1 ? "the mean over the taps and " : "",
                  method_.explain.cam.profile == CamProfile::paper ? "its one min-max" : "the second min-max: the CAM"),
              n)
       << "</div>\n";
}

void Page::logits() {
  const NoGrad no_grad;
  const Tensor p = softmax(story_.step.cl.logits);
  const int64_t classes = p.dim(1);
  out_ << "<table><caption>Logits <i>y</i> and, small bars, softmax probabilities of the first " << shown_
       << " images.</caption><thead><tr><th>image</th><th>label</th>";
  for (const std::string& name : story_.classes) out_ << "<th class=\"r\">" << escape_html(name) << "</th><th></th>";
  out_ << "</tr></thead><tbody>\n";
  for (int64_t n = 0; n < shown_; ++n) {
    out_ << "<tr><td>" << escape_html(rows_[n].id) << "</td><td>" << escape_html(rows_[n].label) << "</td>";
    for (int64_t c = 0; c < classes; ++c)
      out_ << "<td class=\"r\">" << number_html(story_.step.cl.logits.data<float>()[n * classes + c]) << "</td><td>"
           << cell_bar(p.data<float>()[n * classes + c], c == story_.batch.labels[n] ? kBlue : kGrey) << "</td>";
    out_ << "</tr>\n";
  }
  out_ << "</tbody></table>\n";
}

void Page::penalised(int64_t n) {
  const ImageRow& row = rows_[n];
  const auto C = map_of(story_.step.C, n), B = map_of(story_.step.B, n);
  std::vector<float> outside(C.size());
  for (size_t i = 0; i < C.size(); ++i) outside[i] = C[i] * (1 - B[i]);
  Image over = input(n);  // the CAM over the picture
  const Image heat = paint(C, size_, size_, 0, 1, ColourMap::heat);
  for (size_t i = 0; i < over.pixels.size(); ++i) {
    const double opacity = 0.6 * std::sqrt(std::max(0.0f, C[i / 3]));
    over.pixels[i] = static_cast<uint8_t>(std::lround((1 - opacity) * over.pixels[i] + opacity * heat.pixels[i]));
  }
  out_ << who(n) << "<div class=\"row\">\n"
       << figure(picture(over, size_ < 224, n, "CAM over the image"), colour_bar(ColourMap::heat, 0, 1, "C"),
                 "<b>C over the image</b>, with the boxes of the penalty")
       << map(B, size_, size_, 0, 1, ColourMap::sequential, "mask", "<b>B</b>: 1 inside the boxes", n)
       << map(outside, size_, size_, 0, 1, ColourMap::heat, "C (1 − B)",
              row.counted ? "<b>The CAM outside the boxes</b>"
                          : "<b>The CAM outside the boxes</b>; this image has none and is not counted",
              n)
       << asked(n) << "<figure><table class=\"numbers\">"
       << "<tr><td>mean C in the boxes</td><td class=\"r\">" << number_html(row.inside)
       << "</td></tr><tr><td>mean C outside"
       << "</td><td class=\"r\">" << number_html(row.outside)
       << "</td></tr><tr><td>CAM mass in the boxes</td><td class=\"r\">" << percent_html(row.share)
       << "</td></tr><tr><td>penalty of the image</td><td class=\"r\">" << number_html(row.penalty)
       << "</td></tr></table></figure></div>\n";
}

/// G = dP/dM of the first tap. Its largest cell, by which the normalisation divides, may be far off the scale of the
/// rest.
std::string Page::asked(int64_t n) const {
  const Tensor& G = story_.asked[0];
  const auto values = map_of(G, n);
  std::vector<double> sizes;
  for (const float g : values) sizes.push_back(std::abs(static_cast<double>(g)));
  const auto extreme = std::max_element(sizes.begin(), sizes.end());
  const float at_extreme = values[extreme - sizes.begin()];
  double scale = *extreme;
  *extreme = 0;
  const double second = *std::max_element(sizes.begin(), sizes.end());
  std::string caption = "<b>G = dP/dM</b>";
  if (second > 0 && scale > 3 * second) {
    scale = second;
    caption += "; one cell, " + number_html(at_extreme) + ", is off the scale";
  }
  return map(values, G.dim(1), G.dim(2), -scale, scale, ColourMap::diverging, "P per unit of M", caption, n);
}

void Page::penalty_table() {
  out_
      << "<h3>The whole batch</h3>\n<table><thead><tr><th>image</th><th>label</th><th class=\"r\">boxes</th><th "
         "class=\"r\">mean C in boxes</th><th class=\"r\">mean C outside</th><th class=\"r\">CAM mass in boxes</th><th "
         "class=\"r\">penalty</th><th></th></tr></thead><tbody>\n";
  double most = 0;
  for (const ImageRow& row : rows_) most = std::max(most, row.penalty);
  for (size_t n = 0; n < rows_.size(); ++n) {
    const ImageRow& row = rows_[n];
    out_ << "<tr><td>" << escape_html(row.id) << "</td><td>" << escape_html(row.label) << "</td><td class=\"r\">"
         << story_.input.loss_boxes[n].size() << "</td><td class=\"r\">" << number_html(row.inside)
         << "</td><td class=\"r\">" << number_html(row.outside) << "</td><td class=\"r\">" << percent_html(row.share)
         << "</td><td class=\"r\">" << number_html(row.penalty) << "</td><td>"
         << (row.empty      ? "empty CAM"
             : !row.counted ? "not counted"
                            : cell_bar(most > 0 ? row.penalty / most : 0, kOrange))
         << "</td></tr>\n";
  }
  out_ << "</tbody></table>\n";
}

void Page::gradient_maps(int64_t n, const std::string& tap) {
  const auto norms = [&](const Tensor& gradient) {
    const int64_t cells = gradient.dim(1) * gradient.dim(2), channels = gradient.dim(3);
    const float* g = gradient.data<float>() + n * cells * channels;
    std::vector<float> result(cells);
    for (int64_t i = 0; i < cells; ++i) {
      double square = 0;
      for (int64_t k = 0; k < channels; ++k) square += static_cast<double>(g[i * channels + k]) * g[i * channels + k];
      result[i] = static_cast<float>(std::sqrt(square));
    }
    return result;
  };
  const Tensor &ce = story_.cross_entropy.activations.at(tap), &other = story_.penalty.activations.at(tap);
  const std::vector<float> a = norms(ce), b = norms(other);
  const auto total = [](const std::vector<float>& cells) {
    double square = 0;
    for (const float c : cells) square += static_cast<double>(c) * c;
    return std::sqrt(square);
  };
  const auto one = [&](const Tensor& g) {
    const NoGrad no_grad;
    return slice(g, 0, n, 1);
  };
  const auto show = [&](const std::vector<float>& values, const std::string& caption) {
    out_ << map(values, ce.dim(1), ce.dim(2), 0, *std::max_element(values.begin(), values.end()), ColourMap::sequential,
                "norm over channels", caption, n);
  };
  const std::string symbol = escape_html(story_.penalty.symbol), where = escape_html(tap);
  out_ << who(n) << "<div class=\"row\">\n" << photo(n, "<b>Input</b>");
  const auto [least, most] = std::minmax_element(a.begin(), a.end());
  show(a, "<b>dCE/dA</b> at " + where +
              (*most - *least < 1e-4 * *most ? ": the same in every cell, as the average pool hands it back" : ""));
  show(b, story_.penalty.teaches ? "<b>d" + symbol + "/dA</b> at " + where
                                 : "<b>d" + symbol + "/dA</b>: zero everywhere: the penalty is a constant of the step");
  if (story_.single_pass) {
    const NoGrad no_grad;
    show(norms(ce + other), "<b>Both together</b>: what travels on to earlier layers");
  }
  out_ << "<figure><table class=\"numbers\"><tr><td>|dCE/dA|</td><td class=\"r\">" << number_html(total(a))
       << "</td></tr><tr><td>|d" << symbol << "/dA|</td><td class=\"r\">" << number_html(total(b))
       << "</td></tr><tr><td>ratio</td><td class=\"r\">" << number_html(total(b) / total(a))
       << "</td></tr><tr><td>cosine</td><td class=\"r\">" << number_html(cosine({one(ce)}, {one(other)}))
       << "</td></tr></table></figure></div>\n";
}

void Page::gradient_table() {
  const std::string symbol = escape_html(story_.penalty.symbol);
  out_ << "<h3>The gradient of the parameters, by term of the loss and part of the "
          "network</h3>\n<table><thead><tr><th>part</th><th class=\"r\">parameters</th><th "
          "class=\"r\">|dCE/dw|</th><th></th><th "
          "class=\"r\">|d"
       << symbol
       << "/dw|</th><th></th><th class=\"r\">|total|</th><th class=\"r\">cosine</th><th class=\"r\">largest |Δw| / "
          "|w|</th></tr></thead><tbody>\n";
  double longest = 0;
  for (const Term* term : {&story_.cross_entropy, &story_.penalty})
    for (const std::string& name : story_.parts)
      longest = std::max(longest, norm_of(part(story_, term->parameters, name)));
  for (const std::string& name : story_.parts) {
    const auto a = part(story_, story_.cross_entropy.parameters, name),
               b = part(story_, story_.penalty.parameters, name);
    int64_t values = 0;
    for (const Tensor& g : a) values += g.numel();
    double most = 0;
    for (size_t i = 0; i < story_.change.size(); ++i)
      if (story_.part_of[i] == name && std::isfinite(story_.change[i])) most = std::max(most, story_.change[i]);
    out_ << "<tr><td>" << name << "</td><td class=\"r\">" << values << "</td><td class=\"r\">"
         << number_html(norm_of(a)) << "</td><td>" << cell_bar(norm_of(a) / longest, kBlue) << "</td><td class=\"r\">"
         << number_html(norm_of(b)) << "</td><td>" << cell_bar(norm_of(b) / longest, kOrange) << "</td><td class=\"r\">"
         << number_html(norm_of(part(story_, story_.step.gradients, name))) << "</td><td class=\"r\">"
         << number_html(cosine(a, b)) << "</td><td class=\"r\">" << number_html(most) << "</td></tr>\n";
  }
  out_ << "</tbody></table>\n";
}

void Page::histograms() {
  out_ << "<h3>How large single entries are</h3>\n<p class=\"ahead\">Histograms of |gradient| over all parameters of a "
          "part; both axes are "
          "logarithmic. A term whose outline lies to the right of the other moves the part more.</p>\n<div "
          "class=\"charts\">\n";
  for (const std::string& name : story_.parts) {
    std::vector<HistogramSeries> series = {{"CE", kBlue, {}}, {story_.penalty.symbol, kOrange, {}}};
    for (const Tensor& g : part(story_, story_.cross_entropy.parameters, name))
      series[0].histogram.add({g.data<float>(), static_cast<size_t>(g.numel())});
    for (const Tensor& g : part(story_, story_.penalty.parameters, name))
      series[1].histogram.add({g.data<float>(), static_cast<size_t>(g.numel())});
    if (!story_.penalty.teaches) series.pop_back();
    out_ << "<figure>" << histogram_chart(series, name, "|gradient|; height: how many parameters have it")
         << "</figure>\n";
  }
  out_ << "</div>\n";
}

void Page::copy_table() {
  const CopyCost& copy = story_.copy;
  const double whole = story_.seconds();
  const auto row = [&](const std::string& what, const std::string& amount, double share) {
    out_ << "<tr><td>" << what << "</td><td class=\"r\">" << amount << "</td><td class=\"r\">" << percent_html(share)
         << "</td><td>" << cell_bar(share, kBlue) << "</td></tr>\n";
  };
  out_ << "<table><caption>"
       << (story_.copies ? "What the copy costs." : "What a copy would cost, measured on a clone.")
       << "</caption><thead><tr><th></th><th class=\"r\">amount</th><th class=\"r\">of the step as "
          "told</th><th></th></tr>"
          "</thead><tbody>\n";
  row("copying CL onto GC, in every step", time_text(copy.seconds), copy.seconds / whole);
  if (story_.copies || story_.single_pass)
    row("a forward pass of its own, in every step", time_text(copy.forward_seconds), copy.forward_seconds / whole);
  row("memory for its parameters and running statistics, all the time", bytes_text(copy.bytes),
      static_cast<double>(copy.bytes) / static_cast<double>(story_.peak()));
  out_ << "</tbody></table>\n";
}

void Page::costs() {
  double slowest = 0;
  size_t most = 0, highest = 0;
  for (const StepCost& c : story_.costs)
    slowest = std::max(slowest, c.seconds), most = std::max(most, c.allocated), highest = std::max(highest, c.peak);
  out_ << "<section id=\"cost\">\n<h2>What the step cost</h2>\n<table><caption>Measured in a second run of the same "
          "step, after a "
          "rehearsal; without what this page computed and kept. Allocated: bytes handed out during the step, temporary "
          "ones "
          "included. Peak: bytes of tensors in use at most.</caption><thead><tr><th></th><th></th><th "
          "class=\"r\">time</th><th></th><th class=\"r\">share</th><th "
          "class=\"r\">allocated</th><th></th><th class=\"r\">peak</th><th></th></tr></thead><tbody>\n";
  for (size_t i = 0; i < story_.costs.size(); ++i) {
    const StepCost& c = story_.costs[i];
    out_ << "<tr><td>" << i + 1 << "</td><td>" << escape_html(chapters_[i].title) << "</td><td class=\"r\">"
         << time_text(c.seconds) << "</td><td>" << cell_bar(c.seconds / slowest, kBlue) << "</td><td class=\"r\">"
         << percent_html(c.seconds / story_.seconds()) << "</td><td class=\"r\">" << bytes_text(c.allocated)
         << "</td><td>"
         << cell_bar(static_cast<double>(c.allocated) / static_cast<double>(std::max<size_t>(most, 1)), kGrey)
         << "</td><td class=\"r\">" << bytes_text(c.peak) << "</td><td>"
         << cell_bar(static_cast<double>(c.peak) / static_cast<double>(highest), kGrey) << "</td></tr>\n";
  }
  out_ << "<tr><td></td><td><b>the step</b></td><td class=\"r\"><b>" << time_text(story_.seconds())
       << "</b></td><td></td><td></td><td></td><td></td><td class=\"r\"><b>" << bytes_text(story_.peak())
       << "</b></td><td></td></tr>\n</tbody></table>\n</section>\n";
}

std::string Page::write() {
  summary();
  flow();

  begin_section(1);
  for (size_t tap = 0; tap < story_.taps.size(); ++tap) {
    const std::string at = escape_html(story_.taps[tap]);
    out_ << "<h3>Activations and channel weights at " << at << "</h3>\n";
    for (int64_t n = 0; n < shown_; ++n) activations(n, tap);
    out_ << "<h3>From the signed map to the CAM, " << at << "</h3>\n";
    for (int64_t n = 0; n < shown_; ++n) maps(n, tap);
  }
  end_section(1);

  begin_section(2);
  logits();
  end_section(2);

  begin_section(3);
  end_section(3);

  begin_section(4);
  out_ << "<p>G = dP/dM" << (story_.taps.size() > 1 ? " at " + escape_html(story_.taps[0]) : "")
       << " says where the penalty asks M to fall (red) and to rise (blue)."
       << (method_.explain.cam.normalizer == CamNormalizer::differentiated
               ? " The normalisation divides a map by its largest cell, so raising that one alone lowers all the rest."
               : "")
       << (story_.penalty.teaches && story_.penalty.symbol == "λP"
               ? ""
               : " It is computed for this page: the step does not use it.")
       << "</p>\n";
  for (int64_t n = 0; n < shown_; ++n) penalised(n);
  penalty_table();
  end_section(4);

  begin_section(5);
  end_section(5);

  begin_section(6);
  for (const auto& [tap, gradient] : story_.cross_entropy.activations) {
    out_ << "<h3>The gradient that reaches " << escape_html(tap) << "</h3>\n";
    for (int64_t n = 0; n < shown_; ++n) gradient_maps(n, tap);
  }
  gradient_table();
  histograms();
  end_section(6);

  begin_section(7);
  end_section(7);
  begin_section(8);
  copy_table();
  end_section(8);
  costs();
  out_ << "<footer>Made by <code>walkthrough</code>. The same tensors, by name: <code>--dump "
          "FILE.safetensors</code>.</footer>\n";
  return html_page("One training step · boxcam", kStyle, out_.str());
}

}  // namespace

std::string page_of(const Story& story, const WalkOptions& options) { return Page(story, options).write(); }

}  // namespace boxcam
