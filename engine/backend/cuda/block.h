// The primitives of work that a block of threads shares. `Block` has rank() in [0, size()), size() (a power of two),
// sync() and shared(), memory of the block. All threads of the block must call a primitive together. The order of every
// operation depends on the size of the block alone.
#pragma once

#include "engine/backend/cuda/host_device.h"

namespace boxcam::cuda {

/// Adds up over the threads whose ranks are equal modulo `columns` (a power of two): a tree. Afterwards each of them
/// holds their sums. Shared memory: K doubles for each thread.
template <int K, class Block>
BOXCAM_HD void add_up(Block& block, int columns, double (&values)[K]) {
  double* slots = static_cast<double*>(block.shared());
  double* slot = slots + block.rank();
  const int size = block.size();
  for (int k = 0; k < K; ++k) slot[k * size] = values[k];
  for (int step = size / 2; step >= columns; step /= 2) {
    block.sync();
    if (block.rank() < step)
      for (int k = 0; k < K; ++k) slot[k * size] += slot[k * size + step];
  }
  block.sync();
  for (int k = 0; k < K; ++k) values[k] = slots[k * size + block.rank() % columns];
  block.sync();  // the memory may be used again
}

/// Adds up over each group of `lanes` neighbouring threads (a power of two): a tree. Afterwards the first of each group
/// holds the sum. Shared memory: a double for each thread.
template <class Block>
BOXCAM_HD void add_up_neighbours(Block& block, int lanes, double& value) {
  double* slot = static_cast<double*>(block.shared()) + block.rank();
  *slot = value;
  for (int step = lanes / 2; step > 0; step /= 2) {
    block.sync();
    if (block.rank() % lanes < step) *slot += slot[step];
  }
  value = *slot;
  block.sync();  // the memory may be used again
}

template <class T>
struct Candidate {
  T value;
  int64_t index;  ///< negative: none
};

/// Whether a comes before b: as in a loop from element 0 that moves on only to what is strictly better, so the first of
/// equals wins, a NaN never does, and a NaN at 0 is never left.
template <class T>
BOXCAM_HD bool before(bool minimum, const Candidate<T>& a, const Candidate<T>& b) {
  if (a.index < 0 || b.index < 0) return b.index < 0;
  const bool a_is_nan = a.value != a.value, b_is_nan = b.value != b.value;
  if (a_is_nan || b_is_nan) {
    if (a_is_nan && b_is_nan) return a.index < b.index;
    return a_is_nan ? a.index == 0 : b.index != 0;
  }
  if (a.value == b.value) return a.index < b.index;
  return minimum ? a.value < b.value : a.value > b.value;
}

/// The first maximum (or minimum) of all threads' candidates, which all of them hold afterwards. Shared memory: one
/// candidate for each thread.
template <class T, class Block>
BOXCAM_HD Candidate<T> best(Block& block, bool minimum, const Candidate<T>& mine) {
  Candidate<T>* slots = static_cast<Candidate<T>*>(block.shared());
  Candidate<T>* slot = slots + block.rank();
  *slot = mine;
  for (int step = block.size() / 2; step > 0; step /= 2) {
    block.sync();
    if (block.rank() < step && before(minimum, slot[step], slot[0])) slot[0] = slot[step];
  }
  block.sync();
  const Candidate<T> result = *slots;
  block.sync();
  return result;
}

}  // namespace boxcam::cuda
