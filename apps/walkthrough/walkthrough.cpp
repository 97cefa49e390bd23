// Walks through one training step: what each of the thesis' eight steps reads, writes, costs and changes.
#include <iostream>

#include "apps/common/data/data.h"
#include "apps/common/program.h"
#include "apps/walkthrough/story.h"
#include "apps/walkthrough/story_page.h"
#include "apps/walkthrough/story_text.h"
#include "engine/base/file.h"

using namespace boxcam;

namespace {

int run(const WalkOptions& o) {
  apply(o.run);
  check(o.html.empty() || o.html != o.dump, "--html and --dump name the same file, ", o.html);
  check_new_file("--html", o.html);
  check_new_file("--dump", o.dump);
  const Story story = tell_step(o);
  print_story(std::cout, story, o);
  if (!o.html.empty()) {
    write_file(o.html, {page_of(story, o)});
    std::cout << "page        " << o.html << "\n";
  }
  if (!o.dump.empty()) {
    write_safetensors(o.dump, dump_of(story, o));
    std::cout << "tensors     " << o.dump << "\n";
  }
  return 0;
}

int program(int argc, char** argv) {
  CLI::App app("Walks through one training step in the thesis' eight numbered steps.", "walkthrough");
  WalkOptions o;
  o.train.method.penalty.lambda = 1;  // train's default, 0, would have little to show
  OptionTable table(app);
  table.text("--checkpoint", o.checkpoint,
             "the classifier: best.safetensors of a run, or a .pth (default: fresh, or --weights)");
  table.text("--html", o.html, "write the walk, with pictures, to this file: one page that needs no network");
  table.text("--dump", o.dump, "write every intermediate and every parameter gradient to this .safetensors file");
  declare_data_set(table, o.data, {"train"});
  declare_step(table, o.data, o.model, o.train);
  declare_seed(table, o.run);
  declare_cpu(table, o.run);
  return run_app(app, argc, argv, [&] {
    take_class_names(table, o.data);
    // Of a trained network everything is as in its training; of one to start from only what it is, as train has it.
    const Adopt what = o.checkpoint.empty() ? Adopt::network : Adopt::everything;
    o.card = read_card(o.checkpoint.empty() ? o.model.weights : o.checkpoint);
    std::vector<std::string> notes = {adopt(o.card, what, table, o.data)};
    if (!o.checkpoint.empty()) notes.push_back(adopt_data(o.checkpoint, table, o.data));
    settle_data_options(table, o.data);
    refuse_several_labels(table, o.data, "the walk is through a step of one label for each image, not of multi-label");
    settle_train_options(table, o.data, o.train);
    check_network(o.card, what, table);
    if (what == Adopt::everything) notes.push_back(summary(overrides(o.card, table)));
    for (const std::string& note : notes)
      if (!note.empty()) std::cout << note << "\n";
    return run(o);
  });
}

}  // namespace

int main(int argc, char** argv) { return guarded("walkthrough", program, argc, argv); }
