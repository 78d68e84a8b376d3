/// The program except for main(). It has its own header, because command.h includes all of CLI11.
#pragma once

namespace dsv4 {

/// Parses the command line and runs the command. Returns the exit status. Errors are written to standard error.
int run_command_line(int argc, const char* const* argv);

}  // namespace dsv4
