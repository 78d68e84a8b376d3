/// Which sanitizer a module or this program was compiled with. A module and the program that loads it must be compiled
/// with the same one: the sanitizer's runtime belongs to the program.
#pragma once

#include <string>

namespace dsv4 {

struct Manifest;

/// Returns the name of the sanitizer whose runtime the module at `path` needs from the program: "AddressSanitizer",
/// "ThreadSanitizer" or "MemorySanitizer"; "" if it needs none, or if the file is not an ELF library.
std::string sanitizer_of_module(const std::string& path);

/// Returns the name of the sanitizer that this program was compiled with; "" if there is none.
std::string sanitizer_of_program();

/// Says why a program with the sanitizer `own` cannot use the modules of the set, and what to do; "" if it can.
std::string why_other_sanitizer(const Manifest& manifest, const std::string& own = sanitizer_of_program());

}  // namespace dsv4
