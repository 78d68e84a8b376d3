#include "harness/bench/rounds.h"

#include <algorithm>
#include <ranges>
#include <type_traits>
#include <variant>

namespace dsv4::bench {
namespace {

constexpr std::size_t kLongestRound = 12;

bool same_form(const HostTensor& a, const HostTensor& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.strides == b.strides && a.offset == b.offset &&
         a.storage.size() == b.storage.size();
}

/// Tensors of the same form, or equal values of another type.
bool same_form(const Value& a, const Value& b) {
  if (a.index() != b.index()) return false;
  return std::visit(
      [&](const auto& x) {
        using T = std::decay_t<decltype(x)>;
        if constexpr (std::is_same_v<T, HostTensor>) {
          return same_form(x, std::get<HostTensor>(b));
        } else {
          return x == std::get<T>(b);
        }
      },
      a);
}

bool is_on_host(const Arg& arg) { return arg.is_tensor() && arg.place == Place::kHost && arg.tensor().numel() != 0; }

bool may_be_captured(const RecordedCall& call) {
  return !call.result.refusal.has_value() && std::ranges::none_of(call.call.args, is_on_host);
}

bool alike(const RecordedCall& a, const RecordedCall& b) {
  const auto args_alike = [](const Arg& x, const Arg& y) { return x.place == y.place && same_form(x.value, y.value); };
  return a.call.op == b.call.op && a.call.compile == b.call.compile && may_be_captured(a) && may_be_captured(b) &&
         std::ranges::equal(a.call.args, b.call.args, args_alike) &&
         std::ranges::equal(a.result.returned, b.result.returned,
                            [](const Value& x, const Value& y) { return same_form(x, y); });
}

/// Number of rounds of `length` calls that are alike, beginning with call number `first`.
std::size_t count_rounds(const std::vector<RecordedCall>& calls, std::size_t first, std::size_t length) {
  std::size_t same = 0;  // calls that are like the one a round before
  while (first + length + same < calls.size() && alike(calls[first + same], calls[first + length + same])) ++same;
  return same < length ? 0 : 1 + same / length;
}

const HostTensor* tensor_of(const RecordedCall& call, const Made& made) {
  if (made.returned) return std::get_if<HostTensor>(&call.result.returned[made.index]);
  const Arg& arg = call.result.args[made.index];
  const bool is_output = arg.role == Role::kOut || arg.role == Role::kInOut;
  return arg.is_tensor() && is_output ? &arg.tensor() : nullptr;
}

bool same_contents(const HostTensor& a, const HostTensor& b) {
  return same_form(a, b) && a.offset == 0 && a.storage == b.storage;
}

/// True if in every round, argument `arg` of call `call` has the bytes of `made`.
bool is_always(const std::vector<RecordedCall>& calls, const Rounds& rounds, std::size_t call, std::size_t arg,
               const Made& made) {
  for (std::size_t round = 0; round < rounds.count; ++round) {
    const HostTensor* from = tensor_of(calls[rounds.number(round, made.call)], made);
    const HostTensor& to = calls[rounds.number(round, call)].call.args[arg].tensor();
    if (from == nullptr || to.storage.empty() || !same_contents(*from, to)) return false;
  }
  return true;
}

/// The argument in whose memory the tensor of argument `arg` is.
Made owner(const Rounds& rounds, Made place) {
  while (!place.returned && rounds.sources[place.call][place.index].made.has_value())
    place = *rounds.sources[place.call][place.index].made;
  return place;
}

/// True if a call between `made` and call `call` writes into the memory of `made`.
bool is_overwritten(const std::vector<RecordedCall>& calls, const Rounds& rounds, const Made& made, std::size_t call) {
  if (made.returned) return false;
  const Made memory = owner(rounds, made);
  for (std::size_t i = made.call + 1; i < call; ++i) {
    const RecordedCall& later = calls[rounds.number(0, i)];
    for (std::size_t a = 0; a < later.call.args.size(); ++a) {
      if (const Made here{i, false, a}; tensor_of(later, here) != nullptr && owner(rounds, here) == memory) return true;
    }
  }
  return false;
}

/// The latest tensor of the round that argument `arg` of call `call` always is. An output has no source: its contents
/// before the call do not matter.
std::optional<Made> maker(const std::vector<RecordedCall>& calls, const Rounds& rounds, std::size_t call,
                          std::size_t arg) {
  const Role role = calls[rounds.number(0, call)].call.args[arg].role;
  if (role != Role::kIn && role != Role::kInOut) return std::nullopt;
  const auto fits = [&](const Made& made) {
    return is_always(calls, rounds, call, arg, made) && !is_overwritten(calls, rounds, made, call);
  };
  for (std::size_t from = call; from-- > 0;) {
    const CallResult& result = calls[rounds.number(0, from)].result;
    for (std::size_t i = 0; i < result.returned.size(); ++i) {
      if (const Made made{from, true, i}; fits(made)) return made;
    }
    for (std::size_t i = 0; i < result.args.size(); ++i) {
      if (const Made made{from, false, i}; fits(made)) return made;
    }
  }
  return std::nullopt;
}

/// True if every round but the first finds in this argument what the round before left in its memory.
bool is_carried(const std::vector<RecordedCall>& calls, const Rounds& rounds, const Made& place) {
  for (std::size_t round = 1; round < rounds.count; ++round) {
    const HostTensor* left = nullptr;  // what the last call that may write the memory left in it
    for (std::size_t call = 0; call < rounds.length; ++call) {
      const RecordedCall& made = calls[rounds.number(round - 1, call)];
      for (std::size_t i = 0; i < made.result.args.size(); ++i) {
        const Made here{call, false, i};
        if (const HostTensor* tensor = tensor_of(made, here); tensor != nullptr && owner(rounds, here) == place)
          left = tensor;
      }
    }
    const Arg& found = calls[rounds.number(round, place.call)].call.args[place.index];
    if (left == nullptr || found.role != Role::kInOut || !same_contents(*left, found.tensor())) return false;
  }
  return true;
}

}  // namespace

CallResult RecordingCaller::call(const Call& call, const CallOptions& options) {
  CallResult result = set_.call(call, options);
  calls_.push_back({call, result});
  return result;
}

Rounds find_rounds(const std::vector<RecordedCall>& calls) {
  Rounds best;
  for (std::size_t length = 1; length <= kLongestRound; ++length) {
    for (std::size_t first = 0; first + 2 * length <= calls.size(); ++first) {
      const std::size_t count = count_rounds(calls, first, length);
      if (count * length > best.count * best.length) best = {first, length, count, {}};
    }
  }
  for (std::size_t call = 0; call < best.length; ++call) {
    const std::vector<Arg>& args = calls[best.number(0, call)].call.args;
    std::vector<Source>& sources = best.sources.emplace_back(args.size());
    for (std::size_t arg = 0; arg < args.size(); ++arg) {
      if (args[arg].is_tensor()) sources[arg].made = maker(calls, best, call, arg);
    }
  }
  for (std::size_t call = 0; call < best.length; ++call) {
    for (std::size_t arg = 0; arg < best.sources[call].size(); ++arg) {
      Source& source = best.sources[call][arg];
      const bool is_own = calls[best.number(0, call)].call.args[arg].is_tensor() && !source.made.has_value();
      source.carried = is_own && is_carried(calls, best, {call, false, arg});
    }
  }
  return best;
}

}  // namespace dsv4::bench
