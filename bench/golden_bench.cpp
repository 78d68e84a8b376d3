/// golden_bench [FOLDER]: measures how fast goldens are read. It reads all golden files under FOLDER (default:
/// golden/). If FOLDER is "--made-up", it makes 16 files with 300 cases each and reads them. It times read_golden(),
/// which checks the whole content, and a plain loop of H5Dread calls on the same data sets. The goal is at least half
/// the speed of the loop. If h5diff is installed, golden_bench then times the comparison of each file with a copy: by
/// golden_bench with --diff, and by h5diff. The goal is that golden_bench is not slower. In both measurements, the two
/// programs alternate, and medians are printed.
#include <fmt/format.h>
#include <hdf5.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "harness/core/error.h"
#include "harness/golden/file.h"

namespace {

namespace fs = std::filesystem;
using dsv4::Golden;

constexpr int kRepeats = 21;

double seconds_of(const auto& action) {
  const auto start = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

std::string op_of(const fs::path& file) { return file.parent_path().filename().string(); }

/// Reads all data sets of the file, with only the HDF5 calls that every reader must make. Returns the number of bytes.
std::size_t read_plainly(const fs::path& file) {
  const hid_t f = H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  if (f < 0) throw dsv4::Error(file.string() + ": cannot be opened");
  H5G_info_t info;
  H5Gget_info(f, &info);
  std::size_t total = 0;
  for (hsize_t i = 0; i < info.nlinks; ++i) {
    char name[64];
    H5Lget_name_by_idx(f, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
    const hid_t set = H5Dopen2(f, name, H5P_DEFAULT);
    const hid_t type = H5Dget_type(set);
    const hid_t space = H5Dget_space(set);
    std::vector<char> data(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)) * H5Tget_size(type));
    if (!data.empty()) H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data.data());
    total += data.size();
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(set);
  }
  H5Fclose(f);
  return total;
}

/// Makes a golden as large as real goldens. Each case has one small and one large output, filled with random bytes.
Golden made_up(const std::string& op, int cases) {
  Golden g{op, "made-up", {{"package", "none"}}, {}};
  for (int i = 0; i < cases; ++i) {
    dsv4::HostTensor small = dsv4::HostTensor::make(dsv4::DType::kI32, {8, 8});
    dsv4::HostTensor large = dsv4::HostTensor::make(dsv4::DType::kF32, {64, 512});
    auto state = static_cast<std::uint64_t>(i);
    for (auto* t : {&small, &large}) {
      for (std::uint8_t& b : t->storage)
        b = static_cast<std::uint8_t>((state = state * 6364136223846793005u + 1) >> 56);
    }
    dsv4::GoldenEntry e;
    e.id = fmt::format("{}/ratio=4,batch={},len=8193,page=64,layout=flashmla,fill=wide_exponents/seed=1", op, i);
    e.set = g.set;
    e.inputs = dsv4::digest_of(small.storage);
    e.outputs = {dsv4::make_output({"indices", small}, nullptr), dsv4::make_output({"values", large}, nullptr)};
    g.entries.push_back(std::move(e));
  }
  return g;
}

std::vector<fs::path> goldens_under(const fs::path& folder) {
  std::vector<fs::path> files;
  if (fs::is_directory(folder)) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.path().extension() == ".h5") files.push_back(entry.path());
    }
  }
  std::ranges::sort(files);
  return files;
}

/// Returns the exit status of h5diff: 0 if two goldens have the same content, otherwise 1.
int diff(const fs::path& a, const fs::path& b) {
  return dsv4::same_content(dsv4::read_golden(a, op_of(a)), dsv4::read_golden(b, op_of(b))) ? 0 : 1;
}

void compare_reading(const std::vector<fs::path>& files) {
  std::vector<double> plain, ours;
  std::size_t on_disk = 0, cases = 0;
  for (const fs::path& f : files) on_disk += fs::file_size(f);
  for (int r = 0; r < kRepeats; ++r) {
    plain.push_back(seconds_of([&] {
      for (const fs::path& f : files) read_plainly(f);
    }));
    cases = 0;
    ours.push_back(seconds_of([&] {
      for (const fs::path& f : files) cases += dsv4::read_golden(f, op_of(f)).entries.size();
    }));
  }
  const double p = median(plain), o = median(ours);
  fmt::print("goldens: {} files, {} cases, {:.0f} KiB\n", files.size(), cases, static_cast<double>(on_disk) / 1024);
  fmt::print("  plain H5Dread   {:8.2f} ms\n  read_golden     {:8.2f} ms   {:.2f} of plain speed (goal: 0.50)\n",
             1e3 * p, 1e3 * o, p / o);
}

void compare_with_h5diff(const std::vector<fs::path>& files, const std::string& self) {
  if (std::system("command -v h5diff >/dev/null") != 0) {
    fmt::print("  h5diff is not installed (hdf5-tools): not compared\n");
    return;
  }
  std::string name = (fs::temp_directory_path() / "golden_bench_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw dsv4::Error("no temporary folder");
  std::vector<double> theirs, ours;
  const auto run = [](const std::string& command) {
    if (std::system(command.c_str()) != 0) throw dsv4::Error("failed: " + command);
  };
  for (const fs::path& f : files) {
    const fs::path copy = fs::path(name) / op_of(f) / f.filename();
    fs::create_directories(copy.parent_path());
    fs::copy(f, copy);
    fs::copy(dsv4::index_path(f), dsv4::index_path(copy));
  }
  for (int r = 0; r < 5; ++r) {
    theirs.push_back(0);
    ours.push_back(0);
    for (const fs::path& f : files) {
      const std::string pair =
          fmt::format("'{}' '{}'", f.string(), (fs::path(name) / op_of(f) / f.filename()).string());
      theirs.back() += seconds_of([&] { run("h5diff " + pair); });
      ours.back() += seconds_of([&] { run(fmt::format("'{}' --diff {}", self, pair)); });
    }
  }
  fs::remove_all(name);
  const double t = median(theirs), o = median(ours);
  fmt::print("  h5diff          {:8.2f} ms\n  golden --diff   {:8.2f} ms   {:.2f} times as fast (goal: 1)\n", 1e3 * t,
             1e3 * o, t / o);
}

int run(const std::vector<std::string>& args, const std::string& self) {
  if (args.size() == 3 && args[0] == "--diff") return diff(args[1], args[2]);
  std::string made;
  fs::path folder = args.empty() ? fs::path("golden") : fs::path(args[0]);
  if (folder == "--made-up") {
    made = (fs::temp_directory_path() / "golden_bench_XXXXXX").string();
    if (::mkdtemp(made.data()) == nullptr) throw dsv4::Error("no temporary folder");
    for (int i = 0; i < 16; ++i) {
      const std::string op = fmt::format("op{}", i);
      dsv4::write_golden(dsv4::golden_path(made, op, "made-up"), made_up(op, 300));
    }
    folder = made;
  }
  const auto files = goldens_under(folder);
  if (files.empty()) throw dsv4::Error(folder.string() + ": holds no goldens; try --made-up");
  compare_reading(files);
  compare_with_h5diff(files, self);
  if (!made.empty()) fs::remove_all(made);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc}, argv[0]);
  } catch (const std::exception& e) {
    fmt::print(stderr, "golden_bench: {}\n", e.what());
    return 2;
  }
}
