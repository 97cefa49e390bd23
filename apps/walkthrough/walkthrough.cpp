// Walks through one training step: what each of the thesis' eight steps reads, writes, costs and changes.
#include <iostream>

#include "apps/common/data.h"
#include "apps/walkthrough/story.h"
#include "apps/walkthrough/story_page.h"
#include "apps/walkthrough/story_text.h"
#include "engine/base/file.h"

using namespace boxcam;

namespace {

int run(const WalkOptions& o) {
  apply(o.run);
  check(o.run.device == Device::cpu, "--device: walkthrough tells the step on the CPU only, found cuda");
  check(o.html.empty() || o.html != o.dump, "--html and --dump name the same file, ", o.html);
  check_writable("--html", o.html);
  check_writable("--dump", o.dump);
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

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Walks through one training step in the thesis' eight numbered steps.", "walkthrough");
  WalkOptions o;
  o.train.lambda = 1;  // train's default, 0, would have little to show
  app.add_option("--checkpoint", o.checkpoint,
                 "the classifier: best.safetensors of a run, or a .pth (default: fresh, or --weights)");
  app.add_option("--html", o.html, "write the walk, with pictures, to this file: one page that needs no network");
  app.add_option("--dump", o.dump, "write every intermediate and every parameter gradient to this .safetensors file");
  add_data_options(app, o.data, true);
  add_model_options(app, o.model);
  add_cam_options(app, o.cam);
  add_train_options(app, o.train);
  for (const char* name : {"--output", "--resume", "--best-by"})  // of a run, not of a step
    app.remove_option(app.get_option(name));
  add_run_options(app, o.run);
  return run_app(app, argc, argv, [&] {
    settle_data_options(app, o.data);
    settle_train_options(app, o.data, o.cam, o.train);
    return run(o);
  });
}
