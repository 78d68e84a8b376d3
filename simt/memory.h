/// Loads and stores with cache hints. Here they are plain loads and stores, because a hint never changes a value.
#pragma once

#define SIMT_HINTED_LOAD(NAME) \
  template <typename T>        \
  T NAME(const T* address) {   \
    return *address;           \
  }
SIMT_HINTED_LOAD(__ldg)
SIMT_HINTED_LOAD(__ldca)
SIMT_HINTED_LOAD(__ldcg)
SIMT_HINTED_LOAD(__ldcs)
SIMT_HINTED_LOAD(__ldlu)
SIMT_HINTED_LOAD(__ldcv)
#undef SIMT_HINTED_LOAD

#define SIMT_HINTED_STORE(NAME)                    \
  template <typename T>                            \
  void NAME(T* address, simt::Identity<T> value) { \
    *address = value;                              \
  }
SIMT_HINTED_STORE(__stwb)
SIMT_HINTED_STORE(__stcg)
SIMT_HINTED_STORE(__stcs)
SIMT_HINTED_STORE(__stwt)
#undef SIMT_HINTED_STORE

/// On a GPU, these functions convert a pointer to an address that inline assembly needs. Here inline assembly does not
/// run, so they return the pointer's own address.
inline std::size_t __cvta_generic_to_shared(const void* address) { return reinterpret_cast<std::size_t>(address); }
inline std::size_t __cvta_generic_to_global(const void* address) { return reinterpret_cast<std::size_t>(address); }
