# tests/ has the same folders as the code. All *_test.cpp are linked into one program, so that the harness is
# linked only once. The tests in tests/reference/torch and the tests of the CUDA memory need LibTorch. They are a
# second program.

include(GoogleTest)

set(DSV4_TEST_ENVIRONMENT "DSV4_SOURCE_DIR=${PROJECT_SOURCE_DIR}" "DSV4_BUILD_DIR=${PROJECT_BINARY_DIR}")

function(dsv4_test_program target)
  add_executable(${target} ${ARGN})
  dsv4_program(${target})
  target_link_libraries(${target} PRIVATE GTest::gmock GTest::gtest GTest::gtest_main)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)  # tests are compiled more often than they run
  target_compile_definitions(${target} PRIVATE DSV4_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                       WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
                       PROPERTIES TIMEOUT 600 ENVIRONMENT "${DSV4_TEST_ENVIRONMENT}")
endfunction()

file(GLOB_RECURSE DSV4_TEST_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/*.cpp")
set(torch_tests ${DSV4_TEST_SOURCES})
list(FILTER torch_tests INCLUDE REGEX "/tests/(harness/device/cuda_memory_test|reference/torch/)")
list(FILTER DSV4_TEST_SOURCES EXCLUDE REGEX "/tests/(harness/device/cuda_memory_test|reference/torch/)")

# tests/faulty/{faulty,right}.cpp are modules of kernel sets that only tests use. They are built into a folder in which
# dsv4diff does not look for sets.
set(module_tests "${PROJECT_SOURCE_DIR}/tests/faulty/faulty.cpp" "${PROJECT_SOURCE_DIR}/tests/faulty/right.cpp")
list(REMOVE_ITEM DSV4_TEST_SOURCES ${module_tests})
block()
  set(DSV4_SETS_OUTPUT_DIR "${PROJECT_BINARY_DIR}/sets-test")
  foreach(source IN LISTS module_tests)
    cmake_path(GET source STEM set)
    set(device simt)
    if(set STREQUAL "right")
      set(device cpu)
    endif()
    dsv4_add_module_library(${set} "${source}")
    dsv4_finish_set(${set} DEVICE ${device} COMPILER "${DSV4_COMPILER_NAME}" ARCH "${CMAKE_SYSTEM_PROCESSOR}")
  endforeach()
endblock()

# The library that replaces the NVIDIA driver in tests is built into the same folder.
set(fake_driver "${PROJECT_SOURCE_DIR}/tests/harness/device/fake_driver.cpp")
list(REMOVE_ITEM DSV4_TEST_SOURCES "${fake_driver}")
add_library(fake_driver MODULE "${fake_driver}")
target_link_libraries(fake_driver PRIVATE dsv4_flags)
set_target_properties(fake_driver PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/sets-test")

if(DSV4_TEST_SOURCES)
  dsv4_test_program(dsv4_tests ${DSV4_TEST_SOURCES})
  target_link_libraries(dsv4_tests PRIVATE dsv4_boost_context Eigen3::Eigen)
  add_dependencies(dsv4_tests dsv4_sets fake_driver)
endif()
if(torch_tests AND TARGET dsv4_cuda)
  dsv4_test_program(dsv4_cuda_tests ${torch_tests})
  target_link_libraries(dsv4_cuda_tests PRIVATE dsv4_cuda dsv4_torch_cpu)
  add_dependencies(dsv4_cuda_tests dsv4_sets)
endif()

# Tests of the host executor. Each file contains kernels and TESTs, and is compiled like a module of the host set.
file(GLOB simt_tests CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/simt/*_test.cu")
if(simt_tests AND TARGET dsv4_simt)
  set_source_files_properties(${simt_tests} PROPERTIES LANGUAGE CXX)
  add_executable(dsv4_simt_tests ${simt_tests})
  target_compile_options(dsv4_simt_tests PRIVATE ${DSV4_MODULE_FLAGS} -fno-strict-aliasing -Wno-unknown-pragmas
                                                 "SHELL:-x c++" "SHELL:-include simt/prelude.h")
  target_link_libraries(dsv4_simt_tests PRIVATE dsv4_simt tvm_ffi::shared GTest::gtest GTest::gtest_main)
  set_target_properties(dsv4_simt_tests PROPERTIES BUILD_RPATH "$ORIGIN/lib")
  gtest_discover_tests(dsv4_simt_tests DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600)
endif()

# Tests of scripts and of the command line, in shell and Python.
file(GLOB_RECURSE script_tests CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/*_test.sh"
     "${PROJECT_SOURCE_DIR}/tests/*_test.py")
find_program(DSV4_PYTHON python3 REQUIRED)
foreach(script IN LISTS script_tests)
  cmake_path(RELATIVE_PATH script BASE_DIRECTORY "${PROJECT_SOURCE_DIR}/tests" OUTPUT_VARIABLE name)
  if(script MATCHES "\\.py$")
    add_test(NAME ${name} COMMAND "${DSV4_PYTHON}" -B "${script}" WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  else()
    add_test(NAME ${name} COMMAND bash "${script}" WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT 600 ENVIRONMENT "${DSV4_TEST_ENVIRONMENT}")
endforeach()
# This test ends with 77 if the machine has no browser, and then counts as skipped.
set_tests_properties(scripts/report_browser_test.py PROPERTIES SKIP_RETURN_CODE 77)
# These tests take long. Those in mutants/ compile a module for each mutant. The tests in gate/ sweep whole tiers, with a
# worker for each core. For ctest --parallel, each of these tests counts as two, so that fewer other tests run at the
# same time.
foreach(name mutants/mutants_test.py mutants/reference_mutants_test.py gate/sweep_test.sh gate/verify_test.sh)
  set_tests_properties(${name} PROPERTIES TIMEOUT 1800 PROCESSORS 2)
endforeach()
