/// The program, apart from main(). In a header of its own, because command.h reads all of CLI11.
#pragma once

namespace dsv4 {

/// Parses the command line and runs the command. Returns the exit status; says what is wrong on standard error.
int run_command_line(int argc, const char* const* argv);

}  // namespace dsv4
