#include "harness/cli/python_program.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "harness/cli/command.h"
#include "harness/core/error.h"
#include "harness/core/paths.h"
#include "harness/core/text.h"

namespace dsv4 {

void become_python_program(const std::string& script, const std::vector<std::string>& words) {
  const auto path = find_script(script);
  if (!path) {
    throw Error(fmt::format("scripts/{} is neither beside {} nor one level up; install dsv4diff again", script,
                            one_line(executable_folder())));
  }
  // -B: no .pyc files beside the scripts. Python finds the tool's modules first, because they are beside the script.
  std::vector<std::string> command{"python3", "-B", *path};
  command.insert(command.end(), words.begin(), words.end());
  std::vector<char*> argv;
  for (std::string& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  flush_output();
  ::execvp(argv.front(), argv.data());
  throw Error(
      fmt::format("python3 cannot be started ({}); install Python 3, or put it in $PATH", describe_errno(errno)));
}

}  // namespace dsv4
