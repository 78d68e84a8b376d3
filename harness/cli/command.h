/// A command of dsv4diff. Each command is one file in harness/cli/. It derives a class from Command and registers it:
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
  /// Text at the end of the command's --help; "" for none.
  [[nodiscard]] virtual std::string details() const { return ""; }
  /// Heading under which the list shows it: "Commands", "Goldens", "Lists" or a new one; "" hides it.
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

/// The name by which this program was called. Printed commands for the user begin with it.
const std::string& program_name();

/// Writes to standard output. Write errors are reported at the end of the run.
void print(const std::string& text);
/// Flushes standard output. Call this before files are written, so that the output is there even if writing them fails.
void flush_output();
/// Writes a line to standard error. If that is closed or full, only the line is lost.
void say(const std::string& line);

}  // namespace dsv4
