// The only door to oneDNN. Versions 2 and 3 build primitive descriptors differently; the difference stays here.
#pragma once

#ifdef BOXCAM_HAS_ONEDNN

#include <oneapi/dnnl/dnnl.hpp>

#include "engine/base/check.h"
#include "engine/tensor.h"

#if DNNL_VERSION_MAJOR != 2 && DNNL_VERSION_MAJOR != 3
#error "boxcam supports oneDNN 2 and 3"
#endif

namespace boxcam::cpu {

inline const dnnl::engine& onednn_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

/// Calls f; a oneDNN exception becomes an Error that names the failing call.
template <class F>
auto onednn_call(const char* what, F&& f) {
  try {
    return f();
  } catch (const dnnl::error& e) {
    fail("oneDNN: ", what, " failed: ", e.what(), " (status ", static_cast<int>(e.status), ")");
  }
}

/// A view of a tensor's memory.
inline dnnl::memory onednn_memory(const dnnl::memory::desc& desc, const Tensor& t) {
  return dnnl::memory(desc, onednn_engine(), const_cast<void*>(t.raw_data()));
}

/// The primitive works in memory that the caller brings: the library would ask the system for it, and give it back, at
/// every call, which for the large convolutions costs more than a tenth of their time in fresh pages.
inline dnnl::primitive_attr with_own_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

/// Geometry of a convolution in oneDNN's convention (dilation counts the skipped pixels).
struct ConvGeometry {
  dnnl::memory::dims strides, dilates, pad_low, pad_high;
};

using ConvForward = dnnl::convolution_forward::primitive_desc;
using ConvBackwardData = dnnl::convolution_backward_data::primitive_desc;
using ConvBackwardWeights = dnnl::convolution_backward_weights::primitive_desc;

/// `bias` may be empty: none.
inline ConvForward conv_forward(dnnl::algorithm algorithm, const dnnl::memory::desc& src,
                                const dnnl::memory::desc& weights, const dnnl::memory::desc& bias,
                                const dnnl::memory::desc& dst, const ConvGeometry& g,
                                const dnnl::primitive_attr& attr = {}) {
  using dnnl::prop_kind;
#if DNNL_VERSION_MAJOR >= 3
  return {onednn_engine(),
          prop_kind::forward_training,
          algorithm,
          src,
          weights,
          bias,
          dst,
          g.strides,
          g.dilates,
          g.pad_low,
          g.pad_high,
          attr};
#else
  return {
      {prop_kind::forward_training, algorithm, src, weights, bias, dst, g.strides, g.dilates, g.pad_low, g.pad_high},
      attr,
      onednn_engine()};
#endif
}

/// A ReLU with a slope of 2^-40 below 0: with 0 the library would turn NaN into 0, and hide a network that diverged. In
/// f32 that much is lost in the rounding of any sum. Less would cost: around the zeros of a masked picture Winograd's
/// rounding is of 1e-8, and 2^-100 of it subnormal, on which products are several times slower.
inline void append_relu(dnnl::post_ops& operations) {
  constexpr float kSlope = 0x1p-40f;
#if DNNL_VERSION_MAJOR >= 3
  operations.append_eltwise(dnnl::algorithm::eltwise_relu, kSlope, 0);
#else
  operations.append_eltwise(1, dnnl::algorithm::eltwise_relu, kSlope, 0);
#endif
}

inline ConvBackwardData conv_backward_data(dnnl::algorithm algorithm, const dnnl::memory::desc& diff_src,
                                           const dnnl::memory::desc& weights, const dnnl::memory::desc& diff_dst,
                                           const ConvGeometry& g, const ConvForward& hint,
                                           const dnnl::primitive_attr& attr = {}) {
#if DNNL_VERSION_MAJOR >= 3
  return {onednn_engine(), algorithm, diff_src,   weights, diff_dst, g.strides,
          g.dilates,       g.pad_low, g.pad_high, hint,    attr};
#else
  return {{algorithm, diff_src, weights, diff_dst, g.strides, g.dilates, g.pad_low, g.pad_high},
          attr,
          onednn_engine(),
          hint};
#endif
}

inline ConvBackwardWeights conv_backward_weights(dnnl::algorithm algorithm, const dnnl::memory::desc& src,
                                                 const dnnl::memory::desc& diff_weights,
                                                 const dnnl::memory::desc& diff_dst, const ConvGeometry& g,
                                                 const ConvForward& hint, const dnnl::primitive_attr& attr = {}) {
#if DNNL_VERSION_MAJOR >= 3
  return {onednn_engine(), algorithm, src,        diff_weights, diff_dst, g.strides,
          g.dilates,       g.pad_low, g.pad_high, hint,         attr};
#else
  return {{algorithm, src, diff_weights, diff_dst, g.strides, g.dilates, g.pad_low, g.pad_high},
          attr,
          onednn_engine(),
          hint};
#endif
}

inline dnnl::matmul::primitive_desc matmul_desc(const dnnl::memory::desc& a, const dnnl::memory::desc& b,
                                                const dnnl::memory::desc& y) {
#if DNNL_VERSION_MAJOR >= 3
  return {onednn_engine(), a, b, y};
#else
  return {{a, b, y}, onednn_engine()};
#endif
}

}  // namespace boxcam::cpu

#endif  // BOXCAM_HAS_ONEDNN
