/// Tests of the guarded call across the ABI. They call modules of the build: the references, the host set and the
/// faulty module. They test the call itself; the tests in tests/faulty are about the faults of modules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>

#include "harness/core/error.h"
#include "harness/core/poison.h"
#include "harness/device/memory.h"
#include "harness/generate/random.h"
#include "harness/op/op.h"
#include "harness/sets/set.h"
#include "tests/build_folder.h"
#include "tests/faulty/test_ops.h"

namespace dsv4 {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

Call call_of(const std::string& op, const std::string& fault = "none") {
  const Case c = checked_case(testing::test_case_id(op, fault));
  return find_op(c.op)->make(c);
}

std::unique_ptr<Caller> built(const std::string& set) {
  return open_set(Manifest::load(testing::build_folder() + "/sets/" + set), known_abis());
}

TEST(Caller, ResultsHoldTheArgumentsAndTheCallDoesNotChange) {
  const auto set = testing::open_faulty();
  const Call call = call_of("copy");
  const auto output_before = call.tensor("output").storage;
  const CallResult r = set->call(call);
  EXPECT_THAT(r.findings, IsEmpty());
  EXPECT_FALSE(r.refusal);
  EXPECT_EQ(r.tensor("output").packed().storage, call.tensor("input").packed().storage);
  EXPECT_EQ(call.tensor("output").storage, output_before);
}

TEST(Caller, OutputsAndGapsArePoisonedWithTheVariantOfTheCall) {
  const auto set = testing::open_faulty();
  const Call call = call_of("copy");
  for (const std::uint32_t variant : {0u, 1u, 2u, 3u}) {
    const HostTensor after = set->call(call, {.poison = variant}).tensor("output");
    const auto view = after.view_mask();
    for (std::size_t i = 0; i < view.size(); ++i) {
      ASSERT_TRUE(view[i] != 0 || after.storage[i] == poison_byte(variant + 1, i)) << variant << " " << i;
    }
  }
}

TEST(Caller, ASetThatDoesNothingLeavesPoison) {
  const auto set = testing::open_faulty();
  Call call = call_of("copy", "accepts_all");
  call.arg("output").tensor() =
      HostTensor::make(DType::kF64, {3, 5});  // a right module refuses this tensor; this module ignores it
  const CallResult r = set->call(call, {.poison = 2});
  EXPECT_FALSE(r.refusal);
  HostTensor poisoned = HostTensor::make(DType::kF64, {3, 5});
  poison(poisoned, 3);
  EXPECT_EQ(r.tensor("output").storage, poisoned.storage);
}

TEST(Caller, MisalignedArgumentsArePassed) {
  const auto set = testing::open_faulty();
  for (const std::int64_t shift : {4, 8, 252, 256, 260}) {
    Call call = call_of("copy");
    call.arg("input").misalign = shift;
    call.arg("output").misalign = shift + 4;
    const CallResult r = set->call(call);
    EXPECT_THAT(r.findings, IsEmpty()) << shift;
    EXPECT_EQ(r.tensor("output").packed().storage, call.tensor("input").packed().storage) << shift;
  }
}

// At an edge, the storage before the first element and after the last one is not lent. The result has it all the same.
TEST(Caller, ACallAtAnEdgeHasTheResultsOfTheUsualCall) {
  const auto set = testing::open_faulty();
  for (const char* op : {"copy", "store", "plan"}) {
    Call call = call_of(op);
    if (call.args.front().name == "input") {
      HostTensor& input = call.arg("input").tensor();
      input = HostTensor::strided(DType::kF32, {3, 5}, {7, 1}, 3, 40);
      for (std::int64_t i = 0; i < input.numel(); ++i) set_float(input, i, static_cast<double>(i));
    }
    const CallResult usual = set->call(call);
    for (const Edge edge : {Edge::kStart, Edge::kEnd}) {
      const CallResult r = set->call(call, {.edge = edge});
      EXPECT_THAT(r.findings, IsEmpty()) << op;
      EXPECT_FALSE(r.refusal) << op;
      for (std::size_t i = 0; i < usual.args.size(); ++i) {
        if (!usual.args[i].is_tensor()) continue;
        EXPECT_EQ(r.args[i].tensor().storage, usual.args[i].tensor().storage) << op << " " << usual.args[i].name;
      }
      ASSERT_EQ(r.returned.size(), usual.returned.size()) << op;
      if (!r.returned.empty()) {
        EXPECT_EQ(std::get<HostTensor>(r.returned[0]).storage, std::get<HostTensor>(usual.returned[0]).storage);
      }
    }
  }
}

TEST(Caller, ALateArgumentAtAnEdgeIsRefused) {
  const auto host = built("host");
  const Op& op = *find_op("mask_topk_ids");
  const Call call = op.make({op.info().name, "", op.points(Tier::kSmoke).front(), 1});
  const auto earlier = call.tensor("topk_ids").storage;
  EXPECT_THROW((void)host->call(call, {.late = {{"topk_ids", earlier}}, .edge = Edge::kEnd}), Error);
}

TEST(Caller, FootprintsAreCheckedByteByByte) {
  const auto set = testing::open_faulty();
  Call call = call_of("store");
  EXPECT_THAT(set->call(call).findings, IsEmpty());
  // Repeats the call without slot 0 in its footprint.
  auto& footprint = call.arg("cache").footprint;
  std::fill_n(footprint.begin(), 8, 0);
  const CallResult r = set->call(call);
  ASSERT_EQ(r.findings.size(), 1u);
  EXPECT_EQ(r.findings[0].check, "outside_footprint");
  EXPECT_THAT(r.findings[0].detail, HasSubstr("'cache' (u8[9, 8]): byte 0 of its memory changed"));
  footprint.pop_back();
  EXPECT_THROW((void)set->call(call), Error);
}

TEST(Caller, RolesDecideWhatMayChange) {
  const auto set = testing::open_faulty();
  Call call = call_of("copy");
  call.arg("output").role = Role::kIn;
  const CallResult as_input = set->call(call);
  ASSERT_EQ(as_input.findings.size(), 1u);
  EXPECT_EQ(as_input.findings[0].check, "input_changed");
  call.arg("output").role = Role::kWorkspace;
  EXPECT_THAT(set->call(call).findings, IsEmpty());
}

TEST(Caller, EmptyTensorsCanBePassed) {
  const auto set = testing::open_faulty();
  Call call = call_of("copy");
  call.arg("input").tensor() = HostTensor::make(DType::kF32, {0, 5});
  call.arg("output").tensor() = HostTensor::make(DType::kF32, {0, 5});
  const CallResult r = set->call(call);
  EXPECT_FALSE(r.refusal);
  EXPECT_THAT(r.findings, IsEmpty());
  EXPECT_EQ(r.tensor("output").numel(), 0);
}

TEST(Caller, ReturnedTuplesBecomeSeparateValues) {
  for (const auto& set : {testing::open_faulty(), testing::open_right()}) {
    const Call call = call_of("plan");
    const CallResult r = set->call(call);
    ASSERT_EQ(r.returned.size(), 2u);
    EXPECT_EQ(std::get<HostTensor>(r.returned[0]).describe(), "i32[5, 2]");
    EXPECT_EQ(std::get<std::int64_t>(r.returned[1]), 5);
    EXPECT_THAT(r.findings, IsEmpty());
  }
  EXPECT_THAT(testing::open_faulty()->call(call_of("copy")).returned, IsEmpty());
}

TEST(Caller, EmptyTensorsCanBeReturned) {
  const auto set = testing::open_faulty();
  Call call = call_of("plan");
  call.arg("lens").tensor() = HostTensor::make(DType::kI32, {4});
  const CallResult r = set->call(call);
  EXPECT_THAT(r.findings, IsEmpty());
  EXPECT_EQ(std::get<HostTensor>(r.returned.at(0)).describe(), "i32[0, 2]");
}

TEST(Caller, RefusalsAreResults) {
  const auto set = testing::open_faulty();
  const CallResult r = set->call(call_of("copy", "throws"));
  ASSERT_TRUE(r.refusal);
  EXPECT_EQ(*r.refusal, "ValueError: test_copy: argument 'input': I do not like it");
  EXPECT_THAT(r.findings, IsEmpty());
  EXPECT_THAT(r.returned, IsEmpty());
  // A wrong kind of argument is refused by TVM-FFI itself.
  Call call = call_of("copy");
  call.arg("input") = scalar("input", 1.5);
  const CallResult typed = set->call(call);
  ASSERT_TRUE(typed.refusal);
  EXPECT_THAT(*typed.refusal, HasSubstr("TypeError"));
  // The set can still be used.
  EXPECT_FALSE(set->call(call_of("copy")).refusal);
  EXPECT_TRUE(set->usable());
}

TEST(Caller, SetsHaveThePropertiesOfTheirManifest) {
  const auto faulty = testing::open_faulty();
  const auto right = testing::open_right();
  EXPECT_TRUE(faulty->has_device());
  EXPECT_FALSE(faulty->is_reference());
  EXPECT_TRUE(faulty->errors_name_arguments());
  EXPECT_FALSE(right->has_device());
  EXPECT_TRUE(faulty->shows_overlap());
  EXPECT_FALSE(right->shows_overlap());
  EXPECT_TRUE(right->is_reference());
}

TEST(Caller, ALateArgumentHasItsResultAfterTheCall) {
  const Op* op = find_op("mask_topk_ids");
  ASSERT_NE(op, nullptr);
  const Case c = cases_of(*op, Tier::kSmoke).front();
  const Call call = op->make(c);
  const auto host = built("host");
  const std::vector<std::uint8_t> earlier(call.tensor("topk_ids").storage.size(), 0x11);
  const CallResult alone = host->call(call);
  const CallResult late = host->call(call, {.late = {{"topk_ids", earlier}}});
  EXPECT_FALSE(late.refusal);
  EXPECT_THAT(late.findings, IsEmpty());
  EXPECT_EQ(late.tensor("topk_ids").storage, alone.tensor("topk_ids").storage);
  EXPECT_THROW((void)host->call(call, {.late = {{"topk_idz", earlier}}}), Error);
  EXPECT_THROW((void)host->call(call, {.late = {{"topk_ids", {1, 2}}}}), Error);
  EXPECT_EQ(host->call(call).tensor("topk_ids").storage, alone.tensor("topk_ids").storage)
      << "a late argument affects a later call";
}

TEST(Caller, AModuleWithoutTheExecutorCannotShowALateArgument) {
  const auto faulty = testing::open_faulty();
  const Call call = call_of("copy");
  const std::vector<std::uint8_t> earlier(call.tensor("input").storage.size());
  EXPECT_THROW((void)faulty->call(call, {.late = {{"input", earlier}}}), Unsupported);
  EXPECT_THROW((void)faulty->call(call, {.late_allocations = true}), Unsupported);
}

TEST(Caller, AKernelOfTheHostSetWritesNothingLate) {
  const Op* op = find_op("plan_decode");
  ASSERT_NE(op, nullptr);
  const Call call = op->make(cases_of(*op, Tier::kSmoke).front());
  const auto host = built("host");
  const CallResult watched = host->call(call, {.watch_late_writes = true});
  EXPECT_FALSE(watched.refusal);
  EXPECT_THAT(watched.late.findings, IsEmpty());
  EXPECT_EQ(watched.late.args.size(), call.args.size());
  ASSERT_EQ(watched.late.returned.size(), 1u);
  EXPECT_THAT(watched.late.returned[0], IsEmpty());
  EXPECT_THAT(host->call(call).late.args, IsEmpty());
  EXPECT_THROW((void)host->call(call, {.late_allocations = true, .watch_late_writes = true}), Error);
  EXPECT_TRUE(host->writes_before_next());
}

TEST(Caller, AModuleWithoutTheExecutorCannotShowLateWrites) {
  const auto faulty = testing::open_faulty();
  EXPECT_THROW((void)faulty->call(call_of("copy"), {.watch_late_writes = true}), Unsupported);
}

TEST(Caller, OptionalArgumentsMayBeAbsent) {
  const Op* op = find_op("topk_v1");
  ASSERT_NE(op, nullptr);
  for (const std::string name : {"reference", "host"}) {
    const auto set = built(name);
    int with = 0, without = 0;
    for (const Case& c : cases_of(*op, Tier::kSmoke)) {
      if (!c.scenario.empty()) continue;
      const Call call = op->make(c);
      const CallResult r = set->call(call);
      EXPECT_FALSE(r.refusal) << c.id() << " " << *r.refusal;
      EXPECT_THAT(r.findings, IsEmpty()) << c.id();
      (call.arg("raw_indices").is_tensor() ? with : without) += 1;
      EXPECT_EQ(r.args.size(), call.args.size());
    }
    EXPECT_GT(with, 0) << name;
    EXPECT_GT(without, 0) << name;
  }
}

/// Returns a call of test_copy in which the rows of `argument` are 2^31 elements apart.
Call far_copy(const char* argument) {
  Call call = call_of("copy");
  call.arg(argument).far_layout = FarLayout{{3, 5}, {std::int64_t{1} << 31, 1}, {0, 1, 2}};
  return call;
}

TEST(Caller, AFarArgumentIsReturnedAsItIsOnTheHost) {
  const auto set = testing::open_faulty();
  for (const char* argument : {"input", "output"}) {
    const Call call = far_copy(argument);
    const CallResult r = set->call(call);
    EXPECT_THAT(r.findings, IsEmpty()) << argument;
    EXPECT_EQ(r.tensor("output").packed().storage, call.tensor("input").packed().storage) << argument;
    EXPECT_EQ(r.tensor("output").strides, call.tensor("output").strides);
  }
}

TEST(Caller, TheFootprintOfAFarArgumentIsChecked) {
  const auto set = testing::open_faulty();
  Call call = far_copy("output");
  call.arg("output").footprint.assign(call.tensor("output").storage.size(), 1);
  call.arg("output").footprint[call.tensor("output").byte_of(10)] = 0;  // element 10 is in the last row
  const CallResult r = set->call(call);
  ASSERT_EQ(r.findings.size(), 1u);
  EXPECT_EQ(r.findings[0].check, "outside_footprint");
  const Call changes = [] {
    Call c = call_of("copy", "input");
    c.arg("input").far_layout = far_copy("input").arg("input").far_layout;
    return c;
  }();
  const CallResult changed = set->call(changes);
  ASSERT_EQ(changed.findings.size(), 1u);
  EXPECT_EQ(changed.findings[0].check, "input_changed");
}

TEST(Caller, AFarArgumentCannotBeLate) {
  const auto set = built("host");
  const Call call = [] {
    const Op& op = *find_op("mask_topk_ids");
    Call c = op.make({"mask_topk_ids", "", op.points(Tier::kSmoke).front(), 1});
    c.arg("topk_ids").far_layout =
        FarLayout{{5, 6}, {std::int64_t{1} << 31, 1}, {0, 1, 2, 3, 4}};  // the first smoke point has five rows
    return c;
  }();
  const auto& storage = call.tensor("topk_ids").storage;
  EXPECT_THROW((void)set->call(call, {.late = {{"topk_ids", storage}}}), Error);
}

/// Arguments that the function reaches by addresses: each layer's cache is a part of one tensor.
TEST(Caller, TensorsAreReachedByTheirAddresses) {
  const auto set = built("reference");
  const Case c{"hisparse_transfer", "", find_op("hisparse_transfer")->params_at("items=3 layers=2"), 1};
  const Call call = find_op(c.op)->make(c);
  const CallResult r = set->call(call);
  EXPECT_THAT(r.findings, IsEmpty());
  EXPECT_FALSE(r.refusal) << *r.refusal;
  EXPECT_NE(r.tensor("destination").storage, call.tensor("destination").storage);
  EXPECT_EQ(r.tensor("src_ptrs").storage, std::vector<std::uint8_t>(16)) << "addresses differ from run to run";
}

TEST(Caller, AddressesAreThoseOfEqualPartsOfTheTensor) {
  Arg reached = in("cache", HostTensor::make(DType::kU8, {6, 10})),
      addresses = in("at", HostTensor::make(DType::kU64, {3}));
  write_addresses(reached, 1000, addresses);
  for (std::int64_t i = 0; i < 3; ++i) EXPECT_EQ(addresses.tensor().at<std::uint64_t>(i), 1000u + 20u * i);
  reached.far_layout = FarLayout{{1 << 20, 10}, {1 << 20, 1}, {0, 1, 2, 3, 4, 5}};
  addresses = in("at", HostTensor::make(DType::kU64, {2}));
  write_addresses(reached, 1000, addresses);
  EXPECT_EQ(addresses.tensor().at<std::uint64_t>(1), 1000u + (std::uint64_t{1} << 39));
  Arg narrow = in("at", HostTensor::make(DType::kI32, {2}));
  write_addresses(reached, 1000, narrow);
  EXPECT_EQ(narrow.tensor().storage, std::vector<std::uint8_t>(8)) << "no address fits";
}

TEST(GuardedBlock, PayloadsHaveTheRequestedAlignment) {
  const auto memory = make_host_memory();
  for (const std::size_t shift : {0u, 4u, 100u, 256u}) {
    const GuardedBlock block(*memory, 10, 0, shift);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.payload()) % 256, shift % 256);
  }
}

TEST(GuardedBlock, ChangedGuardBytesAreFound) {
  const auto memory = make_host_memory();
  for (const std::size_t bytes : {0u, 1u, 5u, 4096u}) {
    for (const std::ptrdiff_t offset :
         {std::ptrdiff_t{-1}, std::ptrdiff_t{-7}, -static_cast<std::ptrdiff_t>(GuardedBlock::kGuard),
          static_cast<std::ptrdiff_t>(bytes), static_cast<std::ptrdiff_t>(bytes + GuardedBlock::kGuard - 1)}) {
      const GuardedBlock block(*memory, bytes, 3);
      std::vector<Finding> findings;
      block.check("x", findings);
      ASSERT_THAT(findings, IsEmpty());
      static_cast<std::uint8_t*>(block.payload())[offset] ^= 0x40;
      block.check("x", findings);
      ASSERT_EQ(findings.size(), 1u) << bytes << " " << offset;
      const auto distance =
          static_cast<std::size_t>(offset < 0 ? -offset : offset - static_cast<std::ptrdiff_t>(bytes) + 1);
      EXPECT_THAT(findings[0].detail, HasSubstr("'x': byte " + std::to_string(distance) +
                                                (offset < 0 ? " before" : " after") + " its memory was overwritten"));
    }
  }
}

TEST(GuardedBlock, ReadsBackWhatWasWritten) {
  const auto memory = make_host_memory();
  GuardedBlock block(*memory, 5, 0);
  const std::vector<std::uint8_t> image{1, 2, 3, 4, 5};
  block.write(image);
  EXPECT_EQ(block.read(), image);
  std::vector<Finding> findings;
  block.check("x", findings);
  EXPECT_THAT(findings, IsEmpty());
}

TEST(Sha256, KnownAnswers) {
  const auto path = (std::filesystem::temp_directory_path() / ("dsv4-sha-" + std::to_string(::getpid()))).string();
  const auto digest = [&](const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
    return sha256_of_file(path);
  };
  // The messages are the examples of FIPS 180-4, and the letter 'a' repeated a million times.
  EXPECT_EQ(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(digest(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  std::filesystem::remove(path);
  EXPECT_THROW((void)sha256_of_file(path), Error);
}

}  // namespace
}  // namespace dsv4
