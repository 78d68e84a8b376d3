/// Writes the tensors of cases as files, so that they can be looked at with other tools (run --dump).
///
/// Each case has a folder: its id, with "__" for each "/". The file dump.json in it says what each other file is. The
/// inputs of a call are written before the call, so they are there even if the call ends the process.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "harness/call/call.h"
#include "harness/call/output.h"

namespace dsv4 {

class Dump {
 public:
  /// Writes into `folder`, which must exist.
  explicit Dump(std::string folder) : root_(std::move(folder)) {}

  /// Begins the files of a case.
  void begin(const std::string& id);
  /// Returns a caller that passes each call on, and writes its arguments and its results. `caller` and this object must
  /// outlive it. `side` names the set's place in the comparison: "subject", "against" or "reference".
  std::unique_ptr<Caller> watch(Caller& caller, std::string side);
  /// Writes what is compared: the canonical outputs of both sides, and the bounds or intervals.
  void compared(const std::string& where, const Observation& got, const Observation& want,
                const Tolerances& tolerances);

 private:
  class Watched;

  /// Writes the tensor to a file, and `facts` to dump.json.
  void add(const std::string& name, const HostTensor& tensor, nlohmann::json facts);
  void save() const;

  std::string root_;
  std::string folder_;
  nlohmann::json contents_;
  int calls_ = 0;
  int comparisons_ = 0;
};

}  // namespace dsv4
