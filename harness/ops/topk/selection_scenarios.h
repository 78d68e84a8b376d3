/// Scenarios of the top-k ops that map a selection through page tables. Such an op has the arguments scores, seq_lens,
/// page_table, page_indices and page_size, and the parameters k, batch, len and page.
#pragma once

#include "harness/op/contracts.h"
#include "harness/op/op.h"

namespace dsv4 {

/// "relation:batch_permutation". The points have several rows of different lengths.
Scenario batch_permutation(Points points);
/// "relation:wide_matrix": the same rows in a matrix with 40000 more columns.
Scenario wide_matrix(Points points);
/// "relation:column_order". It changes row 0, which must have `len` scores.
Scenario column_order(Points points);
/// "relation:any_page"
Scenario any_page();
/// "sequence:both_widths"
Scenario both_widths();

/// Contracts about the page size, and about lengths outside the row. They run on a point with 3 rows or more.
void add_selection_contracts(Contracts& contracts);

}  // namespace dsv4
