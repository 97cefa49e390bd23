#include "apps/common/options/words.h"

#include "apps/common/options/machine.h"
#include "apps/common/options/train.h"
#include "apps/common/overlays.h"
#include "nn/data/annotated_images.h"
#include "nn/data/image.h"

namespace boxcam {

#define BOXCAM_WORDS(Enum, ...)                   \
  template <>                                     \
  const Words<Enum>& words_of<Enum>() {           \
    using E = Enum;                               \
    static const Words<Enum> words = __VA_ARGS__; \
    return words;                                 \
  }

BOXCAM_WORDS(Preprocess::Resize, {{"squash", E::squash}, {"crop", E::crop}})
BOXCAM_WORDS(Preprocess::Augment, {{"none", E::none}, {"flip", E::flip}, {"crop-flip", E::crop_flip}})
BOXCAM_WORDS(AnnotationOptions::GroupOf, {{"keep", E::keep}, {"drop", E::drop}})
BOXCAM_WORDS(AnnotationOptions::Difficult, {{"keep", E::keep}, {"drop", E::drop}})
BOXCAM_WORDS(AnnotationOptions::SeveralClasses, {{"largest", E::largest}, {"drop", E::drop}})
BOXCAM_WORDS(Task, {{"single-label", E::single_label}, {"multi-label", E::multi_label}})
BOXCAM_WORDS(NoneClass, {{"auto", E::automatic}, {"on", E::on}, {"off", E::off}})
BOXCAM_WORDS(SceneLevel, {{"plain", E::plain}, {"hard", E::hard}})
BOXCAM_WORDS(MissingImages, {{"error", E::error}, {"skip", E::skip}})

BOXCAM_WORDS(CamTarget, {{"logit", E::logit}, {"centered", E::centered}})
BOXCAM_WORDS(CamNormalizer, {{"differentiated", E::differentiated}, {"constant", E::constant}})
BOXCAM_WORDS(Ablation, {{"zero", E::zero}, {"mean", E::mean}})
BOXCAM_WORDS(CamProfile, {{"pgc-1.4", E::pgc_1_4}, {"pgc-1.3.1", E::pgc_1_3_1}, {"paper", E::paper}})
BOXCAM_WORDS(ExplainOptions::Class, {{"label", E::label}, {"predicted", E::predicted}})
BOXCAM_WORDS(ContentHeatmap, {{"batch", E::batch}, {"pooled", E::pooled}, {"image-mean", E::image_mean}})

BOXCAM_WORDS(OverlaySize, {{"photograph", E::photograph}, {"input", E::input}})

BOXCAM_WORDS(Penalty::Unboxed, {{"penalise", E::penalise}, {"skip", E::skip}})
BOXCAM_WORDS(BoxControl, {{"own", E::own},
                          {"shuffled", E::shuffled},
                          {"fixed-shuffled", E::fixed_shuffled},
                          {"random", E::random},
                          {"centre", E::centre},
                          {"inverse", E::inverse},
                          {"none", E::none}})
BOXCAM_WORDS(SwapShape, {{"varied", E::varied}, {"box", E::box}})
BOXCAM_WORDS(ContextFill, {{"blur", E::blur}, {"surroundings", E::surroundings}, {"mean", E::mean}})
BOXCAM_WORDS(Reading::Teaches, {{"full", E::full},
                                {"constant", E::constant},
                                {"activations", E::activations},
                                {"weights", E::weights},
                                {"transfer", E::transfer},
                                {"leak", E::leak}})
BOXCAM_WORDS(Reading::Transfer, {{"full", E::full}, {"activations", E::activations}})
BOXCAM_WORDS(Reading::CamModel, {{"shared", E::shared}, {"copy", E::copy}})
BOXCAM_WORDS(Reading::BatchNorm, {{"train", E::train}, {"eval", E::eval}})

BOXCAM_WORDS(OptimizerOptions::Kind, {{"sgd", E::sgd}, {"adamw", E::adamw}})
BOXCAM_WORDS(Schedule::Kind, {{"constant", E::constant}, {"cosine", E::cosine}, {"step", E::step}})
BOXCAM_WORDS(TrainOptions::BestBy, {{"content-heatmap", E::content_heatmap},
                                    {"accuracy", E::accuracy},
                                    {"worst-class", E::worst_class},
                                    {"worst-group", E::worst_group},
                                    {"last", E::last}})

BOXCAM_WORDS(ConvAlgorithm, {{"auto", E::automatic}, {"direct", E::direct}})
BOXCAM_WORDS(Device, {{"cpu", E::cpu}, {"cuda", E::cuda}})
BOXCAM_WORDS(DType, {{"f32", E::f32}, {"bf16", E::bf16}})  // --precision: of activations

#undef BOXCAM_WORDS

}  // namespace boxcam
