#include "harness/ops/topk/topk_v1_scenarios.h"

#include <fmt/format.h>

#include "harness/op/define.h"
#include "harness/ops/topk/selection_scenarios.h"

namespace dsv4 {

std::vector<Scenario> topk_v1_scenarios(const Op& op) {
  std::vector<Scenario> list{
      // The larger points have more rows than a GPU can run at the same time. So later blocks start with what earlier
      // blocks left in memory. Kernels that have a special path for many rows use this path.
      batch_permutation(
          op.at({"batch=9 len=1500 raw=1 tail=3 lens=mixed"},
                {"batch=450 len=600 raw=1 tail=3 lens=mixed", "k=1024 batch=450 len=1100 raw=1 tail=3 lens=mixed"})),
      wide_matrix(op.at(each({"k={} batch=9 len=1500 raw=1 tail=3 lens=mixed"}, {"512", "1024"}))),
      // In kernels/topk, one block selects from a row of 8192 columns. Several blocks share a longer row of a small
      // batch, unless a sample is misleading. Then a list of 4864 entries takes one chunk of 8192 columns after the
      // other. With gaps, 1024 entries of the first chunk remain in it, and about 4240 columns of the next are better.
      column_order(op.at(each({"k=1024 len={} raw=1 tail=3"}, {"8000", "17000"}),
                         each({"k={} len=140001 raw=1 tail=3"}, {"512", "1024"}))),
      any_page(), both_widths()};
  list.push_back(params_relation("page_size", "the page size changes the addresses but not the selection",
                                 kFirstSmokePoint, [](Params& p) { p.set("page", "1"); }));
  list.push_back(params_relation("raw_output", "asking for positions does not change the other outputs",
                                 kFirstSmokePoint, [](Params& p) { p.set("raw", p.flag("raw") ? "0" : "1"); }));
  list.push_back(params_relation("row_padding", "columns after the end of a row do not matter", kFirstSmokePoint,
                                 [](Params& p) { p.set("tail", "64"); }));

  // These rows are so long that kernels divide them into parts. The results of the parts are combined in memory that
  // the function allocates.
  list.push_back(late_allocation_relation(op.at({"len=40000 raw=1 tail=3", "k=1024 batch=2 len=40000 raw=1 tail=3"})));
  for (const std::string argument : {"scores", "page_table"}) {
    list.push_back(far_relation(argument, fmt::format("rows of '{}' that lie 2^31 elements apart", argument),
                                op.at({"batch=3 len=1500 raw=1 tail=3", "k=1024 batch=3 len=40000 raw=1 tail=3"}),
                                move_apart(argument)));
  }

  Contracts contracts(list);
  contracts.reshaped("raw_width", "an output for positions with the width of the other k is refused", "raw_indices",
                     [](Shape& s) { s[1] *= 2; });
  add_selection_contracts(contracts);
  return list;
}

}  // namespace dsv4
