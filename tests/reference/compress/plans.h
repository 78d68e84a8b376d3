/// Helpers for the tests of the compression references. They call references, and make plan records comparable.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "harness/call/call.h"
#include "harness/generate/batch.h"
#include "harness/op/records.h"
#include "harness/sets/set.h"
#include "interface/compress_plan.h"
#include "tests/build_folder.h"

namespace dsv4::testing {

/// The build's reference set.
inline Caller& references() {
  static const std::unique_ptr<Caller> set = open_set(Manifest::load(build_folder() + "/sets/reference"));
  return *set;
}

/// The result of a call. If the reference refuses the call, the test fails.
inline CallResult accepted(const Call& call) {
  CallResult result = references().call(call);
  EXPECT_FALSE(result.refusal) << call.op << " refused a valid call: " << result.refusal.value_or("");
  EXPECT_TRUE(result.findings.empty()) << result.findings.front().check << ": " << result.findings.front().detail;
  return result;
}

/// The error of a call that the reference must refuse. If it accepts the call, the test fails.
inline std::string refusal_of(const Call& call) {
  const CallResult result = references().call(call);
  EXPECT_TRUE(result.refusal) << call.op << " accepted the call";
  return result.refusal.value_or("");
}

/// A record as a list of numbers, which can be printed and compared.
using Row = std::vector<std::int64_t>;
inline Row row_of(const layout::TokenPlan& p) { return {p.ragged_id, p.batch_id, p.position, p.window_len}; }
inline Row row_of(const layout::CompressPlan& p) {
  return {p.seq_len, p.ragged_id, p.buffer_len, p.read_page_0, p.read_page_1};
}
inline Row row_of(const layout::WritePlan& p) { return {p.ragged_id, p.write_loc}; }
inline Row row_of(const layout::DecodePlan& p) { return {p.seq_len, p.write_loc, p.read_page_0, p.read_page_1}; }

template <class Record>
std::vector<Row> rows_of(const HostTensor& plan) {
  std::vector<Row> rows;
  for (std::int64_t i = 0; i < plan.size(0); ++i) {
    Record record;
    std::memcpy(&record, plan.element(i * plan.size(1)), sizeof record);
    rows.push_back(row_of(record));
  }
  return rows;
}

inline const HostTensor& returned(const CallResult& result, std::size_t i) {
  return std::get<HostTensor>(result.returned.at(i));
}

inline std::vector<Row> repeated(const Row& row, std::size_t n) { return std::vector<Row>(n, row); }

template <class T>
std::vector<T> operator+(std::vector<T> a, const std::vector<T>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// The rows that pad a plan to its fixed size.
inline const Row kNoTokenRow = row_of(layout::kNoToken);
inline const Row kNoCompressRow = row_of(layout::kNoCompress);
inline const Row kNoWriteRow = row_of(layout::kNoWrite);

/// Maps for tests: in both caches, position q of request r has slot 512 r + q.
inline CacheMaps identity_maps(std::int64_t page_size, std::int64_t ring_size) {
  CacheMaps maps;
  maps.page_size = page_size;
  maps.ring_size = ring_size;
  maps.req_to_token = HostTensor::make(DType::kI32, {8, 512});
  maps.full_to_swa = HostTensor::make(DType::kI64, {8 * 512});
  for (std::int32_t i = 0; i < 8 * 512; ++i) {
    maps.req_to_token.data<std::int32_t>()[i] = i;
    maps.full_to_swa.data<std::int64_t>()[i] = i;
  }
  return maps;
}

}  // namespace dsv4::testing
