#include "harness/cli/command_line.h"

int main(int argc, char** argv) { return dsv4::run_command_line(argc, argv); }
