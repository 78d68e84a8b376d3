#include "harness/device/gpu.h"

#include <gmock/gmock.h>

#include "harness/sets/set.h"
#include "tests/build_folder.h"

namespace dsv4 {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

std::string fake_driver() { return testing::build_folder() + "/sets-test/libfake_driver.so"; }

TEST(Gpu, NameAndReleaseComeFromTheDriver) {
  const DriverLibraries fake{fake_driver(), fake_driver()};
  EXPECT_EQ(gpu_missing(fake), "");
  EXPECT_THAT(gpu_facts(fake), UnorderedElementsAre(Pair("gpu", "Imaginary 9000"), Pair("driver", "1.2.3")));
}

TEST(Gpu, WithoutADriverThereIsNoGpuAndThereAreNoFacts) {
  const DriverLibraries none{"libof_nobody.so.1", "libof_nobody.so.1"};
  EXPECT_THAT(gpu_missing(none), HasSubstr("no CUDA driver"));
  EXPECT_THAT(gpu_facts(none), IsEmpty());
}

TEST(Gpu, ALibraryWithoutTheFunctionsIsNotADriver) {
  const DriverLibraries other{"libdl.so.2", "libdl.so.2"};
  EXPECT_THAT(gpu_missing(other), HasSubstr("finds no device"));
  EXPECT_THAT(gpu_facts(other), IsEmpty());
}

TEST(Gpu, EachLibraryIsUsedWithoutTheOther) {
  EXPECT_THAT(gpu_facts({fake_driver(), "libof_nobody.so.1"}), UnorderedElementsAre(Pair("gpu", "Imaginary 9000")));
  EXPECT_THAT(gpu_facts({"libof_nobody.so.1", fake_driver()}), UnorderedElementsAre(Pair("driver", "1.2.3")));
}

TEST(Gpu, OnlyCudaSetsNameTheGpuInTheirOrigin) {
  Manifest manifest;
  manifest.provenance = {{"package", "sglang"}};
  manifest.device = DeviceKind::kSimt;
  EXPECT_EQ(origin_of(manifest), manifest.provenance);
  manifest.device = DeviceKind::kCuda;
  auto expected = gpu_facts();
  expected.merge(std::map<std::string, std::string>(manifest.provenance));
  EXPECT_EQ(origin_of(manifest), expected);
}

}  // namespace
}  // namespace dsv4
