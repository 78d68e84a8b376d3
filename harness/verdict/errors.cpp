#include "harness/verdict/errors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

nlohmann::json sums_json(const ErrorSums& s) {
  return {{"rows", s.rows},
          {"sum", s.sum.up},
          {"sum_away", s.sum.away},
          {"sum_abs", s.sum_abs},
          {"sum_squares", s.sum_squares},
          {"row_squares", s.row_squares.up},
          {"row_squares_away", s.row_squares.away}};
}

ErrorSums sums_from(const nlohmann::json& j) {
  ErrorSums s{.rows = j.at("rows").get<std::int64_t>(),
              .sum = {j.at("sum").get<double>(), j.at("sum_away").get<double>()},
              .sum_abs = j.at("sum_abs").get<double>(),
              .sum_squares = j.at("sum_squares").get<double>(),
              .row_squares = {j.at("row_squares").get<double>(), j.at("row_squares_away").get<double>()}};
  // No share is larger than 2, the difference of two clipped ones, and no tensor has 2^60 elements.
  constexpr double kMost = 0x1p61;
  const auto possible = [&](double x) { return x >= 0 && x <= kMost; };
  if (s.rows < 0 || !possible(s.sum_abs) || !possible(s.sum_squares) || !(std::fabs(s.sum.up) <= kMost) ||
      !(std::fabs(s.sum.away) <= kMost) || !possible(std::sqrt(s.row_squares.up)) ||
      !possible(std::sqrt(s.row_squares.away)))
    throw Error("statistics of errors have a sum or a count that is not possible; the file was edited");
  return s;
}

}  // namespace

std::int64_t ulp_bucket(std::int64_t ulp) {
  if (ulp == 0) return 0;
  constexpr std::uint64_t kTop = std::uint64_t{1} << 62;
  const auto magnitude = ulp < 0 ? ~static_cast<std::uint64_t>(ulp) + 1 : static_cast<std::uint64_t>(ulp);
  const auto low = static_cast<std::int64_t>(std::min(std::bit_floor(magnitude), kTop));
  return ulp < 0 ? -low : low;
}

void to_json(nlohmann::json& j, const ErrorStatistics& e) {
  nlohmann::json ulp = nlohmann::json::array();
  for (const auto& [bucket, count] : e.ulp) ulp.push_back({bucket, count});
  j = sums_json(e.sums);
  j.update({{"elements", e.elements},
            {"same", e.same},
            {"not_finite", e.not_finite},
            {"excused", e.excused},
            {"ulp", ulp},
            {"share", e.share},
            {"bounded", e.bounded},
            {"mean_ulp", e.mean_ulp.up},
            {"mean_ulp_away", e.mean_ulp.away},
            {"mean_share", e.mean_share.up},
            {"mean_share_away", e.mean_share.away},
            {"largest_share", json_number(e.largest_share)}});
  if (e.worst) j["worst"] = *e.worst;
}

void from_json(const nlohmann::json& j, ErrorStatistics& e) {
  e = {};
  e.elements = j.at("elements").get<std::int64_t>();
  e.same = j.at("same").get<std::int64_t>();
  e.not_finite = j.at("not_finite").get<std::int64_t>();
  e.excused = j.at("excused").get<std::int64_t>();
  for (const nlohmann::json& bucket : j.at("ulp"))
    e.ulp[bucket.at(0).get<std::int64_t>()] = bucket.at(1).get<std::int64_t>();
  if (j.at("share").size() != e.share.size())
    throw Error("statistics of errors have another number of buckets than this version of dsv4diff writes");
  e.share = j.at("share").get<decltype(e.share)>();
  if (e.elements < 0 || e.same < 0 || e.not_finite < 0 || e.excused < 0)
    throw Error("statistics of errors have a negative count; the file was edited");
  e.bounded = j.at("bounded").get<std::int64_t>();
  e.mean_ulp = {j.at("mean_ulp").get<double>(), j.at("mean_ulp_away").get<double>()};
  e.mean_share = {j.at("mean_share").get<double>(), j.at("mean_share_away").get<double>()};
  e.largest_share = number_from_json(j.at("largest_share"));
  e.sums = sums_from(j);
  if (j.contains("worst")) e.worst = j.at("worst").get<ElementDifference>();
}

void to_json(nlohmann::json& j, const PairedErrors& e) {
  j = {{"other", e.other},
       {"other_violations", e.other_violations},
       {"compared", e.compared},
       {"same", e.same},
       {"difference", sums_json(e.difference)}};
}

void from_json(const nlohmann::json& j, PairedErrors& e) {
  e = {.other = j.at("other").get<ErrorStatistics>(),
       .other_violations = j.at("other_violations").get<std::int64_t>(),
       .compared = j.at("compared").get<std::int64_t>(),
       .same = j.at("same").get<std::int64_t>(),
       .difference = sums_from(j.at("difference"))};
}

}  // namespace dsv4
