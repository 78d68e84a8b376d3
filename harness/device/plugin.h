/// Loads the shared libraries of dsv4diff that only some commands need.
#pragma once

#include <string>

namespace dsv4 {

/// Loads `lib<name>.so`. Tries these places in this order: lib/ beside the executable (a build), the executable's
/// folder, ../lib (an installation), and the loader's path. Returns the address of its function `function`. If no place
/// has a library that can be loaded, throws Error: `need` says who needs the library and what else it needs, `advice`
/// what to do. Throws Error as well if the library does not have the function.
void* plugin_function(const std::string& name, const std::string& function, const std::string& need,
                      const std::string& advice);

}  // namespace dsv4
