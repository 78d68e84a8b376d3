/// Checks the heap for damage after each case, so that the case that did it is reported and not a later one.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DSV4_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define DSV4_SANITIZED 1
#endif
#endif

namespace dsv4 {

/// Walks the chunks of the C library's main heap by their size fields, which a write beyond a block overwrites. If a
/// size field is impossible, prints a message and ends the process with SIGABRT. Takes some ten microseconds. Does
/// nothing if the walk did not succeed at the process' first call: with another allocator, a sanitizer or valgrind.
void check_heap();

}  // namespace dsv4
