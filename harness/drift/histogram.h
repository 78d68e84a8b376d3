/// Histograms of errors as text bars, two sets side by side.
#pragma once

#include <string>

#include "harness/drift/drift.h"
#include "harness/report/layout.h"

namespace dsv4 {

/// The signed distance in ulp and |error|/bound of both sets, as two tables that fit the layout. A bar is a share of
/// the elements. The ranges at the ends are joined if they are empty or far.
std::string histograms(const PairDrift& pair, const OutputDrift& output, const Layout& layout);

/// The name of a set in at most `width` columns, at least 4. Of a longer name, the end is kept.
std::string end_of(const std::string& set, std::size_t width);

}  // namespace dsv4
