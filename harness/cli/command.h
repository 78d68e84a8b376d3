/// Base class of the commands of dsv4diff. Each command has its own file in harness/cli/. The file derives a class from
/// Command and registers it:
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
  /// One line that describes the command in the list of commands.
  [[nodiscard]] virtual std::string summary() const = 0;
  /// Text at the end of the command's --help; "" for none.
  [[nodiscard]] virtual std::string details() const { return ""; }
  /// Heading under which the list shows the command: "Commands", "Goldens", "Lists" or a new heading. With "", the list
  /// does not show the command.
  [[nodiscard]] virtual std::string group() const { return "Commands"; }
  /// Adds the options of the command to `app`. Their values are stored in members of this object.
  virtual void add_options(CLI::App& app) = 0;
  /// Runs the command. Returns the exit status, or throws Error for status 2.
  virtual int run() = 0;
};

/// Returns all commands, sorted by name. They are registered before main() starts.
const std::vector<Command*>& all_commands();
void register_command(std::unique_ptr<Command> command);

#define DSV4_REGISTER_COMMAND(TYPE) \
  [[maybe_unused]] const bool registered_##TYPE = (::dsv4::register_command(std::make_unique<TYPE>()), true)

/// Returns the name by which this program was called. Commands that are printed for the user begin with it.
const std::string& program_name();

/// Writes to standard output. Write errors are reported at the end of the run.
void print(const std::string& text);
/// Flushes standard output. Call this before files are written, so that the user sees the output even if writing a
/// file fails.
void flush_output();
/// Writes a line to standard error. If standard error is closed or full, the line is lost without an error.
void say(const std::string& line);

}  // namespace dsv4
