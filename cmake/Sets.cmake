# Builds the in-tree kernel sets: one module for each source file, and one manifest for each set. Source files are found
# by their paths.
#
#   reference/<family>/<op>.cpp  ->  sets/reference/<op>.so
#   kernels/<family>/<op>.cu     ->  sets/host/<op>.so   (host compiler and simt/)
#                                    sets/cuda/<op>.so   (nvcc, with DSV4_CUDA)
# The symbols of a module are hidden, and -fno-gnu-unique is set. Otherwise all modules would share the static variables
# of inline functions in the first loaded module, such as the entry list of interface/entry.h.

set(DSV4_MODULE_FLAGS -fvisibility=hidden -fvisibility-inlines-hidden -fno-gnu-unique)
set(DSV4_COMPILER_NAME "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
add_custom_target(dsv4_sets ALL)

add_executable(write_manifest interface/write_manifest.cpp)
target_link_libraries(write_manifest PRIVATE dsv4_flags tvm_ffi::shared nlohmann_json::nlohmann_json dsv4_crypto ${CMAKE_DL_LIBS})
set_target_properties(write_manifest PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tools"
                      BUILD_RPATH "$ORIGIN/../lib")

# dsv4_flags_json(<out> <flag>...): sets <out> to the flags as elements of a JSON array.
function(dsv4_flags_json out)
  set(items "")
  foreach(flag IN LISTS ARGN)
    list(APPEND items "\"${flag}\"")
  endforeach()
  list(JOIN items ", " text)
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

# dsv4_note_module(<set> <source> <target-or-file> FLAGS <flag>...): adds a module to the manifest of the set.
function(dsv4_note_module set source dependency)
  cmake_parse_arguments(PARSE_ARGV 3 arg "" "" "FLAGS")
  cmake_path(GET source STEM op)
  cmake_path(RELATIVE_PATH source BASE_DIRECTORY "${PROJECT_SOURCE_DIR}" OUTPUT_VARIABLE relative)
  dsv4_flags_json(flags ${arg_FLAGS})
  set_property(GLOBAL APPEND PROPERTY DSV4_SET_${set}_DEPENDS "${dependency}")
  set_property(GLOBAL APPEND_STRING PROPERTY DSV4_SET_${set}_MODULES
               "{\"file\": \"${op}.so\", \"source\": \"${relative}\", \"path\": \"${source}\", \"flags\": [${flags}]},\n")
endfunction()

# dsv4_includes(<out> <source> <prefix>): sets <out> to TRUE if the source includes a header whose name begins with
# <prefix>, itself or through headers of the repository; otherwise to FALSE. CMake configures again when one of these
# files changes.
function(dsv4_includes out source prefix)
  set(waiting "${source}")
  set(seen "")
  set(${out} FALSE PARENT_SCOPE)
  while(waiting)
    list(POP_FRONT waiting file)
    if(file IN_LIST seen OR NOT EXISTS "${file}")
      continue()
    endif()
    list(APPEND seen "${file}")
    file(STRINGS "${file}" lines REGEX "^#include ")
    foreach(line IN LISTS lines)
      if(line MATCHES "^#include <${prefix}")
        set(${out} TRUE PARENT_SCOPE)
      elseif(line MATCHES "^#include \"([^\"]+)\"")
        list(APPEND waiting "${PROJECT_SOURCE_DIR}/${CMAKE_MATCH_1}")
      endif()
    endforeach()
  endwhile()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${seen})
endfunction()

# dsv4_add_module_library(<set> <source> FLAGS <flag>...): compiles a source with the host compiler into a module of the
# set. The target's name is <set>_<op>. The caller can add include folders and libraries to the target.
function(dsv4_add_module_library set source)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "FLAGS")
  cmake_path(GET source STEM op)
  set(target "${set}_${op}")
  if(TARGET ${target})
    message(FATAL_ERROR "${source}: another file of the set '${set}' has the same name; a module is named by its op")
  endif()
  add_library(${target} MODULE "${source}")
  target_link_libraries(${target} PRIVATE dsv4_flags tvm_ffi::shared)
  target_compile_options(${target} PRIVATE ${DSV4_MODULE_FLAGS} ${arg_FLAGS})
  set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME "${op}"
                        LIBRARY_OUTPUT_DIRECTORY "${DSV4_SETS_OUTPUT_DIR}/${set}" BUILD_RPATH "$ORIGIN/../../lib")
  separate_arguments(build_flags UNIX_COMMAND "${CMAKE_CXX_FLAGS_${DSV4_BUILD_TYPE_UPPER}}")
  if(DSV4_SANITIZE)
    list(APPEND build_flags "-fsanitize=${DSV4_SANITIZE}")
  endif()
  dsv4_note_module(${set} "${source}" ${target} FLAGS ${build_flags} -ffp-contract=off ${arg_FLAGS})
endfunction()

# dsv4_finish_set(<set> DEVICE <device> COMPILER <text> ARCH <text>): adds a target that writes the set's manifest after
# the set's modules are built.
function(dsv4_finish_set set)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "DEVICE;COMPILER;ARCH" "")
  get_property(modules GLOBAL PROPERTY DSV4_SET_${set}_MODULES)
  get_property(dependencies GLOBAL PROPERTY DSV4_SET_${set}_DEPENDS)
  string(REGEX REPLACE ",\n$" "\n" modules "${modules}")
  set(recipe "${PROJECT_BINARY_DIR}/recipes/${set}.json")
  file(CONFIGURE OUTPUT "${recipe}" @ONLY CONTENT "{\"name\": \"@set@\", \"device\": \"@arg_DEVICE@\",
 \"provenance\": {\"package\": \"dsv4diff\", \"version\": \"@PROJECT_VERSION@\", \"source\": \"in-tree\",
                  \"compiler\": \"@arg_COMPILER@\", \"arch\": \"@arg_ARCH@\"},
 \"modules\": [
@modules@]}
")
  set(stamp "${PROJECT_BINARY_DIR}/recipes/${set}.stamp")
  add_custom_command(OUTPUT "${stamp}" BYPRODUCTS "${DSV4_SETS_OUTPUT_DIR}/${set}/manifest.json"
                     COMMAND "${CMAKE_COMMAND}" "-DTOOL=$<TARGET_FILE:write_manifest>" "-DRECIPE=${recipe}"
                             "-DFOLDER=${DSV4_SETS_OUTPUT_DIR}/${set}" "-DSOURCE_DIR=${PROJECT_SOURCE_DIR}"
                             -P "${PROJECT_SOURCE_DIR}/cmake/WriteManifest.cmake"
                     COMMAND "${CMAKE_COMMAND}" -E touch "${stamp}"
                     DEPENDS write_manifest "${recipe}" ${dependencies} VERBATIM
                     COMMENT "Manifest of set ${set}")
  add_custom_target(dsv4_set_${set} DEPENDS "${stamp}")
  add_dependencies(dsv4_sets dsv4_set_${set})
endfunction()

string(TOUPPER "${CMAKE_BUILD_TYPE}" DSV4_BUILD_TYPE_UPPER)

# --- reference --------------------------------------------------------------------------------------------------------
file(GLOB reference_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/reference/*/*.cpp")
list(FILTER reference_sources EXCLUDE REGEX "/reference/common/")
foreach(source IN LISTS reference_sources)
  cmake_path(GET source STEM op)
  dsv4_add_module_library(reference "${source}")
  dsv4_includes(uses_eigen "${source}" "Eigen/")
  if(uses_eigen)
    target_link_libraries(reference_${op} PRIVATE Eigen3::Eigen)
  endif()
endforeach()
if(reference_sources)
  dsv4_finish_set(reference DEVICE cpu COMPILER "${DSV4_COMPILER_NAME}" ARCH "${CMAKE_SYSTEM_PROCESSOR}")
endif()

# --- host and cuda: the same kernels, twice ---------------------------------------------------------------------------
file(GLOB DSV4_KERNEL_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/kernels/*/*.cu")
list(FILTER DSV4_KERNEL_SOURCES EXCLUDE REGEX "/kernels/common/")
include(HostSet)
if(DSV4_CUDA)
  include(CudaSet)
endif()
