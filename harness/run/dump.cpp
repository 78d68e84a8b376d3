#include "harness/run/dump.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "harness/core/error.h"
#include "harness/core/npy.h"
#include "harness/core/text.h"

namespace dsv4 {
namespace {

constexpr std::size_t kLongestName = 200;  // file systems allow 255 bytes

std::string file_name(const std::string& text) {
  std::string name;
  for (const char c : text) name += c == '/' ? "__" : std::string(1, c);
  return name.substr(0, kLongestName);
}

nlohmann::json value_json(const Value& value) {
  if (const auto* i = std::get_if<std::int64_t>(&value)) return *i;
  if (const auto* d = std::get_if<double>(&value)) return *d;
  if (const auto* b = std::get_if<bool>(&value)) return *b;
  return nullptr;
}

const char* name_of_role(Role role) {
  switch (role) {
    case Role::kIn:
      return "input";
    case Role::kOut:
      return "output";
    case Role::kInOut:
      return "input and output";
    case Role::kWorkspace:
      return "workspace";
  }
  return "?";
}

}  // namespace

class Dump::Watched final : public Caller {
 public:
  Watched(Dump& dump, Caller& caller, std::string side) : dump_(dump), caller_(caller), side_(std::move(side)) {}

  CallResult call(const Call& call, const CallOptions& options) override {
    const std::string function = call.op + (call.aux.empty() ? "" : "." + call.aux);
    const std::string name = fmt::format("call{}-{}-{}", ++dump_.calls_, side_, function);
    const nlohmann::json facts{
        {"call", dump_.calls_}, {"side", side_}, {"set", caller_.name()}, {"function", function}};
    for (const Arg& arg : call.args) {
      if (arg.role == Role::kOut || arg.role == Role::kWorkspace) continue;
      add(name, "before", arg.name, arg.value, facts, name_of_role(arg.role));
    }
    dump_.save();
    CallResult result = caller_.call(call, options);
    if (result.refusal) {
      nlohmann::json refusal = facts;
      refusal["refusal"] = *result.refusal;
      dump_.contents_["calls"].push_back(refusal);
    }
    for (const Arg& arg : result.args) {
      if (arg.is_tensor() && arg.role != Role::kIn)
        add(name, "after", arg.name, arg.value, facts, name_of_role(arg.role));
    }
    for (std::size_t i = 0; i < result.returned.size(); ++i) {
      add(name, "returned", std::to_string(i), result.returned[i], facts, "returned value");
    }
    dump_.save();
    return result;
  }
  [[nodiscard]] const std::string& name() const override { return caller_.name(); }
  [[nodiscard]] bool is_reference() const override { return caller_.is_reference(); }
  [[nodiscard]] bool errors_name_arguments() const override { return caller_.errors_name_arguments(); }
  [[nodiscard]] bool has_device() const override { return caller_.has_device(); }
  [[nodiscard]] bool shows_overlap() const override { return caller_.shows_overlap(); }
  [[nodiscard]] bool usable() const override { return caller_.usable(); }

 private:
  /// `when` is "before" or "after" the call, or "returned".
  void add(const std::string& call, const std::string& when, const std::string& name, const Value& value,
           nlohmann::json facts, const char* what) {
    facts["when"] = when;
    facts["name"] = name;
    facts["what"] = what;
    if (const auto* tensor = std::get_if<HostTensor>(&value)) {
      dump_.add(fmt::format("{}-{}-{}", call, when, name), *tensor, std::move(facts));
    } else {
      facts["value"] = value_json(value);
      dump_.contents_["values"].push_back(std::move(facts));
    }
  }

  Dump& dump_;
  Caller& caller_;
  std::string side_;
};

std::unique_ptr<Caller> Dump::watch(Caller& caller, std::string side) {
  return std::make_unique<Watched>(*this, caller, std::move(side));
}

void Dump::begin(const std::string& id) {
  namespace fs = std::filesystem;
  const std::string name = file_name(id);
  fs::path folder = fs::path(root_) / name;
  for (int n = 2; fs::exists(folder); ++n) folder = fs::path(root_) / fmt::format("{}-{}", name, n);
  fs::create_directories(folder);
  folder_ = folder.string();
  contents_ = {{"case", id},
               {"files", nlohmann::json::array()},
               {"values", nlohmann::json::array()},
               {"calls", nlohmann::json::array()}};
  calls_ = comparisons_ = 0;
  save();
}

void Dump::compared(const std::string& where, const Observation& got, const Observation& want,
                    const Tolerances& tolerances) {
  const nlohmann::json facts{{"comparison", ++comparisons_}, {"where", where}};
  const auto put = [&](const std::string& output, const char* what, const HostTensor& tensor) {
    nlohmann::json f = facts;
    f["name"] = output;
    f["what"] = what;
    add(fmt::format("compared{}-{}-{}", comparisons_, output, what), tensor, std::move(f));
  };
  for (const Output& o : got.outputs) put(o.name, "got", o.value);
  for (const Output& o : want.outputs) put(o.name, "want", o.value);
  for (const auto& [output, tolerance] : tolerances) {
    if (tolerance.kind == Tolerance::Kind::kBound) put(output, "bound", tolerance.bound);
    if (tolerance.kind != Tolerance::Kind::kInterval) continue;
    put(output, "low", tolerance.low);
    put(output, "high", tolerance.high);
  }
  save();
}

void Dump::add(const std::string& name, const HostTensor& tensor, nlohmann::json facts) {
  const std::string file = file_name(name) + ".npy";
  write_npy((std::filesystem::path(folder_) / file).string(), tensor);
  facts["file"] = file;
  facts["dtype"] = name_of(tensor.dtype);
  facts["stored_as"] = npy_dtype(tensor.dtype);
  facts["shape"] = tensor.shape;
  facts["strides"] = tensor.strides;  // of the argument; the file has no gaps
  contents_["files"].push_back(std::move(facts));
}

void Dump::save() const {
  const std::string path = (std::filesystem::path(folder_) / "dump.json").string();
  std::ofstream file(path, std::ios::binary);
  file << contents_.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  file.close();
  if (!file) throw Error(fmt::format("{}: cannot be written", shortened(path)));
}

}  // namespace dsv4
