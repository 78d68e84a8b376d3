#include "harness/cli/command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <new>
#include <sstream>
#include <system_error>

#include "harness/case/case.h"
#include "harness/cli/command_line.h"
#include "harness/cli/limits.h"
#include "harness/core/error.h"
#include "harness/core/text.h"

namespace dsv4 {
namespace {

constexpr int kStatusAtFault = 2;

std::vector<std::unique_ptr<Command>>& owners() {
  static std::vector<std::unique_ptr<Command>> list;
  return list;
}

std::string& called() {
  static std::string name = "dsv4diff";
  return name;
}

std::vector<Command*>& index() {
  static std::vector<Command*> list;
  return list;
}

std::string shown(const std::string& text) { return one_line(shortened(text, 100)); }

constexpr std::size_t kLongestMessage = 4000;  // a message may contain several names, each of any length

int complain(const std::string& who, const std::string& what) {
  say(fmt::format("{}: {}", who, one_line(shortened(what, kLongestMessage))));  // names may contain line ends
  return kStatusAtFault;
}

std::vector<std::string> visible_commands() {
  std::vector<std::string> names;
  for (const Command* c : all_commands()) {
    if (!c->group().empty()) names.push_back(c->name());
  }
  return names;
}

/// Returns the commands in the order of the help text. The commands that a new user needs come first.
std::vector<Command*> in_order_of_help() {
  const auto rank = [](const Command* c) {
    const std::vector<std::string> groups{"Commands", "Goldens", "Lists"};
    return std::ranges::find(groups, c->group()) - groups.begin();
  };
  auto commands = all_commands();
  std::ranges::stable_sort(commands, {}, rank);
  return commands;
}

/// Names of a command's options, as they are typed.
std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

/// Explains a wrong command line with CLI11's message and a suggestion.
std::string explain(const CLI::ParseError& error, const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  const CLI::App& where = chosen.empty() ? app : *chosen.front();
  const std::string help = chosen.empty() ? "dsv4diff --help" : fmt::format("dsv4diff {} --help", where.get_name());
  std::string text;
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError)) {
    const auto extras = app.remaining(true);
    const std::string word = extras.empty() ? "" : extras.front();
    const std::string option = word.substr(0, word.find('='));
    text = word.starts_with("-")
               ? fmt::format("unknown option '{}'{}", shown(option), did_you_mean(option, option_names(where)))
               : fmt::format("unexpected argument '{}'", shown(word));
  } else {
    text = shown(error.what());
  }
  return fmt::format("{} (see '{}')", text, help);
}

/// Opens /dev/null for each standard descriptor that is closed. Otherwise the next file or socket would get this
/// descriptor, and printed text would go into that file. Standard output is then open for reading only, so printing to
/// it fails as it should. Output to a closed standard error is lost.
void occupy_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
      (void)::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);  // gets the lowest free number, which is fd
    }
  }
}

/// errno of the first failed write to standard output; 0 if none failed.
int output_error = 0;

/// Returns `status`. If output could not be written, prints a message and returns 2, because a full disk must not look
/// like success.
int flushed(int status) {
  flush_output();
  if (output_error == 0) return status;
  return complain("dsv4diff", fmt::format("the output cannot be written: {}", describe_errno(output_error)));
}

}  // namespace

const std::vector<Command*>& all_commands() { return index(); }

const std::string& program_name() { return called(); }

void register_command(std::unique_ptr<Command> command) {
  index().push_back(command.get());
  owners().push_back(std::move(command));
  std::ranges::sort(index(), {}, [](const Command* c) { return c->name(); });
}

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() && output_error == 0) output_error = errno;
}

void flush_output() {
  if (std::fflush(stdout) != 0 && output_error == 0) output_error = errno;
}

void say(const std::string& line) { std::fputs((line + "\n").c_str(), stderr); }

int run_command_line(int argc, const char* const* argv) {
  occupy_standard_descriptors();
  // With the default action, a write beyond the limit 'ulimit -f' would end the process without a message.
  ::signal(SIGXFSZ, SIG_IGN);
  if (argc > 0) called() = argv[0];
  CLI::App app{
      "dsv4diff decides whether a DeepSeek-V4 CUDA kernel still computes what it should.\n"
      "Exit status: 0 everything agrees, 1 something differs, 2 the command or the environment is wrong\n"
      "or dsv4diff itself fails, 128+N signal N interrupted the run.",
      "dsv4diff"};
  app.set_version_flag("--version", "dsv4diff " DSV4_VERSION);
  app.require_subcommand(1);
  std::map<const CLI::App*, Command*> commands;
  for (Command* c : in_order_of_help()) {
    const std::string details = c->details();
    CLI::App* sub = app.add_subcommand(c->name(), c->summary());
    if (!details.empty()) sub->footer(details);
    sub->group(c->group());
    c->add_options(*sub);
    commands[sub] = c;
  }
  if (argc < 2) {
    say(app.help());
    return kStatusAtFault;
  }
  const std::string first = argv[1];
  const bool is_command = std::ranges::any_of(all_commands(), [&](const Command* c) { return c->name() == first; });
  if (!first.starts_with("-") && !is_command) {
    return complain("dsv4diff", fmt::format("unknown command '{}'{} ('dsv4diff --help' lists the commands)",
                                            shown(first), did_you_mean(first, visible_commands())));
  }
  std::string who = "dsv4diff";
  if (is_command) who += " " + first;
  try {
    app.parse(argc, argv);
    require_limits();
    return flushed(commands.at(app.get_subcommands().front())->run());
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) {  // --help, --version
      std::ostringstream text;
      const int status = app.exit(e, text, text);
      print(text.str());
      return flushed(status);
    }
    return complain(who, explain(e, app));
  } catch (const Error& e) {
    std::fflush(stdout);
    return complain(who, e.what());
  } catch (const InternalError& e) {
    std::fflush(stdout);
    return complain(who, e.what());
  } catch (const std::bad_alloc&) {
    std::fflush(stdout);
    return complain(who, "out of memory");
  } catch (const std::system_error& e) {  // for instance from a file or a process
    std::fflush(stdout);
    return complain(who, e.what());
  } catch (const std::exception& e) {
    std::fflush(stdout);
    return complain(who, InternalError(fmt::format("command '{}'", first), e.what()).what());
  }
}

}  // namespace dsv4
