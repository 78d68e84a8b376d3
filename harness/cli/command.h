/// A command of dsv4diff. One command = one file in harness/cli/, which derives from Command and registers itself:
///
///   class OpsCommand final : public Command { ... };
///   DSV4_REGISTER_COMMAND(OpsCommand);
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

namespace dsv4 {

class Command {
 public:
  Command() = default;
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  virtual ~Command() = default;

  [[nodiscard]] virtual std::string name() const = 0;
  /// One line for the list of commands.
  [[nodiscard]] virtual std::string summary() const = 0;
  /// More for the command's own --help; "" for nothing more.
  [[nodiscard]] virtual std::string details() const { return ""; }
  /// Heading under which the list shows it: "Commands", "Goldens", "Look around" or a new one; "" hides it.
  [[nodiscard]] virtual std::string group() const { return "Commands"; }
  /// Declares the options, bound to members of this object.
  virtual void add_options(CLI::App& app) = 0;
  /// Does the work. Returns the exit status; throws Error for status 2.
  virtual int run() = 0;
};

/// All commands, sorted by name. Registration happens before main().
const std::vector<Command*>& all_commands();
void register_command(std::unique_ptr<Command> command);

#define DSV4_REGISTER_COMMAND(TYPE) \
  [[maybe_unused]] const bool registered_##TYPE = (::dsv4::register_command(std::make_unique<TYPE>()), true)

/// How this program was called: the first word of commands that are printed to be called again.
const std::string& program_name();

/// Writes to standard output. That it could not be written is noticed at the end, when everything else has been done.
void print(const std::string& text);
/// Hands on what was printed, before files are written: whatever befalls those, it has been said.
void flush_output();
/// A line on standard error. Where that is closed or full the line is lost, and nothing else.
void say(const std::string& line);

}  // namespace dsv4
