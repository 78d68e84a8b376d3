/// Checks the heap for damage after each case, so that the case that did the damage is reported instead of a
/// later case.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DSV4_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define DSV4_SANITIZED 1
#endif
#endif

namespace dsv4 {

/// Visits the chunks of the C library's main heap. The size field of each chunk gives the address of the next one. A
/// write beyond a block overwrites the size field after it. If a size field is impossible, prints a message and ends
/// the process with SIGABRT. Takes some ten microseconds. Does nothing if the first call in this process could not
/// visit all chunks, which happens with another allocator, a sanitizer or valgrind.
void check_heap();

}  // namespace dsv4
