/// Looks for damage that a case did to the heap, so that it shows in that case and not in a later one.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DSV4_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define DSV4_SANITIZED 1
#endif
#endif

namespace dsv4 {

/// Walks the chunks of the C library's main heap by their size fields, which a write beyond a block destroys. Ends the
/// process with SIGABRT and a message if the chain is broken. Some ten microseconds. Does nothing where the walk did
/// not succeed at the process' first call: another allocator, a sanitizer, valgrind.
void check_heap();

}  // namespace dsv4
