#include "harness/ops/compress/c4_contracts.h"

namespace dsv4 {

void add_c4_contracts(Contracts& contracts, const std::vector<std::string>& plans) {
  for (const char* name : {"kv_buffer", "kv_input", "kv_output", "ape"}) {
    contracts.wrong_form(name, DType::kBF16);
    contracts.strided(name);
    contracts.misplaced(name, Place::kHost);
  }
  for (const std::string& name : plans) {
    contracts.wrong_form(name, DType::kI8);
    contracts.strided(name);
    contracts.misplaced(name, Place::kHost);
  }
  contracts.reshaped("state_page_8", "state pages of eight rows are those of an older kernel", "kv_buffer",
                     [](Shape& s) { s[1] = 8; });
  contracts.reshaped("state_width", "state rows of another width are refused", "kv_buffer",
                     [](Shape& s) { s[2] += 4; });
  contracts.reshaped("output_rows", "an output with a row too few is refused", "kv_output", [](Shape& s) { --s[0]; });
  contracts.reshaped("ape_rows", "a bias of four rows is that of one group", "ape", [](Shape& s) { s[0] = 4; });
}

}  // namespace dsv4
