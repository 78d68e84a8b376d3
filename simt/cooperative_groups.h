/// The part of <cooperative_groups.h> that kernels use: the group of all threads of a cluster. The set builder replaces
/// the inclusion of <cooperative_groups.h> by this file, because that header consists of inline assembly.
#pragma once

#include "simt/executor.h"

namespace cooperative_groups {

class cluster_group {
 public:
  static void sync() { simt::cluster_barrier(); }
  static unsigned block_rank() { return simt::cluster_rank(); }
  static unsigned num_blocks() { return simt::cluster_blocks(); }
  /// Returns the address of the shared variable of block `rank` that corresponds to the calling block's `*address`.
  template <typename T>
  static T* map_shared_rank(T* address, unsigned rank) {
    return static_cast<T*>(simt::map_shared(address, rank));
  }
};

inline cluster_group this_cluster() { return {}; }

}  // namespace cooperative_groups
