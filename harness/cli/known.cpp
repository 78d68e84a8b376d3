/// dsv4diff known: lists the known faults, and says which of them apply to a kernel set.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "harness/cli/command.h"
#include "harness/cli/set_code.h"
#include "harness/cli/sweep_options.h"
#include "harness/cli/validators.h"
#include "harness/core/error.h"
#include "harness/core/text.h"

namespace dsv4 {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kWidth = 80;

/// An entry that the command lists.
struct Listed {
  const KnownFault* fault = nullptr;
  bool applies = true;
  std::string why_not;  ///< "" if it applies
};

/// `text` in lines of at most 80 columns. The first line begins with `first`, the others with as many spaces.
std::string wrapped(const std::string& first, const std::string& text) {
  std::string lines, line = first;
  bool empty = true;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    at = end + 1;
    if (!empty && width_of(line) + 1 + width_of(word) > kWidth) {
      lines += line + "\n";
      line = std::string(first.size(), ' ');
      empty = true;
    }
    line += (empty ? "" : " ") + word;
    empty = false;
  }
  return lines + line + "\n";
}

std::string range_text(const KnownFault& f) {
  return f.fixed.empty() ? fmt::format("{} since {}", f.package, f.since)
                         : fmt::format("{} since {}, fixed in {}", f.package, f.since, f.fixed);
}

class KnownCommand final : public Command {
 public:
  std::string name() const override { return "known"; }
  std::string summary() const override { return "List the known faults, and which of them apply to a set"; }
  std::string group() const override { return "Lists"; }

  void add_options(CLI::App& app) override {
    app.add_option("--set", set_, "Only the known faults that apply to this set")->type_name("SET")->check(not_empty());
    app.add_option("--op", op_, "Only the known faults of these ops")->type_name("GLOB")->capture_default_str();
    app.add_option("--known", known_, "File with the known faults (default: the one that comes with the tool)")
        ->type_name("FILE")
        ->check(not_empty());
    app.add_flag("--json", json_, "Print as JSON");
  }

  int run() override {
    const auto path = known_.empty() ? default_known_faults() : std::optional(known_);
    if (!path) throw Error("there is no known_faults.json; name a file with --known FILE");
    const KnownFaults known = KnownFaults::load(*path);
    std::optional<SetCode> code;
    if (!set_.empty()) code = code_of(find_set(set_), set_);
    const std::vector<Listed> list = listed(known, code);
    json_ ? print_json(list) : print_text(list);
    return 0;
  }

 private:
  /// The entries of the chosen ops. With a set: those that apply to an op of the set, or may apply to an edited one.
  std::vector<Listed> listed(const KnownFaults& known, const std::optional<SetCode>& code) const {
    std::vector<Listed> list;
    bool any_op = false;
    for (const KnownFault& fault : known.all()) {
      Listed entry{&fault, !code, ""};
      bool chosen = false;
      for (const std::string& op : fault.ops) {
        if (!glob_match(op_, op)) continue;
        chosen = any_op = true;
        if (!code || !code->ops.contains(op)) continue;
        const Applies applies = applies_to(fault, op, *code);
        if (applies.answer == Applies::Answer::kYes) entry.applies = true;
        if (applies.answer == Applies::Answer::kEdited && entry.why_not.empty()) entry.why_not = applies.why;
      }
      if (entry.applies) entry.why_not.clear();
      if (chosen && (entry.applies || !entry.why_not.empty())) list.push_back(std::move(entry));
    }
    if (!any_op && !find_any_op()) throw Error(fmt::format("no op matches '{}'", one_line(op_)));
    return list;
  }

  bool find_any_op() const {
    return std::ranges::any_of(all_ops(), [&](const Op* op) { return glob_match(op_, op->info().name); });
  }

  void print_text(const std::vector<Listed>& list) const {
    std::size_t applying = 0;
    for (const Listed& entry : list) {
      if (!entry.applies) continue;
      const KnownFault& f = *entry.fault;
      if (applying++ != 0) print("\n");
      print(wrapped("", f.id));
      print(wrapped("  op        ", fmt::format("{}", fmt::join(f.ops, ", "))));
      print(wrapped("  kind      ", std::string(name_of(f.kind))));
      print(wrapped("  releases  ", range_text(f)));
      if (!f.devices.empty()) print(wrapped("  devices   ", fmt::format("{}", fmt::join(f.devices, ", "))));
      print(wrapped("  what      ", f.summary));
      print(wrapped("  evidence  ", f.evidence));
      print(wrapped("  fix       ", f.fix));
    }
    const std::size_t edited = list.size() - applying;
    if (edited != 0) {
      if (applying != 0) print("\n");
      print(wrapped("", fmt::format("{} more may apply, but excuse{} nothing, because a source file was edited:",
                                    edited, edited == 1 ? "s" : "")));
      for (const Listed& entry : list) {
        if (!entry.applies) print(wrapped("  ", fmt::format("{}: {}", entry.fault->id, one_line(entry.why_not))));
      }
    }
    if (list.empty()) {
      print(wrapped("", set_.empty() ? "No known fault is listed."
                                     : fmt::format("No known fault applies to '{}'.", one_line(set_))));
    } else {
      print(fmt::format("\n{} known fault{}{}\n", applying, applying == 1 ? "" : "s",
                        set_.empty()    ? ""
                        : applying == 1 ? " applies"
                                        : " apply"));
    }
  }

  static Json ranges_json(const std::map<std::string, KnownFault::Range>& ranges) {
    Json j = Json::object();
    for (const auto& [name, range] : ranges) {
      const auto limit = [](std::int64_t value, std::int64_t none) { return value == none ? Json() : Json(value); };
      j[name] = {limit(range.first, std::numeric_limits<std::int64_t>::min()),
                 limit(range.second, std::numeric_limits<std::int64_t>::max())};
    }
    return j;
  }

  void print_json(const std::vector<Listed>& list) const {
    Json entries = Json::array();
    for (const Listed& entry : list) {
      const KnownFault& f = *entry.fault;
      Json elements = Json::object();
      for (const auto& [output, ranges] : f.elements) elements[output] = ranges_json(ranges);
      entries.push_back({{"id", f.id},
                         {"op", f.ops},
                         {"kind", name_of(f.kind)},
                         {"package", f.package},
                         {"since", f.since},
                         {"fixed", f.fixed},
                         {"sources", f.sources},
                         {"devices", f.devices},
                         {"scenarios", f.scenarios},
                         {"params", f.params},
                         {"facts", ranges_json(f.facts)},
                         {"covers", f.covers},
                         {"elements", elements},
                         {"variant", f.variant},
                         {"summary", f.summary},
                         {"evidence", f.evidence},
                         {"fix", f.fix},
                         {"applies", entry.applies},
                         {"why_not", entry.why_not}});
    }
    print(fmt::format(
        "{}\n", Json({{"set", set_}, {"known_faults", entries}}).dump(1, ' ', false, Json::error_handler_t::replace)));
  }

  std::string set_;
  std::string op_ = "*";
  std::string known_;
  bool json_ = false;
};

DSV4_REGISTER_COMMAND(KnownCommand);

}  // namespace
}  // namespace dsv4
