#include <boxcam/boxcam.h>

#include <iostream>

int main() {
  const auto model = boxcam::make_classifier("resnet-mini", 3);
  const boxcam::Image image(64, 64);
  boxcam::ExplainOptions options;
  boxcam::settle_taps(options, *model);
  std::cout << "CAM " << boxcam::explain_image(*model, image, 0, options).explanation.cam.shape() << "\n";
}
