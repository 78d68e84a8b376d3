/// Finds the repeated steps of a sequence, so that a CUDA graph of one step can be replayed with the inputs of the next
/// ones. A serving engine does this: it captures a decode step once, and replays it for each token.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "harness/call/call.h"

namespace dsv4::bench {

/// A call of a sequence, and what it gave.
struct RecordedCall {
  Call call;
  CallResult result;
};

/// Forwards calls to a set and keeps them.
class RecordingCaller final : public Caller {
 public:
  explicit RecordingCaller(Caller& set) : set_(set) {}

  CallResult call(const Call& call, const CallOptions& options) override;
  [[nodiscard]] const std::string& name() const override { return set_.name(); }
  [[nodiscard]] bool is_reference() const override { return set_.is_reference(); }
  [[nodiscard]] bool errors_name_arguments() const override { return set_.errors_name_arguments(); }
  [[nodiscard]] bool usable() const override { return set_.usable(); }

  [[nodiscard]] const std::vector<RecordedCall>& calls() const { return calls_; }

 private:
  Caller& set_;
  std::vector<RecordedCall> calls_;
};

/// A tensor that a call of a round makes: argument number `index`, or returned tensor number `index`.
struct Made {
  std::size_t call;
  bool returned;
  std::size_t index;
  bool operator==(const Made&) const = default;
};

/// Where the tensor of an argument comes from.
struct Source {
  std::optional<Made> made;  ///< an earlier call of the same round makes it; then the argument is that tensor
  bool carried = false;      ///< in every round but the first, it is what the round before left in this argument
};

/// Rounds of a sequence: `count` times the same `length` calls, with other contents of the tensors. Call number `c` of
/// round `r` is number first + r * length + c of the sequence.
struct Rounds {
  std::size_t first = 0;
  std::size_t length = 0;
  std::size_t count = 0;                     ///< 0: no two consecutive steps of the sequence are alike
  std::vector<std::vector<Source>> sources;  ///< by call of the round and argument

  [[nodiscard]] std::size_t number(std::size_t round, std::size_t call) const { return first + round * length + call; }
};

/// Finds the rounds that cover most calls; among equals, the shortest. A round is at most 12 calls long. Calls are
/// alike if op, variant, scalars, and the form of all tensors are equal. A call with elements in host memory is in no
/// round: they are fixed when it is captured. An input has a source if it has the source's bytes in every round.
Rounds find_rounds(const std::vector<RecordedCall>& calls);

}  // namespace dsv4::bench
