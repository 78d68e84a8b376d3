/// Declares dynamic shared memory in a form that nvcc and the host executor both accept:
///
///     DSV4_DYNAMIC_SHARED(std::uint32_t, candidates);  // inside the kernel: std::uint32_t* candidates
/// The launch sets the number of bytes. The memory is aligned to 16 bytes. A kernel may declare dynamic shared memory
/// only once.
#pragma once

#if defined(DSV4_SIMT)
#define DSV4_DYNAMIC_SHARED(TYPE, NAME) auto* const NAME = ::simt::dynamic_shared<TYPE>()
#else
#define DSV4_DYNAMIC_SHARED(TYPE, NAME)                                \
  extern __shared__ __align__(16) unsigned char dsv4_dynamic_shared[]; \
  TYPE* const NAME = reinterpret_cast<TYPE*>(dsv4_dynamic_shared)
#endif
