/// Functions with which an op reads and makes the values of calls: numbers, and tensors of packed records.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "harness/call/call.h"
#include "harness/call/output.h"

namespace dsv4 {

/// Makes a tensor [n] of integers, i64 unless another integer dtype is given.
HostTensor numbers(const std::vector<std::int64_t>& values, DType dtype = DType::kI64);

/// Returns the elements of an i32 or i64 tensor argument.
std::vector<std::int64_t> numbers_of(const Call& call, std::string_view name);
/// The value of an integer argument, or of a flag argument.
std::int64_t integer_of(const Call& call, std::string_view name);
bool flag_of(const Call& call, std::string_view name);
/// Whether the call has an argument of this name.
bool has_argument(const Call& call, std::string_view name);

/// A returned tensor. If the function did not return one, an empty f64 tensor: records_of() reports its form as wrong.
HostTensor returned_tensor(const CallResult& result, std::size_t index);
/// A returned integer; nullopt if the function did not return one.
std::optional<std::int64_t> returned_integer(const CallResult& result, std::size_t index);

/// Makes a tensor [n, columns] from the bytes of these rows. A row is an array, or a struct without padding.
template <class Row>
HostTensor tensor_of_rows(DType dtype, const std::vector<Row>& rows) {
  HostTensor t = HostTensor::make(dtype, {std::ssize(rows), static_cast<std::int64_t>(sizeof(Row)) / size_of(dtype)});
  if (!rows.empty()) std::memcpy(t.storage.data(), rows.data(), t.storage.size());
  return t;
}

/// True for a tensor u8 [n, bytes].
bool has_records(const HostTensor& t, std::size_t bytes);

/// Returns the records of a tensor u8 [n, sizeof(Record)], and no records for a tensor of another form.
template <class Record>
std::vector<Record> records_of(const HostTensor& t) {
  if (!has_records(t, sizeof(Record))) return {};
  const HostTensor packed = t.packed();
  std::vector<Record> records(static_cast<std::size_t>(t.size(0)));
  if (!records.empty()) std::memcpy(records.data(), packed.storage.data(), packed.storage.size());
  return records;
}

/// Returns the same records. For a tensor of another form, it also reports the finding "form".
template <class Record>
std::vector<Record> records_of(const HostTensor& t, std::string_view name, Observation& o) {
  if (!has_records(t, sizeof(Record))) {
    o.find("form", fmt::format("{} is {}, expected u8 with rows of {} bytes", name, t.describe(), sizeof(Record)));
  }
  return records_of<Record>(t);
}

/// Returns the rows of a padded list that are not padding. Finding "sentinel": a padding row has other bytes than
/// `padding`, or an entry comes after a padding row.
template <class Record, class IsPadding>
std::vector<Record> without_padding(const std::vector<Record>& rows, const Record& padding, IsPadding is_padding,
                                    std::string_view name, Observation& o) {
  std::vector<Record> used;
  std::size_t first_padding = rows.size();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (is_padding(rows[i])) {
      first_padding = std::min(first_padding, i);
      if (std::memcmp(&rows[i], &padding, sizeof(Record)) != 0) {
        o.find("sentinel", fmt::format("{}: row {} is a sentinel with wrong bytes", name, i));
      }
      continue;
    }
    if (first_padding < i) {
      o.find("sentinel", fmt::format("{}: row {} is an entry, but row {} is a sentinel; sentinels come last", name, i,
                                     first_padding));
    }
    used.push_back(rows[i]);
  }
  return used;
}

/// Finding "range": a number is not in [0, limit). Finding "duplicate": a number occurs twice.
void check_distinct(std::string_view name, const std::vector<std::int64_t>& values, std::int64_t limit, Observation& o);

/// Checks the numbers in one field of the records like the function above. `field` is a pointer to that member.
template <class Record, class Field>
void check_distinct(std::string_view name, const std::vector<Record>& rows, Field field, std::int64_t limit,
                    Observation& o) {
  std::vector<std::int64_t> values;
  for (const Record& row : rows) values.push_back(row.*field);
  check_distinct(name, values, limit, o);
}

}  // namespace dsv4
